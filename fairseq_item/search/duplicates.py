"""Groups of items of one index that are likely the same product.

A pair is as likely as the fitted probability says, of either item as the query the smaller one.
Every pair above a probability is found by ``likely_pairs``: all items are compared with all, in
float32 and a block at a time, and whatever could reach it is scored exactly, as in ``exact``.
Memory is in proportion to blocks and to the pairs found. Where that takes too long, see
``near.pairs``.

Of groups, any two items are such a pair: pairs are taken up from the most likely one on, and two
groups become one when all pairs between them were taken (complete linkage), so that no chain of
likely pairs joins what is unlikely.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from fairseq_item.errors import InputError
from fairseq_item.progress import progress
from fairseq_item.search.exact import Cpu, Gpu, RoughScores, rough_error
from fairseq_item.search.fusion import Batch, Fuser, own_settings
from fairseq_item.search.hits import Hit
from fairseq_item.search.item_queries import as_queries

QUERIES_A_TIME = 1024
# Pairs less likely than that are not looked at.
LEAST = 0.5


@dataclass
class LikelyPairs:
    """Pairs of items, the most likely one first.

    Attributes:
        rows: (m, 2) int64 storage positions, the smaller one first.
        probability: (m,) float64.
    """

    rows: np.ndarray
    probability: np.ndarray

    def __len__(self):
        return len(self.rows)

    def first(self, count):
        """The ``count`` most likely ones."""
        return LikelyPairs(self.rows[:count], self.probability[:count])


def likely_pairs(index, least=LEAST, device="cpu"):
    """All pairs of a fitted index that are at least so likely the same product.

    Args:
        index: ``ItemIndex``.
        least: probability.
        device: "cpu", or the GPU that compares.

    Returns:
        LikelyPairs

    Raises:
        InputError: the index has no fitted probabilities.
    """
    reach, fuser = least_score(index, least), fuser_of(index)
    arithmetic = (Cpu if device == "cpu" else Gpu)(device)
    keys, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
    blocks = range(0, len(index), QUERIES_A_TIME)
    for start in progress(blocks, "comparing", unit=f"x {QUERIES_A_TIME} items"):
        rows = np.arange(start, min(start + QUERIES_A_TIME, len(index)))
        query, row, score = _reaching(index, fuser, rows, reach, arithmetic)
        keys.append(np.minimum(query, row) * len(index) + np.maximum(query, row))
        scores.append(score)
    keys, scores = np.concatenate(keys), np.concatenate(scores)
    # Both directions of a pair stand side by side; of one that was found once, the other one fails.
    order = np.lexsort((scores, keys))
    keys, scores = keys[order], scores[order]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    return best_first(index, np.stack(np.divmod(keys[twice], len(index)), axis=1), scores[twice])


def least_score(index, least):
    """The score whose probability is ``least``.

    Raises:
        InputError: the index has no fitted probabilities.
    """
    fit = index.meta.get("fit")
    if not fit:
        raise InputError(
            "the index has no probabilities; run item-index again with --fit or --fit-groups"
        )
    return logit(least) - fit["intercept"]


def best_first(index, rows, scores):
    """``LikelyPairs`` of pairs (m, 2), the smaller position first, and their scores (m,)."""
    order = np.lexsort((rows[:, 1], rows[:, 0], -scores))
    return LikelyPairs(rows[order], expit(scores[order] + index.meta["fit"]["intercept"]))


def fuser_of(index):
    """How the fitted index adds up its similarities: ``Fuser``."""
    return Fuser(*own_settings(index.meta).values(), index.calibrations)


def _reaching(index, fuser, rows, reach, arithmetic):
    """Items whose score reaches ``reach``: positions of queries and items (m,), and scores."""
    plain, asked = as_queries(index, rows)
    batch = Batch(plain, fuser, asked, 1, rows)
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for query, row in may_reach(batch, reach, arithmetic):
        score = fuser(batch.similarities(query, row))
        kept = score >= reach
        found.append((rows[query[kept]], row[kept], score[kept]))
    return [np.concatenate(values) for values in zip(*found)]


def may_reach(batch, reach, arithmetic):
    """Yield pairs, a stretch of the items at a time, among which is all that reaches ``reach``.

    Args:
        batch: ``Batch``.
        reach: a score.
        arithmetic: ``exact.Cpu`` or ``exact.Gpu``.

    Yields:
        positions of queries in the batch and of items: two (m,) int64.
    """
    rough, floor = RoughScores(batch, arithmetic), reach - rough_error(batch)
    for start in range(0, len(batch.index), arithmetic.rows_a_time):
        stop = min(start + arithmetic.rows_a_time, len(batch.index))
        query, inside, _ = arithmetic.reaching(rough(start, stop), floor)
        allowed = batch.allowed(query, inside + start)
        yield query[allowed], inside[allowed] + start


def pair_hits(index, rows):
    """The other items of a group as answers to its first one: list of ``Hit``, best first.

    Args:
        index: a fitted ``ItemIndex``.
        rows: storage positions of the group.
    """
    plain, asked = as_queries(index, rows[:1])
    fuser = fuser_of(index)
    batch = Batch(plain, fuser, asked, len(rows), np.full(1, -1))
    others = np.array(rows[1:])
    similarities = batch.similarities(np.zeros_like(others), others)
    probability = expit(fuser(similarities) + index.meta["fit"]["intercept"])
    hits = [
        Hit(index.ids[row], float(p), tuple(values.tolist()))
        for row, p, values in zip(others, probability, similarities)
    ]
    return sorted(hits, key=lambda hit: -hit.score)


def within_error(pairs, error):
    """As many of the most likely pairs as keep the expected share of wrong ones at ``error``.

    Args:
        pairs: ``LikelyPairs``.
        error: share, such as 0.05. Of pairs that are right with probabilities p, the mean of 1 - p
            is expected to be wrong.
    """
    wrong = np.cumsum(1 - pairs.probability) / np.arange(1, len(pairs) + 1)
    # The mean never falls, since pairs become less likely.
    return pairs.first(int(np.searchsorted(wrong, error, side="right")))


def group(pairs):
    """Groups in which every two items are one of the pairs: complete linkage.

    Args:
        pairs: ``LikelyPairs``.

    Returns:
        list of lists of storage positions, ascending, the largest group first.
    """
    groups = {}  # item -> its group's number
    members, links = {}, {}  # number -> items; number -> other number -> pairs taken between them
    for one, other in pairs.rows.tolist():
        numbers = []
        for item in (one, other):
            if item not in groups:
                groups[item] = item
                members[item], links[item] = [item], {}
            numbers.append(groups[item])
        a, b = sorted(numbers, key=lambda number: (-len(members[number]), number))
        taken = links[a].get(b, 0) + 1
        links[a][b] = links[b][a] = taken
        if taken == len(members[a]) * len(members[b]):
            _join(a, b, groups, members, links)
    found = [sorted(items) for items in members.values() if len(items) > 1]
    return sorted(found, key=lambda items: (-len(items), items))


def _join(a, b, groups, members, links):
    """Make group ``b`` part of ``a``."""
    for item in members[b]:
        groups[item] = a
    members[a] += members.pop(b)
    del links[a][b]
    for number, taken in links.pop(b).items():
        if number != a:
            del links[number][b]
            links[a][number] = links[number][a] = links[a].get(number, 0) + taken
