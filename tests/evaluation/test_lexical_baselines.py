import math
import re
from collections import Counter

import numpy as np
import pytest

from fairseq_item.errors import InputError
from fairseq_item.evaluation import lexical_baselines
from fairseq_item.evaluation.ranking import rank_sparse

WORDS = ["nike", "red", "shoe", "men", "x", "Blue", "bag", "7", "CAFÉ", "sari", "watch", "t"]


def titles(count, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(0, 6))) for _ in range(count)]


QUERIES, ITEMS = titles(10, 0) + ["unknown word", "", "red red bag"], titles(60, 1)


def words(title):
    return re.findall(r"\w+", title.lower())


def letters(title):
    """Two or three characters of each word, between two spaces."""
    padded = [f" {word} " for word in title.lower().split()]
    return [word[i : i + n] for word in padded for n in (2, 3) for i in range(len(word) - n + 1)]


def brute_tfidf(queries, items, split, times=lambda n: n):
    """Cosines of times(tf) * (1 + log((1 + n) / (1 + df))), written out term by term."""
    df = Counter(term for title in items for term in set(split(title)))
    idf = {term: 1 + math.log((1 + len(items)) / (1 + n)) for term, n in df.items()}

    def vector(title):
        terms = Counter(split(title)).items()
        counts = {term: times(n) * idf[term] for term, n in terms if term in idf}
        norm = math.sqrt(sum(v * v for v in counts.values())) or 1
        return {term: v / norm for term, v in counts.items()}

    vectors = [vector(title) for title in items]
    return [
        [sum(v * item.get(w, 0) for w, v in query.items()) for item in vectors]
        for query in map(vector, queries)
    ]


def brute_bm25(queries, items, k1, b):
    """The sum over a query's words of idf and saturated counts, written out word by word."""
    bags = [Counter(words(title)) for title in items]
    mean = sum(sum(bag.values()) for bag in bags) / len(bags)

    def score(query, bag):
        total = 0
        for word in words(query):
            df = sum(word in other for other in bags)
            if word in bag:
                idf = math.log(1 + (len(bags) - df + 0.5) / (df + 0.5))
                longer = 1 - b + b * sum(bag.values()) / mean
                total += idf * bag[word] * (k1 + 1) / (bag[word] + k1 * longer)
        return total

    return [[score(query, bag) for bag in bags] for query in queries]


def test_tfidf_equals_dense_brute_force():
    queries, items = lexical_baselines.tfidf(QUERIES, ITEMS)
    expected = brute_tfidf(QUERIES, ITEMS, words)
    np.testing.assert_allclose((queries @ items.T).toarray(), expected, atol=1e-9)
    found = list(rank_sparse(queries, items, 8))
    assert len(found) == len(QUERIES)
    for (rows, scores), cosines in zip(found, np.round(expected, 7)):
        ranked = sorted((-s, i) for i, s in enumerate(cosines) if s > 0)[:8]
        assert rows.tolist() == [i for _, i in ranked]
        np.testing.assert_allclose(scores, [-s for s, _ in ranked], atol=2e-7)


def test_ngrams_equal_brute_force():
    queries, items = lexical_baselines.ngrams(QUERIES, ITEMS)
    expected = brute_tfidf(QUERIES, ITEMS, letters, lambda n: 1 + math.log(n))
    np.testing.assert_allclose((queries @ items.T).toarray(), expected, atol=1e-9)


def test_ngrams_find_what_words_miss():
    items = ["cable usb 2m", "trainers white", "FTM-663 camera", "sandals"]
    for query, position in [("FTM663", 2), ("sandal", 3), ("トtrainer", 1)]:
        (rows, _), *_ = rank_sparse(*lexical_baselines.ngrams([query], items), 1)
        assert rows.tolist() == [position]
    (rows, _), *_ = rank_sparse(*lexical_baselines.tfidf(["FTM663"], items), 1)
    assert rows.tolist() == []


@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0, 0.5), (2, 0), (0.9, 1)])
def test_bm25_equals_brute_force(k1, b):
    queries, items = lexical_baselines.bm25(QUERIES, ITEMS, k1, b)
    expected = brute_bm25(QUERIES, ITEMS, k1, b)
    np.testing.assert_allclose((queries @ items.T).toarray(), expected, atol=1e-9)
    assert np.any(expected)


@pytest.mark.parametrize("name", ["tfidf", "ngrams", "bm25"])
def test_an_index_without_words(name):
    with pytest.raises(InputError, match="no title with a word"):
        getattr(lexical_baselines, name)(["a"], ["", " "])
