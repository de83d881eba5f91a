"""The best k of similarities, equal ones by position."""

import numpy as np

DECIMALS = 7  # what is closer than that counts as equal
BLOCK = 2**24  # similarities in memory at once


def top_k(similarities, k):
    """Positions of the k largest values of a row, equal ones by position.

    Args:
        similarities: (n,) float.
        k: how many, at most.
    """
    k = min(k, len(similarities))
    if k == 0:
        return np.zeros(0, np.int64)
    kth = np.partition(similarities, len(similarities) - k)[len(similarities) - k]
    candidates = np.flatnonzero(similarities >= kth)
    return candidates[np.argsort(-similarities[candidates], kind="stable")[:k]]


def blocks(queries, items):
    """Slices of ``queries`` rows that have ``BLOCK`` similarities with ``items`` rows, at most."""
    size = max(1, BLOCK // max(1, items))
    return (slice(start, start + size) for start in range(0, queries, size))


def rank_sparse(queries, items, k):
    """Rank items by the products of sparse rows.

    Args:
        queries: (q, w) sparse.
        items: (n, w) sparse.
        k: answers a query, at most.

    Yields:
        (positions, similarities): best first; only items that share a column with the query.
    """
    columns = items.T.tocsr()
    for some in blocks(queries.shape[0], items.shape[0]):
        products = (queries[some] @ columns).tocsr()
        products.sort_indices()
        for row in range(products.shape[0]):
            shared = slice(*products.indptr[row : row + 2])
            values = products.data[shared].round(DECIMALS)
            best = top_k(values, k)
            yield products.indices[shared][best], values[best]


def rank_dense(queries, items, k):
    """Rank items by the products of dense rows (q, d) and (n, d); yields as ``rank_sparse``."""
    for some in blocks(len(queries), len(items)):
        for row in (queries[some] @ items.T).round(DECIMALS):
            best = top_k(row, k)
            yield best, row[best]


def directions(rows):
    """Rows (n, d) of length 1; rows of zeros stay zeros."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)
