"""A folder of embeddings: three arrays that are mapped rather than read, items and a description.

``global.npy``, ``title.npy`` and ``image.npy`` hold n rows of d values each, float16 or float32,
L2-normalised as they are written; an all-zero row says that the item has no such embedding. Where
image features were joined to it (see ``image_features``), the image embedding is the wider one.
``items.tsv`` names the rows. ``meta.json`` is written last: a folder without it is not whole.
"""

import json
from pathlib import Path

import numpy as np

from fairseq_item.data.arrays import open_mapped
from fairseq_item.data.tsv import Table, check_ids, read_table, unique_ids, write_table
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.search.vectors import release

EMBEDDINGS = ("global", "title", "image")
DTYPES = ("float32", "float16")
FORMAT = 1
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


def read_meta(folder, what="embeddings"):
    """Read ``meta.json`` of a folder.

    Raises:
        InputError: the folder or the file is missing, or is not JSON of the present format.
    """
    path = Path(folder) / "meta.json"
    if not path.exists():
        raise InputError(f"{path} is missing, so {folder} holds no whole {what}; make it again")
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        version = meta["format"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is not a description of {what}; make it again") from None
    if version != FORMAT:
        raise InputError(f"{path} has format {version}, this program reads {FORMAT}; make it again")
    return meta


def write_meta(folder, meta):
    with atomic_path(Path(folder) / "meta.json") as path:
        path.write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class EmbeddingWriter:
    """Writes a folder of embeddings as they come, several processes side by side.

    One process makes the folder with the constructor; the others join with
    ``EmbeddingWriter.open(path)``; each writes row ranges of its own; one calls ``finish``
    when all have written.

    Args:
        path: the folder. What another run left there is overwritten.
        items: a ``Table``, or a list of dicts with the same keys, ``id`` among them.
        dim: values a row, or a dict: embedding -> values a row.
        dtype: "float32" or "float16".
        meta: what else ``meta.json`` shall say, such as ``checkpoint`` and ``checkpoint_digest``.

    Raises:
        InputError: an id is empty or occurs twice.
    """

    def __init__(self, path, items, dim, dtype="float32", meta=None):
        if str(dtype) not in DTYPES:
            raise ValueError(f"dtype is {dtype!r}; it must be one of {', '.join(DTYPES)}")
        self.path = Path(path)
        items = Table.of(items)
        check_ids(items, self.path / "items.tsv")
        self._items, self._written = items, 0
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "meta.json").unlink(missing_ok=True)
        write_table(self.path / "items.tsv", items)
        dims = dim if isinstance(dim, dict) else dict.fromkeys(EMBEDDINGS, int(dim))
        self._arrays = {
            name: np.lib.format.open_memmap(
                embedding_path(path, name), "w+", dtype, (len(items), dims[name])
            )
            for name in EMBEDDINGS
        }
        self._meta = {
            "format": FORMAT,
            "count": len(items),
            "dim": dims["global"],
            "dims": dims,
            "dtype": str(dtype),
            **(meta or {}),
        }

    @classmethod
    def open(cls, path):
        """Join the writing of a folder that another process has made."""
        self = cls.__new__(cls)
        self.path = Path(path)
        self._items, self._written = read_table(self.path / "items.tsv", ["id"]), 0
        self._arrays = {
            name: np.lib.format.open_memmap(embedding_path(path, name), "r+") for name in EMBEDDINGS
        }
        self._meta = None
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
        """Declare the folder whole; for the process that made it, after all have written."""
        if self._meta is None:
            raise RuntimeError("only the process that made the folder can finish it")
        self.flush()
        write_meta(self.path, self._meta)


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
        parts: {"global", "title", "image"} -> array of shape (n, d).
        dims: {"global", "title", "image"} -> d.
        items: ``Table`` of the items; ``items[i]`` is a dict.
        ids: list of n strings.
        meta: dict of ``meta.json``.
    """

    def __init__(self, path, parts, items, meta):
        self.path, self.parts, self.items, self.meta = Path(path), parts, items, meta
        self.ids = unique_ids(items, self.path / "items.tsv")

    @classmethod
    def load(cls, path):
        """Open a folder.

        Raises:
            InputError: it is not whole, or its files do not fit one another.
        """
        meta = read_meta(path)
        items = read_table(Path(path) / "items.tsv", ["id"])
        count, dims = meta.get("count"), dims_of(meta)
        parts = {
            name: open_mapped(
                embedding_path(path, name), (count, dims[name]), DTYPES, "make its folder again"
            )
            for name in EMBEDDINGS
        }
        if len(items) != count:
            raise InputError(
                f"{path}/items.tsv has {len(items)} rows where meta.json says {count}; embed again"
            )
        return cls(path, parts, items, meta)

    def __len__(self):
        return len(self.ids)

    @property
    def dim(self):
        """Values of a global embedding, as many as the model gives each."""
        return self.parts["global"].shape[1]

    @property
    def dims(self):
        return {name: array.shape[1] for name, array in self.parts.items()}

    def rows(self, name, start=0, stop=None):
        """Rows ``start`` to ``stop`` of an embedding as they are stored: float32, (b, d).

        Raises:
            InputError: a row holds NaN or infinity.
        """
        rows = np.asarray(self.parts[name][start:stop], np.float32)
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
