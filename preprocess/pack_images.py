"""Pack a split's pictures into an image store; keep a line for every row that had none to keep."""

import hashlib
import json
import os
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import _path  # noqa: F401
from pack_journal import PackJournal, discard_journal, journal_of
from pack_workers import ChunkPacker, map_in_order

from fairseq_item.cli import arguments, progress, run
from fairseq_item.data.catalog import Columns, add_column_arguments, read_catalog, write_tsv
from fairseq_item.data.image_store import (
    CHANNELS,
    CODECS,
    VERSION,
    StoreMeta,
    json_path,
    read_meta,
    write_meta,
)
from fairseq_item.data.mmap_index import bin_path, idx_path, write_idx
from fairseq_item.data.pictures import FITS, ImageRoot
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path

CHUNK = 32  # rows a worker takes at a time; 6 MB of patches at 256 pixels


def build_parser():
    parser = arguments(__doc__)
    parser.add_argument("catalog", help="the split's rows: .tsv, .csv, .jsonl or .parquet")
    parser.add_argument(
        "--image-root", required=True, metavar="PATH", help="folder or uncompressed tar of pictures"
    )
    parser.add_argument("--out", required=True, metavar="DATA_BIN", help="data-bin to write to")
    parser.add_argument("--split", required=True, help="name of the split, such as train")
    parser.add_argument(
        "--image-size", type=int, default=256, help="side of the stored square pictures in pixels"
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
        help="how a picture becomes a square: padded with its border's colour, cropped, stretched",
    )
    parser.add_argument("--jpeg-quality", type=int, default=90, help="1 to 95, for --codec jpeg")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that decode")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="pack anew even if the same catalogue was packed with the same settings; needed "
        "where pictures in a folder have changed",
    )
    add_column_arguments(parser)
    return parser


@dataclass(frozen=True)
class Paths:
    """Where the output of one split lies."""

    out: Path
    split: str

    @property
    def store(self):
        return self.out / "image" / self.split

    @property
    def items(self):
        return self.out / "items" / f"{self.split}.tsv"

    @property
    def rejected(self):
        return self.out / "rejected" / f"{self.split}.tsv"

    @property
    def unfinished(self):
        return self.out / "image" / f".{self.split}.unfinished"


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
        print(f"{paths.store}: packed before, {count} pictures; --overwrite packs them anew")
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


def fingerprint(args):
    """Digest of the catalogue and of all settings that the output depends on.

    The pictures themselves are not read: a tar stands for itself by path, size and time of
    change, a folder by its path.
    """
    root = Path(args.image_root).resolve()
    status = root.stat()
    settings = {
        "columns": asdict(Columns.from_args(args)),
        "image_root": [str(root), *([status.st_size, status.st_mtime_ns] * root.is_file())],
        "version": VERSION,
    }
    for name in ("image_size", "patch_size", "codec", "fit"):
        settings[name] = getattr(args, name)
    if args.codec == "jpeg":
        settings["jpeg_quality"] = args.jpeg_quality
    with open(args.catalog, "rb") as file:
        settings["catalog"] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def is_finished(paths, source):
    if not (paths.items.exists() and paths.rejected.exists() and json_path(paths.store).exists()):
        return False
    try:
        return read_meta(paths.store).source == source
    except InputError:
        return False  # a damaged store is packed anew


def take_back_renamed_data(paths):
    """Undo the renaming of a run that was killed after it, but before the store was whole."""
    renamed = journal_of(paths.unfinished).exists() and not paths.unfinished.exists()
    if renamed and not json_path(paths.store).exists() and bin_path(paths.store).exists():
        os.replace(bin_path(paths.store), paths.unfinished)


def pack(args, catalog, root, journal, total):
    """Append to ``journal`` what becomes of the rows that it does not have yet."""
    packer = ChunkPacker(
        root, args.image_size, args.fit, args.codec, args.patch_size, args.jpeg_quality
    )
    names = (row["image"] for _, row in islice(catalog, journal.rows, None))
    chunks = iter(lambda: list(islice(names, CHUNK)), [])
    with progress(None, "packing", total, "image") as bar:
        bar.update(journal.rows)
        for chunk, items in map_in_order(packer, chunks, args.workers):
            journal.append(chunk, items)
            bar.update(chunk.rows)


def finish(args, catalog, paths, journal, source):
    """Put everything in its place, the store's description last of all."""

    def rejected_rows():
        for (_, row), reason in zip(catalog, journal.decisions(), strict=True):
            if reason is not None:
                yield {"id": row["id"], "image": row["image"], "reason": reason}

    def kept_rows():
        for (_, row), reason in zip(catalog, journal.decisions(), strict=True):
            if reason is None:
                yield row

    rejected = write_tsv(paths.rejected, ["id", "image", "reason"], rejected_rows())
    kept = len(journal.sizes)
    if not kept:
        discard_journal(paths.unfinished)
        raise InputError(
            f"{args.catalog}: none of its {rejected} pictures could be used; see the reasons in "
            f"{paths.rejected}, and whether --image-root {args.image_root} is the right one"
        )
    json_path(paths.store).unlink(missing_ok=True)
    write_tsv(paths.items, catalog.fieldnames, kept_rows())
    with atomic_path(idx_path(paths.store)) as path:
        write_idx(path, journal.sizes, "uint8")
        journal.digest.update(path.read_bytes())
    os.replace(journal.data, bin_path(paths.store))
    meta = StoreMeta(
        codec=args.codec,
        image_size=args.image_size,
        patch_size=args.patch_size,
        channels=CHANNELS,
        count=kept,
        checksum=journal.digest.hexdigest(),
        version=VERSION,
        fit=args.fit,
        jpeg_quality=args.jpeg_quality if args.codec == "jpeg" else None,
        source=source,
    )
    write_meta(paths.store, meta)
    discard_journal(paths.unfinished)
    size = bin_path(paths.store).stat().st_size / 2**20
    print(f"{paths.store}.bin: {kept} pictures, {size:.1f} MiB")
    print(f"{paths.items}: {kept} rows kept")
    print(f"{paths.rejected}: {rejected} rows rejected")


if __name__ == "__main__":
    run(main)
