"""The titles of an index by their words: the matrix of ``lexical`` by columns."""

import numpy as np

from fairseq_item.search.fusion import rank
from fairseq_item.search.lexical import COLUMNS


def column_starts(counts):
    """(COLUMNS + 1,) int64: where each column begins and the last one ends, of their sizes."""
    return np.concatenate([[0], np.cumsum(counts)])


def write_by_word(lexical, kept, starts, titles, weights):
    """Fill two arrays with the entries of some columns, one column after the other.

    Args:
        lexical: ``LexicalIndex``, read a stretch at a time.
        kept: (COLUMNS,) bool, which columns.
        starts: (COLUMNS + 1,), where each column begins in the arrays.
        titles: (m,) to be filled with storage positions, ascending within a column.
        weights: (m,) to be filled with their weights.
    """
    free = starts[:-1].copy()
    for start, stop in lexical.stretches():
        columns = np.asarray(lexical.columns[start:stop])
        entries = np.flatnonzero(kept[columns])
        entries = entries[np.argsort(columns[entries], kind="stable")]
        columns = columns[entries]
        where = free[columns] + rank(columns)
        titles[where] = np.searchsorted(lexical.starts, start + entries, side="right") - 1
        weights[where] = lexical.weights[start:stop][entries]
        free += np.bincount(columns, minlength=COLUMNS)
