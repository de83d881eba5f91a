"""Several stores read as one: the shards ``train``, ``train1``, ... of a split."""

import hashlib
import os
from functools import lru_cache
from itertools import count
from pathlib import Path

import numpy as np

from fairseq_item.errors import InputError


class Concatenated:
    """Items of several stores, one store after another.

    Args:
        stores: objects with ``len`` and ``[i]``; ``image(i)``, ``rows(i, top, bottom)``,
            ``side(i)``, ``prefetch(indices)``, ``firsts()`` and ``sizes`` are passed through where
            the stores have them.
    """

    def __init__(self, stores):
        self.stores = list(stores)
        self.starts = np.cumsum([0] + [len(store) for store in self.stores])

    def __len__(self):
        return int(self.starts[-1])

    def _locate(self, i):
        shard = int(np.searchsorted(self.starts, i, side="right")) - 1
        return self.stores[shard], i - int(self.starts[shard])

    def __getitem__(self, i):
        store, offset = self._locate(i)
        return store[offset]

    def image(self, i):
        store, offset = self._locate(i)
        return store.image(offset)

    def rows(self, i, top, bottom):
        store, offset = self._locate(i)
        return store.rows(offset, top, bottom)

    def side(self, i):
        store, offset = self._locate(i)
        return store.side(offset)

    def prefetch(self, indices):
        shards = np.searchsorted(self.starts, indices, side="right") - 1
        for shard in np.unique(shards):
            self.stores[shard].prefetch(indices[shards == shard] - self.starts[shard])

    def firsts(self):
        return np.concatenate([store.firsts() for store in self.stores])

    @property
    def sizes(self):
        return np.concatenate([store.sizes for store in self.stores])


def shard_names(data_bin, split):
    """The shards of a split in reading order: ``split`` or ``split0``, then ``split1``, ...

    Raises:
        InputError: ``data_bin`` has no such split.
    """
    items = Path(data_bin) / "items"
    first = next((n for n in (split, f"{split}0") if (items / f"{n}.tsv").exists()), None)
    if first is None:
        found = sorted(path.stem for path in items.glob("*.tsv"))
        raise InputError(
            f"{items}/{split}.tsv is missing; "
            + (f"splits there: {', '.join(found)}" if found else "run item-pack first")
        )
    names = [first]
    for k in count(1):
        if not (items / f"{split}{k}.tsv").exists():
            return names
        names.append(f"{split}{k}")


def open_split(data_bin, split, kind, store):
    """Open every shard of a split as one store.

    Args:
        data_bin: the data-bin folder.
        split: "train", "valid", ...
        kind: "title", "image" or "label", the folder below ``data_bin``.
        store: class to open ``data_bin/kind/shard`` with; its ``check_items(items)`` is told the
            :func:`items_digest`.

    Raises:
        InputError: a store is missing or damaged, or belongs to other items.
    """
    names = shard_names(data_bin, split)
    stores = [store(Path(data_bin) / kind / name) for name in names]
    for name, opened in zip(names, stores):
        opened.check_items(items_digest(data_bin, name))
    return stores[0] if len(stores) == 1 else Concatenated(stores)


def items_digest(data_bin, shard):
    """SHA-256 of ``items/{shard}.tsv``, in hexadecimal: what the stores of a split share.

    Raises:
        InputError: there is no such file.
    """
    path = Path(data_bin) / "items" / f"{shard}.tsv"
    try:
        status = os.stat(path)
    except OSError:
        raise InputError(f"{path} is not there; run item-pack first") from None
    return _digest(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(64)
def _digest(path, *_):
    """Once for all stores of a split; the arguments tell one state of the file from another."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
