"""Pooled features of a split's images, computed once by a frozen network.

``features/{shard}.npy`` holds n rows of d float16 values, in the order of ``items/{shard}.tsv``.
``features/{shard}.json`` says of what and by which network; it is written last: without it the
array is not whole.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fairseq_item import digests
from fairseq_item.data.arrays import open_mapped
from fairseq_item.data.sharded import items_digest, shard_names
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path

VERSION = 1
MEND = "run item-features again"


@dataclass(frozen=True)
class FeaturesMeta:
    """What ``features/{shard}.json`` says.

    Attributes:
        network: name of the network.
        weights: SHA-256 of its weights.
        dim: values a row.
        count: rows.
        items: SHA-256 of the items file that the rows belong to.
        version: version of this format.
        weights_file: where the weights were read, None for those of an installed package.
        array: SHA-256 of the array's file, "" where unknown.
    """

    network: str
    weights: str
    dim: int
    count: int
    items: str
    version: int = VERSION
    weights_file: str | None = None
    array: str = ""

    def of_network(self):
        """What tells one network from another, and where to find it: dict."""
        return {key: getattr(self, key) for key in ("network", "weights", "dim", "weights_file")}


def array_path(data, shard):
    return Path(data) / "features" / f"{shard}.npy"


def meta_path(data, shard):
    return Path(data) / "features" / f"{shard}.json"


def write_meta(data, shard, meta):
    with atomic_path(meta_path(data, shard)) as path:
        values = digests.sealed(asdict(meta))
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_meta(data, shard):
    """Read ``features/{shard}.json``.

    Raises:
        InputError: it is missing, damaged, changed or of another version.
    """
    path = meta_path(data, shard)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["version"] != VERSION:
            reason = f"has version {values['version']}, this program reads {VERSION}"
        else:
            meta = FeaturesMeta(**digests.unsealed(path, values, MEND))
            if _possible(meta):
                return meta
            reason = "is damaged"
    except FileNotFoundError:
        reason = "is missing, so there are no whole features"
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = f"is damaged ({' '.join(str(error).split())})"
    raise InputError(f"{path} {reason}; {MEND}")


def _possible(meta):
    texts = (meta.network, meta.weights, meta.items, meta.array, meta.weights_file or "")
    return (
        all(isinstance(text, str) for text in texts)
        and all(type(number) is int for number in (meta.dim, meta.count))
        and meta.dim >= 1
        and meta.count >= 0
    )


class Features:
    """The features of several shards, one after the other, mapped.

    Args:
        data: the data-bin folder.
        shards: list of names of items files; ``Features.open`` takes splits.

    Attributes:
        network: dict of the network: its name, digest of the weights, dim, weights file.

    Raises:
        InputError: a file is missing, damaged, or does not fit its items file or the other files.
    """

    def __init__(self, data, shards):
        self._source = data, shards
        metas = [read_meta(data, shard) for shard in shards]
        self.network = metas[0].of_network()
        for shard, meta in zip(shards, metas):
            if meta.items != items_digest(data, shard):
                raise InputError(
                    f"{meta_path(data, shard)} belongs to another items/{shard}.tsv; {MEND}"
                )
            check_same_network(
                self.network,
                meta.of_network(),
                (meta_path(data, shards[0]), meta_path(data, shard)),
                MEND,
            )
        for shard, meta in zip(shards, metas):
            path = array_path(data, shard)
            if meta.array and path.exists() and path.stat().st_size <= digests.CHEAP:
                _verify(path, meta)
        self._arrays = [
            open_mapped(array_path(data, shard), (meta.count, meta.dim), ("float16",), MEND)
            for shard, meta in zip(shards, metas)
        ]
        self._ends = np.cumsum([meta.count for meta in metas])

    @classmethod
    def open(cls, data, splits):
        """The features of all shards of ``splits``."""
        return cls(data, _shards(data, splits))

    def __reduce__(self):
        """Other processes map the files anew; a map that is pickled would be copied."""
        return Features, self._source

    def __len__(self):
        return int(self._ends[-1])

    def __getitem__(self, rows):
        """Some rows: a slice, or an array of positions, -1 for none, whose row is zeros.

        Returns:
            (b, d) float32.
        """
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        found = np.zeros((len(rows), self.network["dim"]), np.float32)
        shard = np.searchsorted(self._ends, rows, side="right")
        for number, array in enumerate(self._arrays):
            here = (shard == number) & (rows >= 0)
            found[here] = array[rows[here] - (self._ends[number] - len(array))]
        return found


def verify(data, shard):
    """Open the features of a shard and read them from end to end.

    Raises:
        InputError: a file is missing, damaged, or was changed after it was written.
    """
    Features(data, [shard])
    _verify(array_path(data, shard), read_meta(data, shard))


def _verify(path, meta):
    if meta.array and digests.digest(path)["sha256"] != meta.array:
        raise InputError(f"{path} is not the file that was written here; {MEND}")


def has_features(data, splits):
    """Whether all shards of ``splits`` have features, whole or not."""
    return all(meta_path(data, shard).exists() for shard in _shards(data, splits))


def _shards(data, splits):
    return [shard for split in splits for shard in shard_names(data, split)]


def check_same_network(one, other, names, mend):
    """Refuse features of two different networks, or of one beside none.

    Args:
        one, other: dicts as ``Features.network``, or None where there are no features.
        names: of both, for the message.
        mend: what to do about it.

    Raises:
        InputError: they differ.
    """
    if _identity(one) != _identity(other):
        raise InputError(f"{names[0]} has {_called(one)}, {names[1]} has {_called(other)}; {mend}")


def _identity(network):
    return network and (network["network"], network["weights"])


def _called(network):
    if not network:
        return "no image features"
    return f"features of {network['network']} (weights {network['weights'][:8]})"
