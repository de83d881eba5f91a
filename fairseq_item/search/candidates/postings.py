"""Candidates by words: for each term the titles that have it, so that few need be looked at.

It is the matrix of ``lexical`` by columns: ``postings.starts.npy`` (COLUMNS + 1,) where each column
begins, ``postings.rows.npy`` int32, ascending within a column, and ``postings.weights.npy``
float16; the last two are mapped. Weights this short choose candidates; the score is ``lexical``'s.

A query's terms are taken from the rarest on for as long as their postings together are within a
limit; the rarest is always taken. What common words add is left to whoever scores the candidates.
"""

from pathlib import Path

import numpy as np
from scipy import sparse

from fairseq_item.data.arrays import create_mapped, open_mapped, save_array
from fairseq_item.errors import InputError
from fairseq_item.search.by_word import column_starts, write_by_word
from fairseq_item.search.index import POSTINGS
from fairseq_item.search.lexical import COLUMNS, MEND, open_starts
from fairseq_item.search.vectors import half_to_float32, release


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

    def best(self, columns, counts, limit, most):
        """Some titles with the rarest terms of a query, those of most weight.

        Args:
            columns, counts: (t,) the query's terms, and how often it has each.
            limit: postings to be looked at.
            most: titles to be returned, at most.

        Returns:
            (m,) int64 positions, ascending.
        """
        begin = self.starts[columns]
        sizes = self.starts[columns + 1] - begin
        terms = np.argsort(sizes, kind="stable")
        terms = terms[sizes[terms] > 0]
        taken = np.cumsum(sizes[terms]) <= limit
        taken[:1] = True
        terms = terms[taken]
        if not len(terms):
            return np.zeros(0, np.int64)
        begin, sizes = begin[terms], sizes[terms]
        some = [slice(i, i + n) for i, n in zip(begin.tolist(), sizes.tolist())]
        rows = np.concatenate([self.rows[one] for one in some])
        weights = half_to_float32(np.concatenate([self.weights[one] for one in some]))
        ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        # scipy adds them up in a quarter of the time that NumPy's fancy indexing takes.
        matrix = sparse.csc_matrix((weights, rows, ends), (self.count, len(terms)))
        totals = matrix @ counts[terms].astype(np.float32)
        return _heaviest(rows, totals[rows], most)


def _heaviest(rows, weights, most):
    """The ``most`` different rows of most weight, ascending; a row may be there several times."""
    kept = 4 * most  # a title is listed once for each of its terms
    if len(rows) > kept:
        least = np.partition(weights, -kept)[-kept]
        enough = np.flatnonzero(weights >= least)
        rows, weights = rows[enough], weights[enough]
    rows, first = np.unique(rows, return_index=True)
    if len(rows) > most:
        rows = np.sort(rows[np.argpartition(-weights[first], most - 1)[:most]])
    return rows.astype(np.int64)
