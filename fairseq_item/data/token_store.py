"""Token ids on disk, as ``fairseq-preprocess`` stores them, and what they are.

``prefix.json`` tells of which items and which dictionary; fairseq takes no notice of it, and
stores that fairseq wrote have none.
"""

import json
from pathlib import Path

import numpy as np

from fairseq_item import digests
from fairseq_item.data.mmap_index import BLOCK, MMapIndex, MMapIndexWriter, bin_path, idx_path
from fairseq_item.data.titles import EOS, TOKENIZERS, read_dictionary
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path

MEND = "run item-binarize again"
VERSION = 1
VOCABULARY = ("dict.txt", *TOKENIZERS)  # those that lie beside the stores; labels have no second


class TokenStore(MMapIndex):
    """The tokenised titles (or labels) of a split: ``prefix.bin`` and ``prefix.idx``.

    ``store[i]`` is a read-only view of the ids of item ``i``, ``</s>`` included; their dtype is
    the stored one, usually uint16, so convert before doing arithmetic.

    Opening reads all ids once; where ``prefix.json`` is there, files are compared with it.

    Attributes:
        sizes: int32 array of shape (count,), ids an item, ``</s>`` included.

    Raises:
        InputError: a file is missing or damaged, or ids are not of ``dict.txt`` beside them.
    """

    def __init__(self, prefix):
        super().__init__(prefix, least=1, mend=MEND)
        self.meta = read_meta(prefix)
        if self.meta:
            self._check_files()
        self._check_ids(Path(prefix).parent / "dict.txt")

    def _check_files(self):
        folder, prefix = Path(self.prefix).parent, Path(self.prefix)
        digests.check(folder, self.meta["files"], MEND)
        index = idx_path(prefix)
        if digests.digest(index)["sha256"] != self.meta["files"].get(index.name, {}).get("sha256"):
            raise InputError(f"{index} is not the file that was written here; {MEND}")
        for name, found in vocabulary_digests(folder).items():
            if found != self.meta["vocabulary"].get(name, found):
                raise InputError(f"{prefix}.bin was made with another {folder / name}; {MEND}")

    def _check_ids(self, dictionary):
        """Look at all ids, a block at a time: whether they are symbols, and every title ends."""
        symbols = len(read_dictionary(dictionary)) if dictionary.exists() else np.inf
        if self.dtype.kind not in "ui":
            raise InputError(f"{idx_path(self.prefix)} holds {self.dtype}, no token ids; {MEND}")
        with open(bin_path(self.prefix), "rb") as file:
            for first in range(0, len(self), BLOCK):
                sizes = self.sizes[first : first + BLOCK].astype(np.int64)
                ids = np.frombuffer(file.read(int(sizes.sum()) * self.dtype.itemsize), self.dtype)
                ends = ids[np.cumsum(sizes) - 1]
                if ids.min() < 0 or ids.max() >= symbols:
                    raise InputError(
                        f"{bin_path(self.prefix)} has ids that {dictionary} lacks; {MEND}"
                    )
                if (ends != EOS).any():
                    item = first + int((ends != EOS).argmax())
                    raise InputError(
                        f"{bin_path(self.prefix)} is damaged: item {item} does not end; {MEND}"
                    )

    def check_items(self, items):
        """Refuse to go with an items file of another digest.

        Raises:
            InputError: the ids were made from another one.
        """
        if self.meta and self.meta["items"] != items:
            raise InputError(f"{self.prefix}.bin belongs to another items file; {MEND}")


def token_dtype(vocabulary_size):
    """The dtype that ``fairseq-preprocess`` stores ids of so many symbols in."""
    if vocabulary_size < 65_500:
        return np.dtype(np.uint16)
    return np.dtype(np.uint32 if vocabulary_size < 4_294_967_295 else np.int64)


class TokenWriter(MMapIndexWriter):
    """Write items of token ids, one after another; see :class:`MMapIndexWriter`.

    Args:
        prefix: path without ``.bin`` and ``.idx``.
        vocabulary_size: number of symbols in the dictionary, the special ones included.
        items: digest of the items file, for the record; None leaves ``prefix.json`` out.
    """

    def __init__(self, prefix, vocabulary_size, items=None):
        super().__init__(prefix, token_dtype(vocabulary_size))
        self.items = items

    def add(self, ids):
        """Append one item: its ids, to which ``</s>`` is added here."""
        super().add(np.append(np.asarray(ids, np.int64), EOS))

    def __exit__(self, kind, error, trace):
        if kind is None:
            # Between here and the end the files on disk do not belong together.
            _write(self.prefix, {"version": VERSION, "whole": False})
        super().__exit__(kind, error, trace)
        if kind is None and self.items is not None:
            write_meta(self.prefix, self.items)
        elif kind is None:
            json_path(self.prefix).unlink()


def json_path(prefix):
    return Path(f"{prefix}.json")


def vocabulary_digests(folder):
    """SHA-256 of ``dict.txt`` and ``bpe.model`` where they are there: dict of name -> str."""
    names = [name for name in VOCABULARY if (Path(folder) / name).exists()]
    return {name: digests.digest(Path(folder) / name)["sha256"] for name in names}


def write_meta(prefix, items):
    """Describe a store that is whole: of which items it is, by which vocabulary, its files."""
    folder = Path(prefix).parent
    names = [path(prefix).name for path in (bin_path, idx_path)]
    values = {
        "version": VERSION,
        "whole": True,
        "items": items,
        "vocabulary": vocabulary_digests(folder),
        "files": digests.digests(folder, names),
    }
    _write(prefix, digests.sealed(values))


def _write(prefix, values):
    with atomic_path(json_path(prefix)) as path:
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_meta(prefix):
    """What :func:`write_meta` wrote, or None where there is nothing.

    Raises:
        InputError: it is damaged, or the store is not whole.
    """
    path = json_path(prefix)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is damaged; {MEND}") from None
    if not isinstance(values, dict) or values.get("version") != VERSION:
        raise InputError(f"{path} is of another version; {MEND}")
    if values.get("whole") is not True:
        raise InputError(f"{path} says that the store is not whole; {MEND}")
    values = digests.unsealed(path, values, MEND)
    kinds = {"items": str, "vocabulary": dict, "files": dict}
    if any(not isinstance(values.get(name), kind) for name, kind in kinds.items()):
        raise InputError(f"{path} is damaged; {MEND}")
    return values
