"""What ``pairs`` does with some items of an index: one method for each kind of part."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.search.duplicates import fuser_of, least_score, may_reach
from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.exact import Cpu, Gpu
from fairseq_item.search.fusion import Batch
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.item_queries import subset, untransformed
from fairseq_item.search.lexical import MEND, LexicalIndex, count_terms
from fairseq_item.search.near.lists import BLOCK, FusedRows, list_centres, nearest
from fairseq_item.search.near.rare_words import RareWords

ITEMS_A_PART, QUERIES_A_TIME, ITEMS_A_TIME, PAIRS_A_TIME = 8192, 1024, 16384, 4096
# Two storage positions, the smaller one first, and the smaller score of the two directions.
PAIR = np.dtype([("rows", np.int64, 2), ("score", np.float64)])


@dataclass
class Comparison:
    """The work of a process. Other processes are told the settings and open the index themselves.

    Args:
        folder: of the index.
        least: probability of a pair.
        device: "cpu", or the GPU that compares.
    """

    folder: str
    least: float
    device: str = "cpu"

    def __getstate__(self):
        return {"folder": self.folder, "least": self.least, "device": self.device}

    @cached_property
    def index(self):
        """The ``ItemIndex``; its items are queries as they are."""
        return untransformed(ItemIndex.load(self.folder))

    @cached_property
    def _fuser(self):
        return fuser_of(self.index)

    @cached_property
    def _reach(self):
        return least_score(self.index, self.least)

    @cached_property
    def _arithmetic(self):
        return (Cpu if self.device == "cpu" else Gpu)(self.device)

    def counts(self, start):
        """How often titles have each of their terms, as ``LexicalIndex`` has these: (m,) float32.

        Args:
            start: of ``ITEMS_A_PART`` items.
        """
        rows, known = self._rows(start), self.index.lexical
        counts = count_terms(self.index.items[int(row)].get("title", "") for row in rows)
        some = slice(known.starts[rows[0]], known.starts[rows[-1] + 1])
        if not np.array_equal(counts.indices, known.columns[some]):
            raise InputError(f"{self.folder} has other words than its titles; {MEND}")
        return counts.data

    def centres(self, lists, seed):
        """Centres of so many lists: (lists, D) float32."""
        return list_centres(FusedRows(self.index, self._fuser), len(self.index), lists, seed)

    def visits(self, centres, visits, start):
        """The lists that ``ITEMS_A_PART`` items from ``start`` visit: (b, visits) int32.

        Args:
            centres: file of :meth:`centres`.
        """
        rows, centres = FusedRows(self.index, self._fuser), np.load(centres)
        stop = min(start + ITEMS_A_PART, len(self.index))
        blocks = ((i, min(i + BLOCK, stop)) for i in range(start, stop, BLOCK))
        return np.concatenate([nearest(rows[i:j], centres, visits) for i, j in blocks])

    def within(self, counts, lists):
        """Pairs of the items that are at home in some lists with all that visit these.

        Args:
            counts: file of :meth:`counts` of all items, or None without titles.
            lists: list of (items at home, visitors from elsewhere), storage positions.

        Returns:
            PAIR array.
        """
        found = [np.zeros(0, PAIR)]
        for home, away in lists:
            members = np.concatenate([home, away])
            for first in range(0, len(members), ITEMS_A_TIME):
                items = members[first : first + ITEMS_A_TIME]
                some = subset(self.index, items)
                # Of two that are both at home, the pair is found from the one that comes first.
                for start in range(0, min(len(home), first + len(items)), QUERIES_A_TIME):
                    rows = home[start : start + QUERIES_A_TIME]
                    batch = self._batch(some, rows, counts)
                    for query, row in may_reach(batch, self._reach, self._arithmetic):
                        later = first + row > start + query
                        pairs = rows[query[later]], items[row[later]]
                        found.append(self._scored(*pairs, counts))
        return np.concatenate(found)

    def sharing(self, counts, words, start):
        """Pairs of ``ITEMS_A_PART`` titles from ``start`` with those that share rare words.

        Args:
            counts: as of :meth:`within`.
            words: file of ``RareWords``.

        Returns:
            PAIR array.
        """
        rows, words = self._rows(start), RareWords.load(words)
        pairs = words.pairs(self.index.lexical, rows[0], rows[-1] + 1)
        return self._scored(pairs[:, 0], pairs[:, 1], counts)

    def _rows(self, start):
        return np.arange(start, min(start + ITEMS_A_PART, len(self.index)))

    def _batch(self, items, rows, counts):
        """A ``Batch`` of some rows of the index, for ``items``."""
        asked = {name: self.index.vectors[name][rows] for name in EMBEDDINGS}
        if counts is not None:
            known = self.index.lexical
            counts = LexicalIndex(known.starts, known.columns, np.load(counts, mmap_mode="r"))
            asked["lexical"] = counts[rows]
        return Batch(items, self._fuser, asked, 1, np.full(len(rows), -1))

    def _scored(self, one, other, counts):
        """Which of the pairs (m,), (m,) are likely enough in both directions: PAIR array."""
        found = [np.zeros(0, PAIR)]
        for start in range(0, len(one), PAIRS_A_TIME):
            pairs = np.stack(
                [one[start : start + PAIRS_A_TIME], other[start : start + PAIRS_A_TIME]]
            )
            rows, places = np.unique(pairs, return_inverse=True)
            batch = self._batch(subset(self.index, rows), rows, counts)
            places = places.reshape(2, -1)
            score = self._exact(batch, *places)
            kept = score >= self._reach
            places, score = places[:, kept], score[kept]
            score = np.minimum(score, self._exact(batch, *places[::-1]))
            kept = score >= self._reach
            likely = np.zeros(kept.sum(), PAIR)
            likely["rows"], likely["score"] = np.sort(rows[places[:, kept]].T, axis=1), score[kept]
            found.append(likely)
        return np.concatenate(found)

    def _exact(self, batch, query, row):
        score = self._fuser(batch.similarities(query, row))
        return np.where(batch.allowed(query, row), score, -np.inf)
