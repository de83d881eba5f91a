"""One answer a product where the index has several rows (photos) of it: the best of them."""

import numpy as np

from fairseq_item.data.siblings import Siblings
from fairseq_item.errors import InputError


def products_of(index, path, column):
    """Which rows of an index count as one: int64 (n,), equal where ``column`` is.

    Args:
        index: ``ItemIndex``.
        path: where it lies, for the error.
        column: of its items; rows that leave it empty stay on their own.

    Raises:
        InputError: the items have no such column.
    """
    if column not in index.items.fieldnames:
        raise InputError(
            f"{path} has no column {column!r} (it has {', '.join(index.items.fieldnames)}); name "
            "one of those, or add it to the catalogue and run from item-pack on"
        )
    return Siblings(index.items.column(column)).product


def product_search(search, queries, k, products, exclude):
    """The k best products of each query, each by its best row.

    The best w rows, where they are of k products, have the best k of them, each with its best row:
    all other rows rank behind. Where they are of fewer, twice as many rows are asked for, until
    they are of k or there are no more. So the answer is as exact as the search.

    Args:
        search: function of queries, how many rows to find, and ``exclude=``: ``search.Results``.
        queries: as ``search.fused_search`` takes them.
        k: products a query.
        products: (n,) int64, of :func:`products_of`.
        exclude: (q,) rows not to be returned, -1 for none.

    Returns:
        ``search.Results``, at most k answers a query.
    """
    width, pending = min(2 * k, len(products)), np.arange(len(exclude))
    results = None
    while len(pending):
        asked = {name: [rows[i] for i in pending] for name, rows in queries.items()}
        asked = {n: rows if n == "lexical" else np.stack(rows) for n, rows in asked.items()}
        found = search(asked, width, exclude=exclude[pending])
        results = results or found.empty(len(exclude), min(k, len(products)))
        short = []
        for i, query in enumerate(pending):
            rows = found.rows[i][found.rows[i] >= 0]
            best = np.sort(np.unique(products[rows], return_index=True)[1])[:k]
            if len(best) < k and len(rows) == width < len(products):
                short.append(query)
            for name in ("rows", "scores", "similarities"):
                getattr(results, name)[query, : len(best)] = getattr(found, name)[i, best]
        pending, width = np.array(short, np.int64), min(2 * width, len(products))
    return results
