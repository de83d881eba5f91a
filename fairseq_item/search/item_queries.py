"""Items of an index as queries of it, and as an index of their own."""

from copy import copy

import numpy as np

from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.transforms import Identity
from fairseq_item.search.vectors import Vectors, release


def as_queries(index, rows):
    """What a search takes to find more like some items: their vectors are transformed already.

    Args:
        index: ``ItemIndex``.
        rows: (q,) storage positions.

    Returns:
        (an ``ItemIndex`` to be searched, which does not transform queries; dict: the queries, as
        ``fused_search`` takes them).
    """
    plain, rows = untransformed(index), np.asarray(rows)
    asked = {name: index.vectors[name][rows] for name in EMBEDDINGS}
    asked["lexical"] = [index.items[int(row)].get("title", "") for row in rows]
    return plain, asked


def untransformed(index):
    """An index whose queries are transformed already."""
    plain = copy(index)
    plain.transforms = dict.fromkeys(EMBEDDINGS, Identity())
    return plain


def subset(index, rows):
    """Some items as an ``ItemIndex`` in memory, without their columns, to be compared with.

    Args:
        index: ``ItemIndex``.
        rows: (m,) storage positions, its items' order. Scores are those that ``index`` gives.
    """
    some = copy(index)
    some.vectors = {name: _rows(vectors, rows) for name, vectors in index.vectors.items()}
    some.lexical = index.lexical and index.lexical.take(rows)
    some.present, some.items = index.present[rows], None
    return some


def _rows(vectors, rows):
    """Some rows of ``Vectors`` as they are stored."""
    found = Vectors(vectors.stored[rows], None if vectors.scales is None else vectors.scales[rows])
    release(vectors.stored)
    return found
