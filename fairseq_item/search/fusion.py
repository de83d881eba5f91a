"""How similarities become one score, and the exact score of a pair.

A similarity that a query or an item lacks does not exist for that pair. The fused score is

    max:  max over the similarities s_p that both have of  w_p c_p(s_p)     (the paper's equation 5)
    sum:  sum over the similarities s_p that both have of  w_p c_p(s_p)     (an addition of ours)

with c_p(s) = (s - m_p) / r_p the calibration and w_p the weight; a weight of 0 leaves a similarity
out. Similarities are rounded to ``DECIMALS`` places, as they are written, so that the order depends
neither on the machine's arithmetic nor on how the work was cut into blocks. Equal scores are ranked
by storage position.
"""

from copy import copy
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.hits import SIMILARITIES
from fairseq_item.search.lexical import count_terms

FUSIONS = ("max", "sum")
DECIMALS = 7
PAIRS_A_TIME = 512
# Of the largest weight: scores must stay within float32.
LEAST_WEIGHT, MOST_WEIGHT = 1e-15, 1e9


def check_weights(weights):
    """Weights as floats, in the order of ``SIMILARITIES``.

    Args:
        weights: four numbers, or three: those of the embeddings, nothing for the lexical one.

    Raises:
        InputError: one is negative or not finite, all are next to 0 or one is beyond 1e9, or they
            are too few or too many.
    """
    weights = tuple(float(weight) for weight in weights)
    right = len(weights) in (len(EMBEDDINGS), len(SIMILARITIES)) and all(w >= 0 for w in weights)
    if not right or not LEAST_WEIGHT <= max(weights) <= MOST_WEIGHT:
        raise InputError(
            f"--weights {' '.join(map(str, weights))}: give three or four numbers of 0 to 1e9, "
            "not all 0"
        )
    return weights + (0.0,) * (len(SIMILARITIES) - len(weights))


def own_settings(meta):
    """How an index ranks unless told otherwise, its fitted weights first: keywords of a search.

    Args:
        meta: of the index.
    """
    if meta.get("fit"):
        return {"fusion": "sum", "weights": tuple(meta["fit"]["weights"])}
    return {"fusion": meta["fusion"], "weights": tuple(meta["weights"])}


class Fuser:
    """Turns similarities into one score.

    Args:
        kind: "max" or "sum".
        weights: as :func:`check_weights` takes them.
        calibrations: name of a similarity -> calibration.
    """

    def __init__(self, kind, weights, calibrations):
        self.kind = kind
        self.weights = check_weights(weights)
        self.calibrations = calibrations

    def active(self):
        """``(column, name)`` of the similarities that count."""
        return [(column, name) for column, name in enumerate(SIMILARITIES) if self.weights[column]]

    def linear(self):
        """The weighted calibrations as straight lines: w_p c_p(s) = scale s - shift.

        Returns:
            scales and shifts, float64, one each for every active similarity.
        """
        scales, shifts = [], []
        for column, name in self.active():
            calibration = self.calibrations[name]
            scales.append(self.weights[column] / calibration.scale)
            shifts.append(scales[-1] * calibration.centre)
        return np.array(scales), np.array(shifts)

    def __call__(self, similarities):
        """Fuse.

        Args:
            similarities: (m, 4) in the order of ``SIMILARITIES``, NaN where one is absent.

        Returns:
            (m,) float64 scores, -inf where no active similarity is shared.
        """
        scored = np.stack(
            [self.weights[c] * self.calibrations[n](similarities[:, c]) for c, n in self.active()]
        )
        absent = np.isnan(scored)
        if self.kind == "max":
            return np.where(absent, -np.inf, scored).max(axis=0)
        return np.where(absent.all(axis=0), -np.inf, np.where(absent, 0, scored).sum(axis=0))


@dataclass
class Pairs:
    """Exactly scored pairs, ordered by query and rank.

    Attributes:
        query, row: (m,) int64, position of the query in its batch and of the item in the index.
        score: (m,) float64.
        similarities: (m, 4) float64.
    """

    query: np.ndarray
    row: np.ndarray
    score: np.ndarray
    similarities: np.ndarray


class Batch:
    """Some queries, and what they are compared by.

    Args:
        index: ``ItemIndex``.
        fuser: ``Fuser``.
        queries: embedding -> (q, d) as the model gave them, all-zero rows are absent; "lexical" ->
            list of q titles, or their ``count_terms``, may be left out.
        width: answers wanted of each query.
        exclude: (q,) storage position not to be returned, -1 for none.

    Attributes:
        queries: embedding -> (q, d) float32, transformed; "lexical" -> ``count_terms`` of the
            titles, with no terms where a title or the index's lexical part is missing.
        has: (q, 4) bool, what a query can be compared by.
        present: (q, a) bool, the same of the active similarities.
    """

    def __init__(self, index, fuser, queries, width, exclude):
        self.index, self.fuser, self.width, self.exclude = index, fuser, width, exclude
        self.queries = {name: index.transforms[name](queries[name]) for name in EMBEDDINGS}
        titles = queries.get("lexical") if index.lexical else None
        counts = [""] * len(self) if titles is None else titles
        if not sparse.issparse(counts):
            counts = count_terms(counts)
        has = [rows.any(axis=1) for rows in self.queries.values()]
        self.has = np.stack([*has, np.diff(counts.indptr) > 0], axis=1)
        self.queries["lexical"] = counts
        self._aim()

    def _aim(self):
        self.columns, self.names = zip(*self.fuser.active())
        self.present = self.has[:, self.columns]

    def narrowed(self, fuser, width):
        """The same queries with another fuser and number of answers."""
        other = copy(self)
        other.fuser, other.width = fuser, width
        other._aim()
        return other

    def some(self, which):
        """The queries at some positions."""
        other = copy(self)
        other.queries = {name: rows[which] for name, rows in self.queries.items()}
        other.has, other.present = self.has[which], self.present[which]
        other.exclude = self.exclude[which]
        return other

    def __len__(self):
        return len(self.exclude)

    def comparable(self, start, stop):
        """Which rows ``start`` to ``stop`` have an active similarity: (stop - start,) bool."""
        return self.index.present[start:stop][:, self.columns].any(axis=1)

    def allowed(self, query, row):
        """Which pairs share an active similarity and are not excluded: (m,) bool."""
        shared = self.present[query] & self.index.present[row][:, self.columns]
        return shared.any(axis=1) & (self.exclude[query] != row)

    def similarities(self, query, row):
        """Exact similarities of pairs, active or not: (m, 4) float64, NaN where absent."""
        found = np.full((len(query), len(SIMILARITIES)), np.nan)
        for start in range(0, len(query), PAIRS_A_TIME):
            some = slice(start, start + PAIRS_A_TIME)
            for column, name in enumerate(EMBEDDINGS):
                ours = self.queries[name][query[some]].astype(np.float64)
                theirs = self.index.vectors[name][row[some]].astype(np.float64)
                cosines = np.einsum("nd,nd->n", ours, theirs)
                both = self.has[query[some], column] & self.index.present[row[some], column]
                found[some, column] = np.where(both, cosines, np.nan)
        both = np.flatnonzero(self.has[query, -1] & self.index.present[row, -1])
        if len(both):
            counts = self.queries["lexical"][query[both]]
            found[both, -1] = self.index.lexical.similarities(counts, row[both])
        return found.round(DECIMALS)

    def best(self, query, row):
        """Score pairs exactly; at most ``width`` of each query are kept.

        Args:
            query, row: (m,) int64.

        Returns:
            Pairs.
        """
        similarities = self.similarities(query, row)
        score = np.where(self.allowed(query, row), self.fuser(similarities), -np.inf)
        order = np.lexsort((row, -score, query))
        kept = order[(rank(query[order]) < self.width) & (score[order] > -np.inf)]
        return Pairs(query[kept], row[kept], score[kept], similarities[kept])


def rank(groups):
    """Position of each element in its run of equal values; ``groups`` ascends and is 0 or more."""
    places = np.arange(len(groups))
    return places - np.maximum.accumulate(np.where(np.diff(groups, prepend=-1), places, 0))
