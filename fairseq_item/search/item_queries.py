"""Items of an index as queries of it: their vectors are transformed already."""

from copy import copy

import numpy as np

from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.transforms import Identity


def as_queries(index, rows):
    """What a search takes to find more like some items.

    Args:
        index: ``ItemIndex``.
        rows: (q,) storage positions.

    Returns:
        (an ``ItemIndex`` to be searched, which does not transform queries; dict: the queries, as
        ``fused_search`` takes them).
    """
    plain = copy(index)
    plain.transforms = dict.fromkeys(EMBEDDINGS, Identity())
    rows = np.asarray(rows)
    asked = {name: index.vectors[name][rows] for name in EMBEDDINGS}
    asked["lexical"] = [index.items[int(row)].get("title", "") for row in rows]
    return plain, asked
