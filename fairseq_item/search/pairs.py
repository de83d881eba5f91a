"""Pairs of a query and an item, kept by score."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Pairs:
    """Exactly scored pairs.

    Attributes:
        query, row: (m,) int64, position of the query in its block and of the item in the index.
        score: (m,) float64.
        similarities: (m, 3) float64.
    """

    query: np.ndarray
    row: np.ndarray
    score: np.ndarray
    similarities: np.ndarray

    def best(self, width):
        """The first ``width`` of each query, ordered by query and rank."""
        order = np.lexsort((self.row, -self.score, self.query))
        kept = order[rank(self.query[order]) < width]
        kept = kept[self.score[kept] > -np.inf]
        return Pairs(self.query[kept], self.row[kept], self.score[kept], self.similarities[kept])

    def join(self, other):
        fields = ("query", "row", "score", "similarities")
        return Pairs(*(np.concatenate([getattr(self, f), getattr(other, f)]) for f in fields))


class Pool:
    """Pairs of which only bounds of the score are known, as far as they may be among the best.

    Args:
        count: number of queries.
        width: how many of each query's best are asked for.

    Attributes:
        floor: (count,) float64, what the last of each query's best is known to reach.
        query, row, low, high: (m,) arrays.
    """

    def __init__(self, count, width):
        self.width, self.floor = width, np.full(count, -np.inf)
        self.put(*(np.zeros(0, kind) for kind in (np.int64, np.int64, np.float64, np.float64)))

    def put(self, query, row, low, high):
        """Hold these pairs and no others."""
        self.query, self.row, self.low, self.high = query, row, low, high
        self.settled = len(query)

    def add(self, query, row, low, high):
        """Hold these pairs as well."""
        self.query, self.row = np.append(self.query, query), np.append(self.row, row)
        self.low, self.high = np.append(self.low, low), np.append(self.high, high)

    def __len__(self):
        return len(self.query)

    def take(self, which):
        """Hold only the pairs at these places."""
        self.put(self.query[which], self.row[which], self.low[which], self.high[which])

    def prune(self):
        """Raise the floors to each query's ``width``-th lower bound, and drop what is below."""
        self.take(np.lexsort((-self.low, self.query)))
        last = rank(self.query) == self.width - 1
        floor = self.floor.copy()
        floor[self.query[last]] = np.maximum(floor[self.query[last]], self.low[last])
        self.floor = floor
        self.take(self.high >= floor[self.query])


def rank(groups):
    """Position of each element within its run of equal values; ``groups`` is ascending."""
    first = np.searchsorted(groups, groups, side="left")
    return np.arange(len(groups)) - first
