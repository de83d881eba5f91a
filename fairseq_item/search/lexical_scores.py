"""Lexical similarities of a batch of queries with a block of the index, in float32.

Of the million columns a batch of queries has some thousands: these become a dense matrix (terms,
queries), and the block's rows, cut down to them, are multiplied with it. scipy adds whole rows of
that matrix, which is faster than finding what two sparse rows share.
"""

import numpy as np
from scipy import sparse

from fairseq_item.search.lexical import COLUMNS

# Float32 values of one dense matrix; queries of very many words are taken a few at a time.
MOST_VALUES = 1 << 24


class LexicalScores:
    """The terms of some queries.

    Args:
        counts: (q, COLUMNS) float32 CSR matrix: weights of the terms of each query.
    """

    def __init__(self, counts):
        terms = len(np.unique(counts.indices))
        some = max(1, MOST_VALUES // max(1, terms))
        self._parts = [_Part(counts[i : i + some]) for i in range(0, counts.shape[0], some)]

    def __call__(self, index, start, stop):
        """(stop - start, q) float32: products of rows of a ``LexicalIndex`` with the queries."""
        products = [part(index, start, stop) for part in self._parts]
        return products[0] if len(products) == 1 else np.concatenate(products, axis=1)


class _Part:
    def __init__(self, counts):
        terms, places = np.unique(counts.indices, return_inverse=True)
        self._numbers = np.full(COLUMNS, -1, np.int32)
        self._numbers[terms] = np.arange(len(terms))
        shape = len(terms), counts.shape[0]
        matrix = sparse.csc_matrix((counts.data, places, counts.indptr), shape)
        self._dense = matrix.toarray(order="C")

    def __call__(self, index, start, stop):
        return index.stretch(start, stop, self._numbers, len(self._dense)) @ self._dense
