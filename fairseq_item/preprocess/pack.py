"""Packing a split's images into an image store; rows that have none to keep are listed apart."""

import hashlib
import json
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from fairseq_item.data.image_store import ImageStoreWriter, unfinished_path
from fairseq_item.data.image_store_meta import VERSION, json_path, read_meta
from fairseq_item.data.sharded import items_digest
from fairseq_item.data.tsv import write_tsv
from fairseq_item.digests import digest
from fairseq_item.errors import InputError
from fairseq_item.files import check_output, locked, refuse_overwriting, sweep
from fairseq_item.preprocess.pack_journal import PackJournal, journal_path
from fairseq_item.preprocess.pack_workers import ChunkPacker
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


def pack_split(catalog, root, paths, settings, engine, overwrite=False):
    """Pack the images of a catalogue, or go on where a killed run stopped.

    Args:
        catalog: ``Catalog`` of the split's rows.
        root: ``ImageRoot`` of its images.
        paths: :class:`Paths`.
        settings: ``ImageSettings``.
        engine: what decodes; see ``engines``.
        overwrite: pack anew what is packed already.

    Returns:
        tuple: rows kept and rows rejected; rejected is None where all was packed before.

    Raises:
        InputError: the catalogue is bad, no image can be used, another process packs the same
            split, or the catalogue or the images are changed meanwhile.
    """
    refuse_overwriting(catalog.path, [paths.items, paths.rejected])
    source = fingerprint(catalog, root, settings)
    if not overwrite and is_finished(paths, source):
        if not unfinished_path(paths.store).exists():
            # The last thing that a killed run had left to do.
            journal_path(paths.store).unlink(missing_ok=True)
        return read_meta(paths.store).count, None
    # Read to its end before anything is packed, so that a bad row is found in time.
    total = sum(1 for _ in catalog)
    with locked(paths.store.with_name(f".{paths.split}.lock")):
        for path in (paths.items, paths.rejected):
            check_output(path)
        sweep(paths.store.parent)
        if overwrite:
            journal_path(paths.store).unlink(missing_ok=True)
        resume = journal_path(paths.store).exists()
        writer = ImageStoreWriter(paths.store, **asdict(settings), source=source, resume=resume)
        journal = PackJournal(writer, source)
        try:
            append_rows(journal, catalog, ChunkPacker(root, settings), engine, total)
            rejected = write_rows(journal, catalog, root, paths)
            if fingerprint(catalog, root, settings) != source:
                raise InputError(
                    f"{catalog.path} or {root.path} was changed while it was packed; run again"
                )
            writer.finish(items_digest(paths.out, paths.split))
        finally:
            writer.close()
            journal.close()
        journal.discard()
    return len(writer.sizes), rejected


def fingerprint(catalog, root, settings):
    """Digest of the catalogue and of all settings that the output depends on."""
    values = {
        **asdict(settings),
        "columns": asdict(catalog.columns),
        "image_root": root.state(),
        "version": VERSION,
    }
    if settings.codec != "jpeg":
        del values["jpeg_quality"]
    parts = [digest(path)["sha256"] for path in catalog.files]
    values["catalog"] = parts[0] if len(parts) == 1 else parts
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def is_finished(paths, source):
    """Whether a split was packed from the same ``source``."""
    if not (paths.items.exists() and paths.rejected.exists() and json_path(paths.store).exists()):
        return False
    try:
        return read_meta(paths.store).source == source
    except InputError:
        return False  # a damaged store is packed anew


def append_rows(journal, catalog, packer, engine, total):
    """Append to ``journal`` what becomes of the rows that it does not have yet."""
    names = (row["image"] for _, row in islice(catalog, journal.rows, None))
    chunks = iter(lambda: list(islice(names, CHUNK)), [])
    with progress(None, "packing", total, "image") as bar:
        bar.update(journal.rows)
        for chunk, items in engine.map(packer, chunks):
            journal.append(chunk, items)
            bar.update(chunk.rows)


def write_rows(journal, catalog, root, paths):
    """Write the tables of the rows rejected and kept; returns the number of those rejected."""

    def rows(rejected):
        for (_, row), reason in zip(catalog, journal.decisions(), strict=True):
            if (reason is not None) == rejected:
                yield {**row, "reason": reason} if rejected else row

    count = write_tsv(paths.rejected, ["id", "image", "reason"], rows(rejected=True))
    if not journal.writer.sizes:
        journal.writer.discard()
        journal.discard()
        raise InputError(
            f"{catalog.path}: none of its {count} images could be used; see the reasons in "
            f"{paths.rejected}, and whether --image-root {root.path} is the right one"
        )
    journal.writer.retire_old()
    write_tsv(paths.items, catalog.fieldnames, rows(rejected=False))
    return count
