"""Pairs of titles that share rare words: candidates that vectors may miss.

A word is rare that at most ``MOST_TITLES`` titles have. Two titles share as much as the product of
their BM25 weights of rare words, summed; of each title the ``MOST_PAIRS`` that share most with it
are taken.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from fairseq_item.search.by_word import column_starts, write_by_word
from fairseq_item.search.fusion import rank
from fairseq_item.search.lexical import COLUMNS

MOST_TITLES, MOST_PAIRS, TITLES_A_TIME = 64, 16, 2048


class RareWords(NamedTuple):
    """Which titles have each rare word.

    Attributes:
        starts: (COLUMNS + 1,), where each column's titles begin; none of a frequent one.
        titles: (m,) storage positions, ascending within a column.
        weights: (m,) float32.
    """

    starts: np.ndarray
    titles: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, lexical, most=MOST_TITLES):
        """The rare words of a ``LexicalIndex``, read a stretch at a time."""
        counts = lexical.title_counts()
        rare = (counts > 1) & (counts <= most)
        starts = column_starts(np.where(rare, counts, 0))
        # scipy would copy the two into one type.
        kind = np.int32 if max(starts[-1], len(lexical)) < 2**31 else np.int64
        titles, weights = np.empty(starts[-1], kind), np.empty(starts[-1], np.float32)
        write_by_word(lexical, rare, starts, titles, weights)
        return cls(starts.astype(kind), titles, weights)

    @classmethod
    def load(cls, path):
        """Those of a file that ``numpy.savez`` wrote."""
        with np.load(path) as arrays:
            return cls(**arrays)

    def pairs(self, lexical, start, stop):
        """Candidates of titles ``start`` to ``stop``: (m, 2) int64, the smaller position first."""
        matrix = sparse.csr_matrix(
            (self.weights, self.titles, self.starts), (COLUMNS, len(lexical))
        )
        found = [np.zeros((0, 2), np.int64)]
        for begin in range(start, stop, TITLES_A_TIME):
            end = min(begin + TITLES_A_TIME, stop)
            shared = (lexical[np.arange(begin, end)] @ matrix).tocoo()
            one, other = shared.row.astype(np.int64) + begin, shared.col.astype(np.int64)
            most = np.lexsort((other, -shared.data, one))
            most = most[one[most] != other[most]]
            most = most[rank(one[most]) < MOST_PAIRS]
            found.append(np.sort(np.stack([one[most], other[most]], axis=1), axis=1))
        return np.unique(np.concatenate(found), axis=0)
