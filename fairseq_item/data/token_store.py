"""Token ids on disk, as ``fairseq-preprocess`` stores them."""

import numpy as np

from fairseq_item.data.mmap_index import MMapIndex, MMapIndexWriter
from fairseq_item.data.titles import EOS


class TokenStore(MMapIndex):
    """The tokenised titles (or labels) of a split: ``prefix.bin`` and ``prefix.idx``.

    ``store[i]`` is a read-only view of the ids of item ``i``, ``</s>`` included; their dtype is
    the stored one, usually uint16, so convert before doing arithmetic.

    Attributes:
        sizes: int32 array of shape (count,), ids an item, ``</s>`` included.
    """


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
    """

    def __init__(self, prefix, vocabulary_size):
        super().__init__(prefix, token_dtype(vocabulary_size))

    def add(self, ids):
        """Append one item: its ids, to which ``</s>`` is added here."""
        super().add(np.append(np.asarray(ids, np.int64), EOS))
