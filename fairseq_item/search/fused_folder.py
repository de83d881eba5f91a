"""A folder of fused vectors: of the items of an index, or of queries for them.

``vectors.npy``    (n, D) float32, see ``fused_vectors``
``present.npy``    (n, a) bool: what each has of the a similarities that count
``lexical.npz``    sparse rows (scipy's CSR), where the lexical similarity counts
``items.tsv``, ``meta.json``   meta.json is written last
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import sparse

from fairseq_item.data.arrays import create_mapped, open_mapped, save_array
from fairseq_item.data.tsv import Table, write_table
from fairseq_item.digests import digests
from fairseq_item.errors import InputError
from fairseq_item.files import writing
from fairseq_item.folders import NewFolder, steadily
from fairseq_item.progress import progress
from fairseq_item.search.fused_vectors import item_rows, names_of, query_rows
from fairseq_item.search.hits import SIMILARITIES
from fairseq_item.search.index import transform_path
from fairseq_item.search.lexical import COLUMNS
from fairseq_item.search.meta import (
    FORMAT,
    MEND,
    check_files,
    mapping,
    one_of,
    read_items,
    read_meta,
    whole,
    write_meta,
)
from fairseq_item.search.vectors import release

WHAT = "fused vectors"
FILES = ("vectors.npy", "present.npy", "lexical.npz", "items.tsv", "meta.json")
ROWS_A_TIME = 4096
HOW = (
    "item: embeddings side by side as the index has them, then 1 for each similarity that it has. "
    "query: embeddings, transformed as the index does, times their scale, then minus the shift for "
    "each similarity that it has. score: inner product, plus that of lexical.npz's rows (items: "
    "BM25 weights, queries: counts times the scale); pairs without a similarity in common are left "
    "out. item-fuse INDEX --queries EMBEDDINGS writes queries."
)
_similarity = one_of(*SIMILARITIES)
_FIELDS = {
    "count": whole(0),
    "of": one_of("items", "queries"),
    "dim": whole(1),
    "similarities": lambda names: isinstance(names, list) and all(map(_similarity, names)),
    "folded": lambda value: isinstance(value, dict),
    "files": mapping(("vectors.npy", "present.npy", "items.tsv"), lambda entry: bool(entry)),
}


@dataclass
class FusedFolder:
    """What lies in a folder.

    Attributes:
        vectors: (n, D) float32, mapped.
        present: (n, a) bool.
        lexical: (n, COLUMNS) float32 CSR matrix, or None.
        items: ``Table``.
        meta: dict.
    """

    vectors: np.ndarray
    present: np.ndarray
    lexical: sparse.csr_matrix | None
    items: Table
    meta: dict

    @classmethod
    def load(cls, path, verify=False):
        """Open a folder; ``verify`` reads all of it first.

        Raises:
            InputError: it is not whole, or its files do not fit one another.
        """
        return steadily(path, lambda: cls._load(Path(path), verify))

    @classmethod
    def _load(cls, path, verify):
        meta = read_meta(path, WHAT, _FIELDS)
        items, names = read_items(path, meta, WHAT), meta["similarities"]
        shapes = (len(items), meta["dim"]), (len(items), len(names))
        vectors = open_mapped(path / "vectors.npy", shapes[0], ("float32",), MEND[WHAT])
        present = open_mapped(path / "present.npy", shapes[1], ("bool",), MEND[WHAT])
        check_files(path, meta, WHAT, verify)
        lexical = _read_lexical(path, len(items)) if "lexical" in names else None
        return cls(vectors, present, lexical, items, meta)

    def __len__(self):
        return len(self.items)

    @property
    def ids(self):
        """List of n strings."""
        return self.items.column("id")

    def check_queries(self, queries):
        """Refuse queries (a folder, too) that were not folded as these items were.

        Raises:
            InputError: with what to run.
        """
        same = queries.meta["folded"] == self.meta["folded"]
        if not same or (self.meta["of"], queries.meta["of"]) != ("items", "queries"):
            raise InputError(
                "the queries' vectors do not go with the items'; run item-fuse on one index with "
                "the same --weights, with and without --queries"
            )


def write_items(index, fuser, out):
    """Write the vectors of an index's items.

    Args:
        index: ``ItemIndex``.
        fuser: of ``fused_vectors.sum_fuser``.
        out: the folder.

    Returns:
        dict: what went into ``meta.json``.

    Raises:
        InputError: ``out`` cannot be written, or holds other things.
    """
    return _write(index, fuser, out, "items", index.items, partial(item_rows, index, fuser))


def write_queries(index, fuser, queries, out):
    """Write the vectors of ``queries``, an ``Embeddings``; else as :func:`write_items`."""

    def rows(start, stop):
        return query_rows(index, fuser, queries.queries(start, stop))

    return _write(index, fuser, out, "queries", queries.items, rows)


def _write(index, fuser, out, of, items, rows):
    meta = _describe(index, fuser, of, len(items))
    with NewFolder(out, FILES.__contains__) as new:
        write_table(new.work / "items.tsv", items)
        vectors = create_mapped(new.work / "vectors.npy", "float32", (len(items), meta["dim"]))
        present, lexical = np.zeros((len(items), len(meta["similarities"])), bool), []
        for start in progress(range(0, len(items), ROWS_A_TIME), "folding"):
            stop = min(start + ROWS_A_TIME, len(items))
            some = rows(start, stop)
            vectors[start:stop], present[start:stop] = some.vectors, some.present
            lexical.append(some.lexical)
            vectors.flush()
            release(vectors)
        save_array(new.work / "present.npy", present)
        if "lexical" in meta["similarities"]:
            none = sparse.csr_matrix((0, COLUMNS), dtype=np.float32)
            with writing(new.work / "lexical.npz"):
                path = new.work / "lexical.npz"
                sparse.save_npz(path, sparse.vstack([none, *lexical], "csr"), compressed=False)
        meta["files"] = digests(new.work, sorted(path.name for path in new.work.iterdir()))
        write_meta(new.work, meta)
        new.put()
    return meta


def _describe(index, fuser, of, count):
    """``meta.json`` but for the digests."""
    embeddings, names = names_of(fuser)
    scales, shifts = fuser.linear()
    dims = {name: index.meta["dims"][name] for name in embeddings}
    files = index.meta.get("files") or {}
    return {
        "format": FORMAT,
        "content": WHAT,
        "of": of,
        "count": count,
        "dim": sum(dims.values()) + len(names),
        "dims": dims,
        "similarities": names,
        "folded": {
            "weights": list(fuser.weights),
            "scales": dict(zip(names, scales.tolist())),
            "shifts": dict(zip(names, shifts.tolist())),
            "transforms": {name: files.get(transform_path("", name).name) for name in embeddings},
            "checkpoint_digest": index.meta.get("checkpoint_digest"),
        },
        "how": HOW,
    }


def _read_lexical(path, count):
    """Sparse rows, which scipy would trust."""
    try:
        lexical = sparse.load_npz(path / "lexical.npz").tocsr()
        lexical.check_format(full_check=True)
    except Exception as error:  # numpy, zipfile and scipy raise many kinds
        raise InputError(f"{path}/lexical.npz is damaged ({error}); {MEND[WHAT]}") from None
    if lexical.shape != (count, COLUMNS) or lexical.dtype != np.float32:
        raise InputError(f"{path}/lexical.npz does not fit the {count} rows; {MEND[WHAT]}")
    return lexical
