"""Titles compared by the words or characters they share: TF-IDF, BM25, character n-grams.

Each function takes titles and gives two sparse matrices: the product of their rows is the
similarity of a query and an item. How rare a word is, is counted among the items alone.
"""

import numpy as np

from fairseq_item.errors import InputError

WORD = r"(?u)\b\w+\b"  # letters and digits; all titles are read in lower case
NGRAMS = (2, 3)
K1, B = 1.5, 0.75


def tfidf(queries, items):
    """TF-IDF cosine of words.

    Args:
        queries: list of q titles.
        items: list of n titles.

    Returns:
        (q, w) and (n, w) sparse float64.

    Raises:
        InputError: no item has a word.
    """
    return _tfidf(queries, items, token_pattern=WORD)


def ngrams(queries, items):
    """TF-IDF cosine of 2 or 3 characters of a word, with 1 + log(tf); otherwise as ``tfidf``."""
    return _tfidf(queries, items, analyzer="char_wb", ngram_range=NGRAMS, sublinear_tf=True)


def _tfidf(queries, items, **options):
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(**options)
    known = _fit(vectorizer, items)
    return vectorizer.transform(queries), known


def bm25(queries, items, k1=K1, b=B):
    """BM25 of words (Robertson and Zaragoza 2009), with Lucene's idf, which is never negative.

    Args:
        queries, items: as for :func:`tfidf`.
        k1: how much more a word counts that a title repeats; 0: no more.
        b: how much is taken off for the length of a title, 0 to 1.

    Returns:
        (q, w) counts of words, and (n, w) what each word of an item is worth; sparse float64.

    Raises:
        InputError: no item has a word.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(token_pattern=WORD, dtype=np.float64)
    worth = _fit(vectorizer, items)
    words, counts = worth.indices, worth.data
    having = np.bincount(words, minlength=worth.shape[1])
    idf = np.log1p((len(items) - having + 0.5) / (having + 0.5))
    lengths = np.asarray(worth.sum(axis=1)).ravel()
    saturation = np.repeat(k1 * (1 - b + b * lengths / lengths.mean()), np.diff(worth.indptr))
    worth.data = idf[words] * counts * (k1 + 1) / (counts + saturation)
    return vectorizer.transform(queries), worth


def _fit(vectorizer, items):
    try:
        return vectorizer.fit_transform(items)
    except ValueError:
        raise InputError(
            "the index has no title with a word in it; tfidf, ngrams and bm25 need titles"
        ) from None
