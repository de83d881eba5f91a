"""Fused search: the items whose global, title and image similarities together are the highest.

Parts that a query or an item lacks do not exist for that pair. The fused score is

    max:  max over the parts p that both have of  w_p c_p(s_p)         (the paper's equation 5)
    sum:  sum over the parts p that both have of  w_p c_p(s_p)         (an addition of ours)

with s_p the cosine, c_p the part's calibration, strictly increasing, and w_p its weight; a weight
of 0 leaves the part out. Cosines are rounded to ``DECIMALS`` places, as they are written, so that
the order depends neither on the machine's arithmetic nor on how the work was cut into blocks.
Equal scores are ranked by storage order.

**Why three lists are enough for the maximum.** Let L_p hold the first k items under the order
(s_p descending, storage order) among the items that have part p. Take an item i in none of the
lists. Its score is attained at some part p that the query and i both have, w_p c_p(s_p(i)). Since i
has part p and is not in L_p, k items j stand before it there: s_p(j) > s_p(i), or s_p(j) = s_p(i)
and j stored earlier. As c_p is strictly increasing, w_p c_p(s_p(j)) >= w_p c_p(s_p(i)), and the
score of j, a maximum over what may be more parts, is no lower: j stands before i in the fused order
too. So k items stand before i, and the first k lie within the union of the three lists. Absent
parts do no harm: i is only ever compared within a part that it has, and an item missing from that
list for lack of the part is in none of the k places that the argument counts.

Where a list ends amid equal similarities, faiss may have kept any of them. Lists are therefore made
somewhat longer than k, and a query whose list ends within rounding of its k-th place is searched
exhaustively. So is every query under ``sum``, which no short lists can answer exactly. With a faiss
factory other than "Flat" lists are approximate, and both fusions re-score their union.
"""

from dataclasses import dataclass

import numpy as np

from fairseq_item.retrieval.calibration import Uncalibrated
from fairseq_item.retrieval.embeddings import PARTS
from fairseq_item.retrieval.index import check_weights

DECIMALS = 7
# More than float32 arithmetic and the rounding to DECIMALS can move a cosine.
SLACK = 3e-6
SPARE = 16
PAIRS_A_TIME = 4096
ROWS_A_TIME = 8192


@dataclass
class Results:
    """Answers to q queries, best first.

    Attributes:
        rows: (q, k') int64 storage positions, -1 beyond the last answer; k' = min(k, n).
        scores: (q, k') float64 fused scores, -inf beyond the last answer.
        similarities: (q, k', 3) float64 cosines by part, NaN where a part is absent.
    """

    rows: np.ndarray
    scores: np.ndarray
    similarities: np.ndarray


class Fuser:
    """Turns the cosines of the parts into one score.

    Args:
        kind: "max" or "sum".
        weights: three numbers of 0 or more, not all 0, in the order of ``PARTS``.
        calibrations: part -> calibration.
    """

    def __init__(self, kind, weights, calibrations):
        self.kind = kind
        self.weights = check_weights(weights)
        self.calibrations = calibrations

    def active(self):
        """``(column, part)`` of the parts that count."""
        return [(c, part) for c, part in enumerate(PARTS) if self.weights[c]]

    def __call__(self, similarities):
        """Fuse.

        Args:
            similarities: part -> array of cosines, NaN where the part is absent; equal shapes.

        Returns:
            float64 scores of that shape, -inf where no active part is shared.
        """
        scored = [
            self.weights[column] * self.calibrations[part](similarities[part])
            for column, part in self.active()
        ]
        absent = np.logical_and.reduce([np.isnan(s) for s in scored])
        if self.kind == "max":
            fused = scored[0]
            for more in scored[1:]:
                fused = np.fmax(fused, more)
        else:
            fused = sum(np.nan_to_num(s, copy=False, nan=0.0) for s in scored)
        return np.where(absent, -np.inf, fused)


def fused_search(index, queries, k, fusion=None, weights=None, part=None, exclude=None, block=256):
    """The k items of highest fused score for each query; see the module's docstring.

    Args:
        index: ``ItemIndex``.
        queries: part -> (q, d) embeddings as the model gave them; all-zero rows are absent parts.
        k: answers a query; may exceed the number of items.
        fusion: "max" or "sum"; None takes the index's own.
        weights: of the three parts; None takes the index's own.
        part: rank by the plain cosine of this part alone, whatever the other settings say.
        exclude: (q,) storage positions not to be returned, -1 for none.
        block: queries worked on at a time. Memory is in proportion to it, not to q times n.

    Returns:
        Results: fewer than k answers where fewer items share a part with the query.
    """
    if part is None:
        kind, weights = fusion or index.meta["fusion"], weights or index.meta["weights"]
        fuser = Fuser(kind, weights, index.calibrations)
    else:
        fuser = Fuser("max", [float(part == p) for p in PARTS], {part: Uncalibrated()})
    count = len(queries[PARTS[0]])
    exclude = np.full(count, -1) if exclude is None else np.asarray(exclude)
    width = min(k, len(index))
    results = Results(
        np.full((count, width), -1, np.int64),
        np.full((count, width), -np.inf),
        np.full((count, width, len(PARTS)), np.nan),
    )
    for start in range(0, count, block):
        some = slice(start, start + block)
        search = _Block(index, fuser, {p: queries[p][some] for p in PARTS}, width, exclude[some])
        found = search.exhaustive() if search.needs_all() else search.by_lists()
        found.fill(results, start)
    return results


@dataclass
class _Pairs:
    """Scored pairs of a query of the block and an item."""

    query: np.ndarray
    row: np.ndarray
    score: np.ndarray
    similarities: np.ndarray

    def best(self, width):
        """The first ``width`` of each query, ordered by query and rank."""
        order = np.lexsort((self.row, -self.score, self.query))
        kept = order[_rank(self.query[order]) < width]
        return self.take(kept[self.score[kept] > -np.inf])

    def take(self, which):
        return _Pairs(
            self.query[which], self.row[which], self.score[which], self.similarities[which]
        )

    def join(self, other):
        fields = ("query", "row", "score", "similarities")
        return _Pairs(*(np.concatenate([getattr(self, f), getattr(other, f)]) for f in fields))

    def fill(self, results, start):
        query, rank = self.query + start, _rank(self.query)
        results.rows[query, rank] = self.row
        results.scores[query, rank] = self.score
        results.similarities[query, rank] = self.similarities


def _rank(groups):
    """Position of each element within its run of equal values; ``groups`` is ascending."""
    first = np.searchsorted(groups, groups, side="left")
    return np.arange(len(groups)) - first


class _Block:
    """The search for a block of queries."""

    def __init__(self, index, fuser, queries, width, exclude):
        self.index, self.fuser, self.width, self.exclude = index, fuser, width, exclude
        self.queries = {part: index.transforms[part](queries[part]) for part in PARTS}
        self.present = {part: self.queries[part].any(axis=1) for part in PARTS}
        self.count = len(exclude)

    def needs_all(self):
        return self.index.exact and self.fuser.kind == "sum" and len(self.fuser.active()) > 1

    def by_lists(self):
        """Re-score the union of the parts' own lists."""
        need = self.width + 1  # one of them may be excluded
        depth = need + SPARE if self.fuser.kind == "max" else max(10 * need, 100)
        query, row = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        unsure = np.zeros(self.count, bool)
        for _, part in self.fuser.active():
            asking = np.flatnonzero(self.present[part])
            cosines, rows = self.index.nearest(part, self.queries[part][asking], depth)
            if self.index.exact and depth < self.index.listed(part):
                unsure[asking] |= cosines[:, need - 1] - cosines[:, -1] <= 2 * SLACK
            query.append(np.repeat(asking, rows.shape[1]))
            row.append(rows.ravel())
        query, row = np.concatenate(query), np.concatenate(row)
        kept = (row >= 0) & ~unsure[query]
        pairs = np.unique(query[kept] * len(self.index) + row[kept])
        found = self.score(*np.divmod(pairs, len(self.index))).best(self.width)
        if unsure.any():
            found = found.join(self.exhaustive(np.flatnonzero(unsure)))
            found = found.best(self.width)
        return found

    def exhaustive(self, asking=None):
        """Compare with every item, a stretch of the index at a time, keeping the best so far.

        Float32 products say which items may be among the best; those are then scored exactly.
        """
        asking = np.arange(self.count) if asking is None else asking
        best = self.score(asking[:0], asking[:0])
        floor = np.full(self.count, -np.inf)
        for start in range(0, len(self.index), ROWS_A_TIME):
            cosines = self._products(asking, start)
            at_most = self._fused(cosines, SLACK, asking, start)
            if not np.isfinite(floor[asking]).all() and at_most.shape[1] >= self.width:
                at_least = self._fused(cosines, -SLACK, asking, start)
                kth = at_least.shape[1] - self.width
                at_least.partition(kth, axis=1)
                floor[asking] = np.maximum(floor[asking], at_least[:, kth])
            hopeful = (at_most >= floor[asking, None]) & (at_most > -np.inf)
            query, row = np.nonzero(hopeful)
            best = best.join(self.score(asking[query], row + start)).best(self.width)
            full = _rank(best.query) == self.width - 1
            floor[best.query[full]] = best.score[full]
        return best

    def _products(self, asking, start):
        cosines = {}
        for column, part in self.fuser.active():
            rows = slice(start, start + ROWS_A_TIME)
            items = np.asarray(self.index.vectors[part][rows], np.float32)
            products = self.queries[part][asking] @ items.T
            products[~self.present[part][asking]] = np.nan
            products[:, ~self.index.present[rows, column]] = np.nan
            cosines[part] = products
        return cosines

    def _fused(self, cosines, slack, asking, start):
        fused = self.fuser({part: values + slack for part, values in cosines.items()})
        inside = self.exclude[asking] - start
        which = np.flatnonzero((inside >= 0) & (inside < fused.shape[1]))
        fused[which, inside[which]] = -np.inf
        return fused

    def score(self, query, row):
        """Exact cosines and scores of pairs, in float64."""
        similarities = np.full((len(query), len(PARTS)), np.nan)
        for column, part in enumerate(PARTS):
            both = self.present[part][query] & self.index.present[row, column]
            which = np.flatnonzero(both)
            for start in range(0, len(which), PAIRS_A_TIME):
                some = which[start : start + PAIRS_A_TIME]
                ours = self.queries[part][query[some]].astype(np.float64)
                theirs = self.index.vectors[part][row[some]].astype(np.float64)
                similarities[some, column] = np.einsum("nd,nd->n", ours, theirs)
        similarities = similarities.round(DECIMALS)
        score = self.fuser({part: similarities[:, c] for c, part in enumerate(PARTS)})
        score[self.exclude[query] == row] = -np.inf
        return _Pairs(query, row, score, similarities)
