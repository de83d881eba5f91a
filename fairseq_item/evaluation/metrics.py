"""Scores of ranked answers: the paper's MAR@k and MAP@k, and hit@k, nDCG@k and MRR@k.

``hits`` maps a query to its ranked item ids (or ``Hit``s), ``truth`` to the set of its true
matches. Every query of ``truth`` counts: one without answers scores 0, since a search that
returned nothing found nothing. Answers to a query that ``truth`` does not know are an error, not a
zero: such queries cannot be scored.
"""

import math
from dataclasses import dataclass

import numpy as np

from fairseq_item.errors import InputError


@dataclass
class Scores:
    """Scores of each query, fractions within 0 and 1.

    Attributes:
        queries: list of n query ids, in the order of the truth.
        recall: (n,) true matches among the first k, divided by all true matches.
        precision: (n,) average precision at k.
        first: (n,) whether the first answer is a true match, 0 or 1 (hit@1).
        hit: (n,) whether any of the first k is a true match, 0 or 1 (hit@k, TREC's success).
        ndcg: (n,) normalised discounted cumulative gain at k; a true match gains 1.
        reciprocal: (n,) 1 / rank of the first true match, 0 where none is among the first k.
        unanswered: how many queries had no answer at all.
    """

    queries: list
    recall: np.ndarray
    precision: np.ndarray
    first: np.ndarray
    hit: np.ndarray
    ndcg: np.ndarray
    reciprocal: np.ndarray
    unanswered: int


def score_queries(hits, truth, k):
    """Score each query.

    Args:
        hits: query id -> item ids or ``Hit``s, best first.
        truth: query id -> set of item ids.
        k: how many answers count.

    Raises:
        InputError: ``k`` is below 1, a query has answers but no true match, or there is no truth.
    """
    if k < 1:
        raise InputError(f"k is {k}; it must be 1 or more")
    truthless = [query for query in hits if not truth.get(query)]
    if truthless:
        raise InputError(
            f"query {truthless[0]!r} has hits but no true match ({len(truthless)} such queries); "
            "remove them from the hits, or complete the truth"
        )
    queries = list(truth)
    empty = [query for query in queries if not truth[query]]
    if empty or not queries:
        raise InputError(
            f"query {empty[0]!r} has no true match" if empty else "the truth holds no query"
        )
    rows = [_score(_ids(hits.get(query, ())), truth[query], k) for query in queries]
    columns = np.array(rows, np.float64).T
    return Scores(queries, *columns, unanswered=sum(not hits.get(query) for query in queries))


def _ids(answers):
    return [answer if isinstance(answer, str) else answer.item_id for answer in answers]


def _score(answers, true, k):
    """Recall, average precision, hit@1, hit@k, nDCG and reciprocal rank of one query."""
    ranks = [rank for rank, item in enumerate(answers[:k], start=1) if item in true]
    best = min(k, len(true))  # how many true matches k answers can hold
    precision = sum(found / rank for found, rank in enumerate(ranks, start=1)) / best
    ndcg = _gain(ranks) / _gain(range(1, best + 1))
    first = ranks[0] if ranks else math.inf
    return len(ranks) / len(true), precision, first == 1, bool(ranks), ndcg, 1 / first


def _gain(ranks):
    """Discounted cumulative gain of true matches at ``ranks``."""
    return sum(1 / math.log2(rank + 1) for rank in ranks)


def mean_average_recall(hits, truth, k):
    """MAR@k: mean over queries of the share of their true matches among the first k."""
    return float(score_queries(hits, truth, k).recall.mean())


def mean_average_precision(hits, truth, k):
    """MAP@k: mean over queries of average precision at k.

    Average precision at k is the sum of the precisions at those ranks up to k that hold a true
    match, divided by min(k, number of true matches).
    """
    return float(score_queries(hits, truth, k).precision.mean())


def bootstrap_interval(values, samples=1000, seed=1, level=0.95):
    """Confidence interval of a mean, by drawing queries with replacement.

    Args:
        values: (n,) scores of the queries.
        samples: how many times n queries are drawn.
        seed: of the draws; equal seeds draw the same queries for every metric.
        level: share of the sample means within the interval.

    Returns:
        (low, high).
    """
    values = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(samples)]
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)
