"""Pack a split's images into an image store; keep a line for every row that had none to keep."""

from pathlib import Path

from fairseq_item.commands.columns import add_columns, columns_of
from fairseq_item.commands.common import (
    Parser,
    add_engine,
    add_workers,
    engine_of,
    positive,
    run,
    say,
)
from fairseq_item.data.catalog import read_catalog
from fairseq_item.data.image_store_meta import CODECS
from fairseq_item.data.images import FITS
from fairseq_item.data.remote_root import open_root
from fairseq_item.errors import InputError
from fairseq_item.preprocess.pack import Paths, pack_split
from fairseq_item.preprocess.pack_workers import ImageSettings
from fairseq_item.remote import output

LARGEST = 4096  # side of stored images in pixels


def parser():
    """The options of ``item-pack``."""
    p = Parser(__doc__)
    p.add_argument(
        "catalog",
        help="the split's rows: .tsv, .csv, .jsonl, .parquet or a folder of .parquet files",
    )
    p.add_argument(
        "--image-root",
        required=True,
        metavar="PATH",
        help="folder, uncompressed tar or URL of images",
    )
    p.add_argument(
        "--out", required=True, metavar="DATA_BIN", help="data-bin to write to, or a URL"
    )
    p.add_argument("--split", required=True, help="name of the split, such as train")
    p.add_argument(
        "--image-size",
        type=positive,
        default=256,
        help="side of the stored square images in pixels",
    )
    p.add_argument("--patch-size", type=positive, default=16, help="side of a patch in pixels")
    p.add_argument(
        "--codec", choices=CODECS, default="patches",
        help="patches: raw pixels, nothing to decode in training; jpeg: about ten times smaller",
    )  # fmt: skip
    p.add_argument(
        "--fit", choices=FITS, default="pad",
        help="how an image becomes a square: padded with its border's colour, cropped, stretched",
    )  # fmt: skip
    p.add_argument("--jpeg-quality", type=positive, default=90, help="1 to 95, for --codec jpeg")
    add_workers(p, help="processes that decode")
    add_engine(p)
    p.add_argument(
        "--overwrite", action="store_true",
        help="pack anew even if the same catalogue was packed with the same settings; needed "
        "where images in a folder have changed",
    )  # fmt: skip
    add_columns(p)
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    check_settings(args)
    catalog = read_catalog(args.catalog, columns_of(args))
    settings = ImageSettings(
        args.image_size, args.patch_size, args.codec, args.fit, args.jpeg_quality
    )
    root, engine = open_root(args.image_root), engine_of(args)
    with output(args.out) as out:
        pack(catalog, root, Paths(out, args.split), settings, engine, args.overwrite)


def pack(catalog, root, paths, settings, engine, overwrite):
    """Pack a split and say what became of its rows."""
    kept, rejected = pack_split(catalog, root, paths, settings, engine, overwrite)
    if rejected is None:
        say(f"{paths.store}: packed before, {kept} images; --overwrite packs them anew")
        return
    size = Path(f"{paths.store}.bin").stat().st_size / 2**20
    say(f"{paths.store}.bin: {kept} images, {size:.1f} MiB")
    say(f"{paths.items}: {kept} rows kept")
    say(f"{paths.rejected}: {rejected} rows rejected")


def check_settings(args):
    if args.image_size % args.patch_size:
        raise InputError(
            f"--image-size {args.image_size} is not a multiple of --patch-size {args.patch_size}; "
            "choose sizes that fit"
        )
    if args.image_size > LARGEST:
        raise InputError(f"--image-size {args.image_size} is more than {LARGEST}; use 256 or so")
    if args.jpeg_quality > 95:
        raise InputError(f"--jpeg-quality {args.jpeg_quality} is not between 1 and 95")
    name = args.split or "."
    if not name.isprintable() or "/" in name or name.startswith(".") or len(name.encode()) > 200:
        raise InputError(f"--split '{name}' is not a name for files; use one such as train")


def cli():
    """Console script ``item-pack``."""
    run(main)


if __name__ == "__main__":
    cli()
