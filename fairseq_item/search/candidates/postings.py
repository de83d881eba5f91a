"""Candidates by words: for each term the titles that have it, so that few need be looked at.

It is the matrix of ``lexical`` by columns: ``postings.starts.npy`` (COLUMNS + 1,) where each column
begins, ``postings.rows.npy`` int32, ascending within a column, and ``postings.weights.npy``
float16; the last two are mapped. Weights this short choose candidates; the score is ``lexical``'s.

A query's terms are taken from the rarest on for as long as their postings together are within a
limit; the rarest is always taken. What common words add is left to whoever scores the candidates.
"""

from pathlib import Path

import numpy as np

from fairseq_item.data.arrays import create_mapped, open_mapped, save_array
from fairseq_item.errors import InputError
from fairseq_item.search.by_word import column_starts, write_by_word
from fairseq_item.search.index import POSTINGS
from fairseq_item.search.lexical import COLUMNS, MEND, open_starts
from fairseq_item.search.vectors import release


def postings_paths(folder):
    """Where the columns' beginnings, the rows and the weights lie."""
    return [Path(folder) / name for name in POSTINGS]


def write_postings(lexical, folder):
    """Write the files; ``lexical`` is a ``LexicalIndex``, read twice, a stretch at a time."""
    paths = postings_paths(folder)
    starts = column_starts(lexical.title_counts())
    save_array(paths[0], starts)
    total = int(starts[-1])
    rows, weights = (
        create_mapped(path, kind, (total,)) for path, kind in zip(paths[1:], (np.int32, np.float16))
    )
    write_by_word(lexical, np.ones(COLUMNS, bool), starts, rows, weights)
    for array in (rows, weights, lexical.columns, lexical.weights):
        release(array)


class Postings:
    """The titles of an index by their terms.

    Args:
        starts: (COLUMNS + 1,) int64.
        rows: (m,) int32.
        weights: (m,) float16.
        count: number of titles.
    """

    def __init__(self, starts, rows, weights, count):
        # Plain arrays: a memory map takes as long to slice as a short one to read.
        self.starts, self.rows, self.weights = starts, np.asarray(rows), np.asarray(weights)
        self.count = count

    @classmethod
    def open(cls, folder, count):
        """Map the files of a folder with ``count`` items.

        Raises:
            InputError: one is missing or does not fit.
        """
        paths = postings_paths(folder)
        starts = open_starts(paths[0], COLUMNS)
        rows, weights = (
            open_mapped(path, (int(starts[-1]),), (kind,), MEND)
            for path, kind in zip(paths[1:], ("int32", "float16"))
        )
        if len(rows) and (rows.min() < 0 or rows.max() >= count):
            raise InputError(f"{paths[1]} is damaged; {MEND}")
        release(rows)
        return cls(starts, rows, weights, count)

    def best(self, columns, counts, limit, most, totals):
        """Some titles with the rarest terms of a query, those of most weight.

        Args:
            columns, counts: (t,) the query's terms, and how often it has each.
            limit: postings to be looked at.
            most: titles to be returned, at most.
            totals: (count,) float32 zeros to work with; they are zeros again afterwards.

        Returns:
            (m,) int64 positions, ascending.
        """
        sizes = self.starts[columns + 1] - self.starts[columns]
        order = np.argsort(sizes, kind="stable")
        order = order[sizes[order] > 0]
        taken = np.cumsum(sizes[order]) <= limit
        taken[:1] = True
        found = []
        for term in order[taken]:
            some = slice(self.starts[columns[term]], self.starts[columns[term] + 1])
            rows = self.rows[some]
            totals[rows] += self.weights[some].astype(np.float32) * counts[term]
            found.append(rows)
        if not found:
            return np.zeros(0, np.int64)
        rows = np.concatenate(found)
        weight = totals[rows]
        totals[rows] = 0
        if len(rows) > most:
            # A title is listed once for each of its terms: more are kept than are wanted.
            rows = _heaviest(rows, weight, most)
        return np.unique(rows).astype(np.int64)


def _heaviest(rows, weight, most):
    """The ``most`` different rows of most weight, each perhaps several times."""
    kept = min(len(rows), 4 * most)
    some = np.argpartition(-weight, kept - 1)[:kept] if kept < len(rows) else np.arange(len(rows))
    different, first = np.unique(rows[some], return_index=True)
    if len(different) <= most:
        return different
    weight = weight[some][first]
    return different[np.argpartition(-weight, most - 1)[:most]]
