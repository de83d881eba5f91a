"""Pack a split's images into an image store; keep a line for every row that had none to keep."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from fairseq_item.data.catalog import Columns, write_tsv
from fairseq_item.data.image_store import (
    CHANNELS,
    VERSION,
    StoreMeta,
    json_path,
    read_meta,
    write_meta,
)
from fairseq_item.data.mmap_index import bin_path, idx_path, write_idx
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.preprocess.pack_journal import discard_journal, journal_of
from fairseq_item.preprocess.pack_workers import ChunkPacker, map_in_order
from fairseq_item.progress import progress

CHUNK = 32  # rows a worker takes at a time; 6 MB of patches at 256 pixels


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


def fingerprint(args):
    """Digest of the catalogue and of all settings that the output depends on.

    The images themselves are not read: a tar stands for itself by path, size and time of
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
            f"{args.catalog}: none of its {rejected} images could be used; see the reasons in "
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
    print(f"{paths.store}.bin: {kept} images, {size:.1f} MiB")
    print(f"{paths.items}: {kept} rows kept")
    print(f"{paths.rejected}: {rejected} rows rejected")
