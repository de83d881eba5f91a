"""``item-baseline``: what needs no training, to hold a model's scores against.

``tfidf`` compares titles by the words they share, ``pixels`` compares images by the colours of an
8 x 8 grid. Both write hits as ``item-search`` does. The items are ``items/{split}.tsv`` files of
data-bins; ``pixels`` reads the images that lie beside them, in ``image/{split}.bin``.
"""

from pathlib import Path

import numpy as np

from fairseq_item.data.tables import read_table, unique_ids
from fairseq_item.errors import InputError
from fairseq_item.progress import progress
from fairseq_item.search.hits import Hit

DECIMALS = 7
QUERIES_A_TIME = 256
GRID = 8


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


def tfidf(queries, items, k):
    """Rank items by TF-IDF cosine of titles: lower case, words of letters and digits.

    Args:
        queries: list of q titles.
        items: list of n titles; word frequencies are theirs alone.
        k: answers a query, at most.

    Yields:
        (positions, cosines): best first; only items that share a word with the query.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(lowercase=True, token_pattern=r"(?u)\b\w+\b")
    try:
        words = vectorizer.fit_transform(items).T.tocsr()
    except ValueError:
        raise InputError("the index has no title with a word in it; tfidf needs titles") from None
    for start in range(0, len(queries), QUERIES_A_TIME):
        asked = vectorizer.transform(queries[start : start + QUERIES_A_TIME])
        products = asked @ words
        products.sort_indices()
        for row in range(products.shape[0]):
            some = slice(*products.indptr[row : row + 2])
            values = products.data[some].round(DECIMALS)
            best = top_k(values, k)
            yield products.indices[some][best], values[best]


def pixels(queries, items, k):
    """Rank items by the cosine of their images' grids of mean colours, less the index's mean.

    Args:
        queries: (q, d) float.
        items: (n, d) float.
        k: answers a query, at most.

    Yields:
        (positions, cosines): best first.
    """
    mean = items.mean(axis=0)
    items = _directions(items - mean)
    for start in range(0, len(queries), QUERIES_A_TIME):
        asked = _directions(queries[start : start + QUERIES_A_TIME] - mean)
        for row in (asked @ items.T).round(DECIMALS):
            best = top_k(row, k)
            yield best, row[best]


def _directions(rows):
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def mean_colours(store):
    """Mean colours of a grid over each image of an ``ImageStore``: (n, GRID * GRID * 3)."""
    grids = np.zeros((len(store), GRID * GRID * 3), np.float32)
    for i in progress(range(len(store)), "mean colours", unit="image"):
        image = store.image(i)
        edges = np.arange(GRID) * len(image) // GRID
        sums = np.add.reduceat(np.add.reduceat(image.astype(np.float64), edges, 0), edges, 1)
        sizes = np.diff(np.append(edges, len(image)))
        grids[i] = (sums / (sizes[:, None, None] * sizes[None, :, None])).ravel()
    return grids


def read_items(paths):
    """Ids and titles of items files, one after the other.

    Raises:
        InputError: a file cannot be used, or an id occurs twice.
    """
    ids, titles, origin = [], [], {}
    for path in paths:
        items = read_table(path, ["id", "title"])
        for name in unique_ids(items, path):
            if name in origin:
                raise InputError(f"{path} has the id {name!r} of {origin[name]}; give it its own")
            origin[name] = path
        ids += items.column("id")
        titles += items.column("title")
    return ids, titles


def read_grids(paths):
    """Mean colours of the images beside items files, one file after the other.

    Raises:
        InputError: an items file does not lie in a data-bin with as many images.
    """
    from fairseq_item.data.image_store import ImageStore

    grids = []
    for path in map(Path, paths):
        store = ImageStore(path.resolve().parent.parent / "image" / path.stem)
        count = len(read_table(path, ["id"]))
        if len(store) != count:
            raise InputError(f"{path} has {count} items, {store.prefix}.bin {len(store)} images")
        grids.append(mean_colours(store))
    return np.concatenate(grids)


def baseline(method, query_paths, index_paths, k):
    """Hits of a baseline.

    Args:
        method: "tfidf" or "pixels".
        query_paths, index_paths: items files.
        k: answers a query, at most.

    Returns:
        dict: query id -> list of ``Hit``.
    """
    query_ids, query_titles = read_items(query_paths)
    item_ids, item_titles = read_items(index_paths)
    absent = float("nan")
    if method == "tfidf":
        answers = tfidf(query_titles, item_titles, k)
    else:
        answers = pixels(read_grids(query_paths), read_grids(index_paths), k)
    hits = {}
    for query, (rows, scores) in zip(query_ids, answers):
        hits[query] = []
        for row, score in zip(rows, map(float, scores)):
            parts = (absent, score, absent) if method == "tfidf" else (absent, absent, score)
            hits[query].append(Hit(item_ids[row], score, parts))
    return hits
