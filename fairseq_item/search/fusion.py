"""Fused search: the items whose global, title and image similarities together are the highest.

Parts that a query or an item lacks do not exist for that pair. The fused score is

    max:  max over the parts p that both have of  w_p c_p(s_p)         (the paper's equation 5)
    sum:  sum over the parts p that both have of  w_p c_p(s_p)         (an addition of ours)

with s_p the cosine, c_p the part's calibration, strictly increasing, and w_p its weight; a weight
of 0 leaves the part out. Cosines are rounded to ``DECIMALS`` places, as they are written, so that
the order depends neither on the machine's arithmetic nor on how the work was cut into blocks.
Equal scores are ranked by storage order.

**Exact search** ("--factory Flat") needs no list and no index beside the stored vectors. Under the
maximum, an item is among the first k only if its score reaches that of k others, and a maximum
reaches a floor only where one of its parts does: an item in none of the parts' lists of cosines
that reach the floor cannot be among the first k, and the union of these lists holds them all. Under
the sum with affine calibrations the score is itself an inner product. ``screens`` has both in
detail, ``exhaustive`` how candidates are narrowed down; they are scored exactly at the end.

**Approximate search** (any other factory) takes each part's nearest items from faiss, lists
somewhat longer than k, and scores their union exactly. With exact lists that would be the exact
answer under the maximum: of an item in none of the three lists, k others are at least as similar in
whichever part gives its score. It is not under the sum, for which the lists are longer.
"""

from dataclasses import dataclass

import numpy as np

from fairseq_item.search import products
from fairseq_item.search.build import check_weights
from fairseq_item.search.calibration import Uncalibrated
from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.exhaustive import exhaustive
from fairseq_item.search.pairs import Pairs, rank

DECIMALS = 7
SPARE = 16
PAIRS_A_TIME = 4096
# Queries worked on at a time, and answers.
QUERIES_A_TIME = 512
ANSWERS_A_TIME = 1 << 20


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
        weights: three numbers of 0 or more, not all 0, in the order of ``EMBEDDINGS``.
        calibrations: part -> calibration.
    """

    def __init__(self, kind, weights, calibrations):
        self.kind = kind
        self.weights = check_weights(weights)
        self.calibrations = calibrations

    def active(self):
        """``(column, part)`` of the parts that count."""
        return [(c, part) for c, part in enumerate(EMBEDDINGS) if self.weights[c]]

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


def fused_search(
    index,
    queries,
    k,
    fusion=None,
    weights=None,
    part=None,
    exclude=None,
    block=None,
    expected=None,
):
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
        expected: how many queries there will be over all calls, q if not given: for many it pays
            to prepare.

    Returns:
        Results: fewer than k answers where fewer items share a part with the query.
    """
    if part is None:
        kind, weights = fusion or index.meta["fusion"], weights or index.meta["weights"]
        fuser = Fuser(kind, weights, index.calibrations)
    else:
        fuser = Fuser("max", [float(part == p) for p in EMBEDDINGS], {part: Uncalibrated()})
    count = len(queries[EMBEDDINGS[0]])
    exclude = np.full(count, -1) if exclude is None else np.asarray(exclude)
    width = min(k, len(index))
    results = Results(
        np.full((count, width), -1, np.int64),
        np.full((count, width), -np.inf),
        np.full((count, width, len(EMBEDDINGS)), np.nan),
    )
    values = sum(index.vectors[p].shape[1] for _, p in fuser.active())
    product = products.choose(expected or count, len(index), values)
    block = block or min(QUERIES_A_TIME, max(1, ANSWERS_A_TIME // width))
    for start in range(0, count, block):
        some = slice(start, start + block)
        search = Block(
            index, fuser, {p: queries[p][some] for p in EMBEDDINGS}, width, exclude[some]
        )
        found = exhaustive(search, product) if index.exact else search.by_lists()
        query, place = found.query + start, rank(found.query)
        results.rows[query, place] = found.row
        results.scores[query, place] = found.score
        results.similarities[query, place] = found.similarities
    return results


class Block:
    """A block of queries, and what there is to know about them.

    Attributes:
        queries: part -> (q, d) float32, transformed.
        present: part -> (q,) bool.
        count: q.
    """

    def __init__(self, index, fuser, queries, width, exclude):
        self.index, self.fuser, self.width, self.exclude = index, fuser, width, exclude
        self.queries = {part: index.transforms[part](queries[part]) for part in EMBEDDINGS}
        self.present = {part: self.queries[part].any(axis=1) for part in EMBEDDINGS}
        self.count = len(exclude)

    def by_lists(self):
        """Score the union of the parts' own lists."""
        need = self.width + 1  # one of them may be excluded
        depth = need + SPARE if self.fuser.kind == "max" else max(10 * need, 100)
        query, row = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for _, part in self.fuser.active():
            asking = np.flatnonzero(self.present[part])
            rows = self.index.nearest(part, self.queries[part][asking], depth)
            query.append(np.repeat(asking, rows.shape[1]))
            row.append(rows.ravel())
        query, row = np.concatenate(query), np.concatenate(row)
        pairs = np.unique(query[row >= 0] * len(self.index) + row[row >= 0])
        return self.score(*np.divmod(pairs, len(self.index))).best(self.width)

    def score(self, query, row):
        """Exact cosines and scores of pairs, in float64.

        Args:
            query, row: (m,) int64.

        Returns:
            Pairs.
        """
        similarities = np.full((len(query), len(EMBEDDINGS)), np.nan)
        for column, part in enumerate(EMBEDDINGS):
            both = self.present[part][query] & self.index.present[row, column]
            which = np.flatnonzero(both)
            for start in range(0, len(which), PAIRS_A_TIME):
                some = which[start : start + PAIRS_A_TIME]
                ours = self.queries[part][query[some]].astype(np.float64)
                theirs = self.index.vectors[part][row[some]].astype(np.float64)
                similarities[some, column] = np.einsum("nd,nd->n", ours, theirs)
        similarities = similarities.round(DECIMALS)
        score = self.fuser({part: similarities[:, c] for c, part in enumerate(EMBEDDINGS)})
        score[self.exclude[query] == row] = -np.inf
        return Pairs(query, row, score, similarities)
