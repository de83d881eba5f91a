"""Items added to an index, replaced and removed; the folder is exchanged as a whole.

The result is the index that would be built of the embeddings of its items as they are then, in
their order, with the transforms, calibrations, weights and probabilities that it has: these stay as
they were fitted. Vectors that are there already are copied as they are stored, new ones are
transformed; the lexical part, whose weights depend on all titles, and faiss's indexes, of the
stored vectors, are made anew.
"""

from collections import namedtuple
from pathlib import Path

import numpy as np

from fairseq_item.data.arrays import save_array
from fairseq_item.data.tsv import Table, TsvWriter, read_table
from fairseq_item.errors import InputError
from fairseq_item.folders import NewFolder
from fairseq_item.progress import progress
from fairseq_item.search.build import check_same_model, finish, present_rows, write_transform
from fairseq_item.search.embeddings import BLOCK, EMBEDDINGS, Embeddings, embedding_path
from fairseq_item.search.index import ItemIndex, is_index_file
from fairseq_item.search.index_meta import embedding_dims
from fairseq_item.search.lexical import LexicalIndex, found_path
from fairseq_item.search.vectors import Vectors, release

# What became of how many items; ``count`` is how many there are then.
Changed = namedtuple("Changed", ("count", "added", "updated", "removed"))


def change_index(
    path, remove=None, update=(), add=(), missing_ok=False, seed=1, verify=False, workers=1
):
    """Change an index folder: what is removed first, then what is replaced, then what is new.

    Items that are replaced keep their storage positions, new ones come last.

    Args:
        path: the folder; it may be searched meanwhile, and stays as it was if this fails.
        remove: file of ids, one a line; None removes none.
        update, add: folders of embeddings of the same model.
        missing_ok: ids to be removed that the index lacks are passed over, items to be replaced
            that it lacks are added.
        seed: of faiss's training sample.
        verify: see ``Embeddings.load``.
        workers: processes that prepare approximate search anew, where the index has it.

    Returns:
        Changed

    Raises:
        InputError: an id is in the index where it must not be, or the other way round; the model is
            another one; nothing is left; a folder is damaged or cannot be written.
    """
    sources = [[Embeddings.load(folder, verify) for folder in some] for some in (update, add)]
    with NewFolder(path, is_index_file) as new:
        index = ItemIndex.load(path, verify)
        check_sources(index, path, sources[0] + sources[1])
        rows, changed = _plan(index.ids, path, remove, *sources, missing_ok)
        statistics = None  # those of the titles that there are then
        if found_path(path).exists():
            statistics = index.lexical.read_statistics(path, index.meta["words"])
        changed_index = write_changed(new.work, index, sources[0] + sources[1], rows, statistics)
        if not changed_index.present.any():
            raise InputError(f"{path} would have neither embeddings nor titles left")
        finish(new, changed_index, seed, workers)
    return changed


def check_sources(index, path, sources):
    """Refuse embeddings that cannot be added to an index."""
    if index.lexical is None:
        raise InputError(f"{path}, of an old version, has no lexical similarity; build it anew")
    dims = embedding_dims(index.meta)
    for source in sources:
        check_same_model(index.meta, source.meta, (path, source.path))
        for name in EMBEDDINGS:
            if source.dims[name] != dims[name]:
                raise InputError(
                    f"{source.path} has {source.dims[name]} dimensions ({name}), {path} has "
                    f"{dims[name]}; embed both with one checkpoint"
                )


def _plan(ids, path, remove, update, add, missing_ok):
    """Which rows the changed index has.

    Args:
        ids: of the index.
        path: where it lies.
        remove: file, or None.
        update, add: lists of ``Embeddings``.
        missing_ok: see :func:`change_index`.

    Returns:
        ((m,) int64, positions in the index and the folders, all one after the other; ``Changed``).
    """
    rows = {name: row for row, name in enumerate(ids)}  # in the order of the changed index
    removed = _remove(rows, path, remove, missing_ok)
    before, updated, seen, start = len(rows), 0, {}, len(ids)
    for replacing, source in [(True, one) for one in update] + [(False, one) for one in add]:
        for number, name in enumerate(source.ids):
            where = f"{source.path}/items.tsv row {number + 2} has the id {name!r}, which"
            if name in seen:
                raise InputError(f"{where} {seen[name]}/items.tsv has, too; leave one of them out")
            if not replacing and name in rows:
                raise InputError(f"{where} {path} has already; give it to --update")
            if replacing and name not in rows and not missing_ok:
                raise InputError(f"{where} {path} lacks; give it to --add, or --missing-ok")
            updated += name in rows
            rows[name], seen[name] = start + number, source.path
        start += len(source)
    if not rows:
        raise InputError(f"{path} would have no items left; there is nothing to search then")
    positions = np.fromiter(rows.values(), np.int64, len(rows))
    return positions, Changed(len(rows), len(rows) - before, updated, removed)


def _remove(rows, path, file, missing_ok):
    """Take the ids in a file out of ``rows``; returns how many there were."""
    before, seen = len(rows), set()
    for number, name in _ids(file) if file is not None else ():
        if rows.pop(name, None) is None and name not in seen and not missing_ok:
            raise InputError(
                f"{file} row {number} has the id {name!r}, which {path} lacks; remove that row, or "
                "give --missing-ok"
            )
        seen.add(name)
    return before - len(rows)


def _ids(file):
    """Yield (row, id) of a text file of one id a line; blank lines are left out."""
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); name a file of ids") from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is no text in UTF-8; write one id a line") from None
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def write_changed(work, index, sources, rows, statistics=None):
    """Write the changed arrays, titles and items into ``work``: their ``ItemIndex``.

    Args:
        work: folder that is being written.
        index: ``ItemIndex`` so far.
        sources: list of ``Embeddings``.
        rows: (m,) which item each of the changed index is: those of the index, then of the sources.
        statistics: of words, as of ``LexicalIndex.build``.
    """
    items = _write_items(work / "items.tsv", [index.items, *(s.items for s in sources)], rows)
    lexical = LexicalIndex.build(items.values("title"), work, statistics)
    vectors, present = {}, []
    for name in progress(EMBEDDINGS, "indexing", unit="embedding"):
        write_transform(work, name, index.transforms[name])
        path = embedding_path(work, name)
        vectors[name] = _write_vectors(path, name, index, sources, rows)
        present.append(present_rows(vectors[name]))
    present = np.stack([*present, lexical.present], axis=1)
    save_array(work / "present.npy", present)
    latest = [str(source.path) for source in sources]
    before = [path for path in index.meta.get("sources") or () if path not in latest]
    meta = {**index.meta, "count": len(items), "sources": before + latest}
    return ItemIndex(
        vectors, lexical, present, {}, index.transforms, index.calibrations, items, meta
    )


def _write_items(path, tables, rows):
    joined = Table.joined(tables)
    with TsvWriter(path, joined.fieldnames) as writer:
        for row in rows.tolist():
            writer.write(joined[row])
    return read_table(path, ["id"])


def _write_vectors(path, name, index, sources, rows):
    """One embedding's ``Vectors``; arguments as of :func:`write_changed`."""
    old = index.vectors[name]
    vectors = Vectors.create(path, old.stored.dtype.name, (len(rows), old.shape[1]))
    kept = np.flatnonzero(rows < len(index))
    for start in range(0, len(kept), BLOCK):
        some = kept[start : start + BLOCK]
        vectors.copy(some, old, rows[some])
    begin = len(index)
    for source in sources:
        # All rows of a folder of embeddings are in the index then: where each is.
        where = np.empty(len(source), np.int64)
        mine = np.flatnonzero((rows >= begin) & (rows < begin + len(source)))
        where[rows[mine] - begin] = mine
        for start, block in source.blocks(name):
            vectors.write(where[start : start + len(block)], index.transforms[name](block))
            release(source.arrays[name])
        begin += len(source)
    vectors.flush()
    return vectors
