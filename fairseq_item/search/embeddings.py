"""A folder of embeddings: three arrays that are mapped rather than read, items and a description.

``global.npy``, ``title.npy`` and ``image.npy`` hold n rows of d values each, float16 or float32,
L2-normalised as they are written; an all-zero row says that the item has no such embedding. Where
image features were joined to it (see ``image_features``), the image embedding is the wider one.
``items.tsv`` names the rows. ``meta.json`` is written last: a folder without it is not whole.
"""

from pathlib import Path

import numpy as np

from fairseq_item.data.arrays import create_mapped, open_mapped
from fairseq_item.data.tsv import Table, check_ids, read_table, write_table
from fairseq_item.digests import digests
from fairseq_item.errors import InputError
from fairseq_item.folders import NewFolder, steadily, work_path
from fairseq_item.search.meta import (
    FORMAT,
    MEND,
    check_files,
    mapping,
    maybe,
    one_of,
    read_items,
    read_meta,
    text,
    whole,
    write_meta,
)
from fairseq_item.search.vectors import release

EMBEDDINGS = ("global", "title", "image")
DTYPES = ("float32", "float16")
FILES = (*(f"{name}.npy" for name in EMBEDDINGS), "items.tsv")
# What ``meta.json`` of embeddings, and of an index, says; older ones lack some of it.
_network = mapping(("network", "weights"), text)


def _features(value):
    return _network(value) and whole(1)(value.get("dim")) and maybe(text)(value.get("weights_file"))


FIELDS = {
    "count": whole(0),
    "dim": whole(1),
    "checkpoint": maybe(text),
    "checkpoint_digest": maybe(text),
    "untrained": one_of(None, False, True),
    "features": maybe(_features),
    "files": maybe(lambda value: isinstance(value, dict)),
}
_EMBEDDING_FIELDS = {
    **FIELDS,
    "dims": maybe(mapping(EMBEDDINGS, whole(1))),
    "dtype": one_of(*DTYPES),
    "data": maybe(text),
    "splits": maybe(text),
}
BLOCK = 16384
# What is written to a mapped file stays in the process' memory until it is let go.
KEPT = 4 << 20


def normalise(rows):
    """Rows of any float dtype, L2-normalised, float32; all-zero rows stay zero."""
    # In float64, where the squares of no float32 vanish or overflow.
    rows = np.asarray(rows, np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(norms > 0, norms, 1)).astype(np.float32)


def embedding_path(folder, name):
    return Path(folder) / f"{name}.npy"


def is_embeddings_file(name):
    """Whether a folder of embeddings may hold a file of this name."""
    return name in (*FILES, "meta.json")


class EmbeddingWriter:
    """Writes a folder of embeddings as they come, several processes side by side.

    One process makes the folder with the constructor; the others join with
    ``EmbeddingWriter.open(path)``; each writes row ranges of its own; one calls ``finish``
    when all have written. Until then what lay in the folder stays as it was, and may be read.

    As a context it removes what was not finished.

    Args:
        path: the folder. What another run left there is replaced.
        items: a ``Table``, or a list of dicts with the same keys, ``id`` among them.
        dim: values a row, or a dict: embedding -> values a row.
        dtype: "float32" or "float16".
        meta: what else ``meta.json`` shall say, such as ``checkpoint`` and ``checkpoint_digest``.

    Raises:
        InputError: an id is empty or occurs twice, the folder holds other things than embeddings
            or cannot be written, or another process writes it.
    """

    def __init__(self, path, items, dim, dtype="float32", meta=None):
        if str(dtype) not in DTYPES:
            raise ValueError(f"dtype is {dtype!r}; it must be one of {', '.join(DTYPES)}")
        self.path = Path(path)
        items = Table.of(items)
        check_ids(items, self.path / "items.tsv")
        self._items, self._written = items, 0
        dims = dim if isinstance(dim, dict) else dict.fromkeys(EMBEDDINGS, int(dim))
        self._folder = NewFolder(self.path, is_embeddings_file)
        try:
            write_table(self._folder.work / "items.tsv", items)
            self._arrays = {
                name: create_mapped(
                    embedding_path(self._folder.work, name), dtype, (len(items), dims[name])
                )
                for name in EMBEDDINGS
            }
        except BaseException:
            self._folder.close()
            raise
        self._meta = {
            "format": FORMAT,
            "content": "embeddings",
            "count": len(items),
            "dim": dims["global"],
            "dims": dims,
            "dtype": str(dtype),
            **(meta or {}),
        }

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._folder is not None:
            self._folder.close()

    @classmethod
    def open(cls, path):
        """Join the writing of a folder that another process has made."""
        self = cls.__new__(cls)
        self.path, work = Path(path), work_path(path)
        self._items, self._written = read_table(work / "items.tsv", ["id"]), 0
        self._arrays = {
            name: np.lib.format.open_memmap(embedding_path(work, name), "r+") for name in EMBEDDINGS
        }
        self._meta = self._folder = None
        return self

    def write(self, start, global_, title, image):
        """Write rows from ``start`` on.

        Args:
            start: storage position of the first row.
            global_, title, image: arrays of shape (b, d), each with its own d, normalised here.

        Raises:
            InputError: a row holds NaN or infinity.
        """
        for name, rows in zip(EMBEDDINGS, (global_, title, image)):
            rows = np.asarray(rows, np.float32)
            check_finite(rows, self._items, start, embedding_path(self.path, name))
            self._arrays[name][start : start + len(rows)] = normalise(rows)
            self._written += rows.nbytes
        if self._written > KEPT:
            for array in self._arrays.values():
                release(array)
            self._written = 0

    def flush(self):
        """Hand what this process wrote to the file system."""
        for array in self._arrays.values():
            array.flush()

    def finish(self):
        """Put the folder in its place; for the process that made it, after all have written."""
        if self._folder is None:
            raise RuntimeError("only the process that made the folder can finish it")
        self.flush()
        write_meta(
            self._folder.work, {**self._meta, "files": digests(self._folder.work, sorted(FILES))}
        )
        self._folder.put()
        self._folder.close()


def check_finite(rows, items, start, path):
    """Refuse NaN and infinity, naming the item; ``items`` is a ``Table`` with ``id``."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        row = start + int(bad[0])
        name = items[row]["id"]
        raise InputError(
            f"{path} row {row} (item {name!r}) is not finite; check the checkpoint, embed again"
        )


class Embeddings:
    """A folder of embeddings, read-only and mapped into memory.

    Attributes:
        path: the folder.
        arrays: {"global", "title", "image"} -> array of shape (n, d).
        dims: {"global", "title", "image"} -> d.
        items: ``Table`` of the items; ``items[i]`` is a dict.
        ids: list of n strings.
        meta: dict of ``meta.json``.
    """

    def __init__(self, path, arrays, items, meta):
        self.path, self.arrays, self.items, self.meta = Path(path), arrays, items, meta
        self.ids = items.column("id")

    @classmethod
    def load(cls, path, verify=False):
        """Open a folder, whole as it was at one time, even if it is replaced meanwhile.

        Args:
            path: the folder.
            verify: read all of the arrays, too, to see whether they are as they were written.

        Raises:
            InputError: it is not whole, or its files do not fit one another.
        """
        return steadily(path, lambda: cls._load(path, verify))

    @classmethod
    def _load(cls, path, verify):
        meta = read_meta(path, "embeddings", _EMBEDDING_FIELDS)
        items = read_items(path, meta, "embeddings")
        count, dims = meta["count"], dims_of(meta)
        arrays = {
            name: open_mapped(
                embedding_path(path, name), (count, dims[name]), DTYPES, MEND["embeddings"]
            )
            for name in EMBEDDINGS
        }
        check_files(path, meta, "embeddings", verify)
        return cls(path, arrays, items, meta)

    def __len__(self):
        return len(self.ids)

    @property
    def dim(self):
        """Values of a global embedding, as many as the model gives each."""
        return self.arrays["global"].shape[1]

    @property
    def dims(self):
        return {name: array.shape[1] for name, array in self.arrays.items()}

    def rows(self, name, start=0, stop=None):
        """Rows ``start`` to ``stop`` of an embedding as they are stored: float32, (b, d).

        Raises:
            InputError: a row holds NaN or infinity.
        """
        rows = np.asarray(self.arrays[name][start:stop], np.float32)
        check_finite(rows, self.items, start, embedding_path(self.path, name))
        return rows

    def queries(self, start=0, stop=None):
        """Rows ``start`` to ``stop`` as queries: embedding -> rows, "lexical" -> list of titles."""
        asked = {name: self.rows(name, start, stop) for name in EMBEDDINGS}
        return {**asked, "lexical": self.titles(start, stop)}

    def titles(self, start=0, stop=None):
        """Titles of rows ``start`` to ``stop``, empty where there are none: list of str."""
        stop = len(self) if stop is None else min(stop, len(self))
        return [self.items[row].get("title", "") for row in range(start, stop)]

    def blocks(self, name, size=BLOCK):
        """Yield ``(start, rows)`` over all of an embedding."""
        for start in range(0, len(self), size):
            yield start, self.rows(name, start, start + size)


def dims_of(meta):
    """Embedding -> values a row, of a folder's description; older ones have one for all."""
    return meta.get("dims") or dict.fromkeys(EMBEDDINGS, meta.get("dim"))
