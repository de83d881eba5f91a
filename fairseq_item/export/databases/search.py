"""Exact fused search in a database that lists vectors and sparse rows by their inner products.

The score of an item is the sum of two inner products (see ``search.fused_vectors``), each of which
the database lists best first. What neither list has got to scores at most the sum of their last
entries: once the k-th best item seen reaches that, no other can be among the first k. Until then
the lists are read further (the threshold algorithm of Fagin, Lotem and Naor, "Optimal aggregation
algorithms for middleware", 2003). Where a database lists approximately, the answers are as good as
its lists.
"""

import logging
from abc import ABC, abstractmethod

import numpy as np

from fairseq_item.search.fused_vectors import masks, sharing

logger = logging.getLogger(__name__)
# Times k entries are asked for at first, which nearly always do, and then times as many each time.
FURTHER = 4
# Of scores, where float32's rounding might decide.
SLACK = 1e-5


class Database(ABC):
    """A collection of fused items. ``most``: entries that one of its lists can have, at most."""

    most = 1 << 62

    @abstractmethod
    def write(self, folder):
        """Write the items of a ``FusedFolder``.

        Raises:
            InputError: the collection is there already.
        """

    @abstractmethod
    def dense(self, vector, having, k, among=None):
        """The best items by the inner product of their vectors: dict row -> score, best first.

        Args:
            vector: (D,) float32.
            having: masks of which an item has one, see ``fused_vectors.masks``.
            k: how many, at most.
            among: list of rows that it may be, None for all.
        """

    @abstractmethod
    def sparse(self, columns, weights, k, among=None):
        """The same by sparse rows, of the items that share a column: dict row -> score.

        Args:
            columns, weights: lists of int and float.
            k, among: as of :meth:`dense`.
        """

    @abstractmethod
    def ids(self, rows):
        """Ids of the items in rows: dict row -> str."""


def search(database, queries, k):
    """Answer queries.

    Args:
        database: :class:`Database`.
        queries: ``FusedFolder`` of queries that go with the items.
        k: answers a query, at most.

    Yields:
        (query id, list of (item id, score), best first).
    """
    having = masks(np.asarray(queries.present))
    for row, name in enumerate(queries.ids):
        terms = None if queries.lexical is None else queries.lexical[row]
        shared = sharing(int(having[row]), queries.present.shape[1])
        found = best(database, np.asarray(queries.vectors[row]), shared, terms, k) if shared else []
        ids = database.ids([item for item, _ in found]) if found else {}
        yield name, [(ids[item], score) for item, score in found]


def best(database, vector, having, terms, k):
    """The first k items of one query: list of (row, score), best first.

    Args:
        database, vector, having: as of :meth:`Database.dense`.
        terms: (1, COLUMNS) CSR matrix, or None.
        k: how many, at most.
    """
    if terms is None or not terms.nnz:
        return list(database.dense(vector, having, k).items())
    terms, width = (terms.indices.tolist(), terms.data.tolist()), min(FURTHER * k, database.most)
    while True:
        dense = database.dense(vector, having, width)
        sparse = database.sparse(*terms, width)
        scores = _completed(database, vector, having, terms, dense, sparse, width)
        ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
        if len(dense) < width:  # these are all
            return ranked
        unseen = _last(dense) + (_last(sparse) if len(sparse) == width else 0)
        if len(ranked) == k and ranked[-1][1] > unseen + SLACK * (1 + abs(unseen)):
            return ranked
        if width == database.most:
            logger.warning("lists of %d entries do not prove the order of answers", width)
            return ranked
        width = min(FURTHER * width, database.most)


def _completed(database, vector, having, terms, dense, sparse, width):
    """Row -> score of what is in either list; what the other has of it is asked for.

    A list that is shorter than ``width`` has all that there is.
    """
    ended = len(sparse) < width
    some = [row for row in sparse if row not in dense]
    if some:
        dense = dense | database.dense(vector, having, len(some), some)
    some = [row for row in dense if row not in sparse]
    if some and not ended:
        sparse = sparse | database.sparse(*terms, len(some), some)
    return {row: score + sparse.get(row, 0) for row, score in dense.items()}


def _last(scores):
    return next(reversed(scores.values()))
