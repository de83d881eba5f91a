"""Pack a split's images into an image store; keep a line for every row that had none to keep."""

import os
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from fairseq_item.commands.common import Parser, run
from fairseq_item.data.catalog import Columns, add_column_arguments, read_catalog
from fairseq_item.data.image_store import (
    CODECS,
    read_meta,
)
from fairseq_item.data.images import FITS, ImageRoot
from fairseq_item.errors import InputError
from fairseq_item.preprocess.pack import (
    Paths,
    fingerprint,
    finish,
    is_finished,
    pack,
    take_back_renamed_data,
)
from fairseq_item.preprocess.pack_journal import PackJournal, discard_journal


def build_parser():
    parser = Parser(__doc__)
    parser.add_argument("catalog", help="the split's rows: .tsv, .csv, .jsonl or .parquet")
    parser.add_argument(
        "--image-root", required=True, metavar="PATH", help="folder or uncompressed tar of images"
    )
    parser.add_argument("--out", required=True, metavar="DATA_BIN", help="data-bin to write to")
    parser.add_argument("--split", required=True, help="name of the split, such as train")
    parser.add_argument(
        "--image-size", type=int, default=256, help="side of the stored square images in pixels"
    )
    parser.add_argument("--patch-size", type=int, default=16, help="side of a patch in pixels")
    parser.add_argument(
        "--codec",
        choices=CODECS,
        default="patches",
        help="patches: raw pixels, nothing to decode in training; jpeg: about ten times smaller",
    )
    parser.add_argument(
        "--fit",
        choices=FITS,
        default="pad",
        help="how an image becomes a square: padded with its border's colour, cropped, stretched",
    )
    parser.add_argument("--jpeg-quality", type=int, default=90, help="1 to 95, for --codec jpeg")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that decode")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="pack anew even if the same catalogue was packed with the same settings; needed "
        "where images in a folder have changed",
    )
    add_column_arguments(parser)
    return parser


def main(argv=None):
    args = build_parser().parse_args(argv)
    check_settings(args)
    catalog = read_catalog(args.catalog, Columns.from_args(args))
    root = ImageRoot(args.image_root)
    paths = Paths(Path(args.out), args.split)
    source = fingerprint(args)
    if args.overwrite:
        discard_journal(paths.unfinished)
    elif is_finished(paths, source):
        if not paths.unfinished.exists():
            discard_journal(paths.unfinished)  # the last thing that a killed run had left to do
        count = read_meta(paths.store).count
        print(f"{paths.store}: packed before, {count} images; --overwrite packs them anew")
        return
    # Read to its end before anything is packed, so that a bad row is found in time.
    total = sum(1 for _ in catalog)
    take_back_renamed_data(paths)
    journal = PackJournal(paths.unfinished, source)
    try:
        pack(args, catalog, root, journal, total)
    except BrokenProcessPool:
        raise InputError(
            f"{args.catalog}: a worker process was killed, perhaps for want of memory; run again "
            "with fewer --workers: packing goes on where it stopped"
        ) from None
    finally:
        journal.close()
    finish(args, catalog, paths, journal, source)


def check_settings(args):
    if args.patch_size < 1 or args.image_size < 1 or args.image_size % args.patch_size:
        raise InputError(
            f"--image-size {args.image_size} is not a multiple of --patch-size {args.patch_size}; "
            "choose sizes that fit"
        )
    if not 1 <= args.jpeg_quality <= 95:
        raise InputError(f"--jpeg-quality {args.jpeg_quality} is not between 1 and 95")
    if args.workers < 1:
        raise InputError(f"--workers {args.workers} is not at least 1")
    if not args.split or "/" in args.split or args.split.startswith("."):
        raise InputError(f"--split '{args.split}' is not a name for files; use one such as train")


def cli():
    """Console script ``item-pack``."""
    run(main)


if __name__ == "__main__":
    cli()
