"""Weights of the similarities, fitted on labelled queries, and a score that is a probability.

The candidates of a query are the first ``DEPTH`` by each similarity and by the score as it is
unfitted. With z the calibrated similarities of a candidate, 0 where one is absent as in the sum of
``fusion``, and T the true matches among the candidates C of a query, the weights w >= 0 minimise

    mean over queries of  -1/|T| sum over T of log(exp(w z) / sum over C of exp(w z))
    + PRIOR / (number of queries) |w - a v|^2

the likelihood of a conditional logit (McFadden, 1974), in which queries are not compared with one
another, drawn to the index's unfitted weights v, times the a that fits best: with few queries the
order stays what it was. They are taken if they rank queries left out of the fit better than v does,
by more than the standard error of that; else w = v. Then slope and intercept of a logistic
regression on w z over the first ``TOP`` candidates of each query (Platt, 1999, with the targets
given there) make the score

    1 / (1 + exp(-(slope w z + intercept)))

the probability that an item among a query's first ten answers is a true match; of later answers it
is too high. It holds for queries like those that it was fitted on: a query without a title or an
image is told too low a one.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from fairseq_item.data.draw import draw
from fairseq_item.errors import InputError
from fairseq_item.evaluation.metrics import score_queries
from fairseq_item.evaluation.reliability import calibration_error
from fairseq_item.evaluation.summary import percent
from fairseq_item.search.fusion import check_weights, rank
from fairseq_item.search.hits import SIMILARITIES
from fairseq_item.search.search import fused_search

DEPTH, TOP, FOLDS = 50, 10, 5
# On dev queries of two catalogues 1 to 20 are as good; with 5 or 15 fit queries less is worse.
PRIOR = 5.0
LEAST_SCALE, LEAST_SLOPE, NEGLIGIBLE = 0.1, 1e-6, 1e-3


@dataclass
class Candidates:
    """Labelled pairs, ordered by query.

    Attributes:
        query, row: (m,) int64, position of the query and of the item.
        similarities: (m, 4) float64, calibrated, 0 where absent.
        true: (m,) bool.
    """

    query: np.ndarray
    row: np.ndarray
    similarities: np.ndarray
    true: np.ndarray

    def __getitem__(self, which):
        return Candidates(*(values[which] for values in vars(self).values()))

    def of(self, queries):
        """Those of some queries, given by a (q,) bool array."""
        return self[queries[self.query]]

    def answerable(self):
        """Those of queries that have a true match among them."""
        return self[np.isin(self.query, self.query[self.true])]

    def best(self, weights, width=TOP):
        """The first ``width`` of each query by the weighted sum."""
        scores = self.similarities @ weights
        order = np.lexsort((self.row, -scores, self.query))
        return self[order[rank(self.query[order]) < width]]


def fit_index(index, asked, seed=1):
    """Fit an index on labelled queries.

    Args:
        index: ``ItemIndex``, unfitted, whose fusion is the sum.
        asked: ``FitQueries``; a query is no answer to itself.
        seed: of the parts of the cross-validation.

    Returns:
        dict, ``fit`` of ``meta.json``: ``weights`` and ``intercept``; ``reweighted``, whether these
        are fitted weights rather than the index's own, scaled; ``queries``, ``pairs``,
        ``true_pairs``; ``source``; ``held_out``: scores in percent of queries left out of the fit
        in turn, ``ece`` of the weights taken, ``fitted MAP@10`` and ``unfitted MAP@10``, None where
        fewer than two can be answered.

    Raises:
        InputError: a true match is not in the index, or none is among the candidates.
    """
    pairs = candidates(index, asked)
    unfitted = np.array(check_weights(index.meta["weights"]))
    if not pairs.true.any():
        raise InputError("no fit query has a true match among its candidates; nothing to fit on")
    found = _cross_validate(pairs, unfitted, index.ids, asked, seed)
    reweighted = found is not None and _worth_it(found)
    weights, intercept = (fit if reweighted else calibrate)(pairs, unfitted)
    held_out = found and {
        "ece": percent(found["fitted" if reweighted else "unfitted"][0]),
        **{f"{name} MAP@10": percent(precision.mean()) for name, (_, precision) in found.items()},
    }
    return {
        "weights": weights.tolist(),
        "intercept": intercept,
        "reweighted": reweighted,
        "queries": len(asked.ids),
        "pairs": len(pairs.true),
        "true_pairs": int(pairs.true.sum()),
        "held_out": held_out,
        "source": asked.source,
    }


def candidates(index, asked):
    """The labelled pairs of ``FitQueries``: ``Candidates``."""
    position = {name: row for row, name in enumerate(index.ids)}
    true = set()
    for query, name in enumerate(asked.ids):
        for item in asked.truth[name]:
            if item not in position:
                raise InputError(
                    f"fit query {name!r} has the true match {item!r}, which is not in the index; "
                    "index it, or leave it out of the truth"
                )
            true.add((query, position[item]))
    itself = np.array([position.get(name, -1) for name in asked.ids])
    found = {}
    for by in (None, *SIMILARITIES):
        answers = fused_search(index, asked.rows, DEPTH, similarity=by, exclude=itself)
        for query, place in zip(*np.nonzero(answers.rows >= 0)):
            pair = int(query), int(answers.rows[query, place])
            found[pair] = answers.similarities[query, place]
    pairs = sorted(found)
    query, row = np.array(pairs, np.int64).reshape(-1, 2).T
    raw = np.array([found[pair] for pair in pairs]).reshape(-1, len(SIMILARITIES))
    columns = [index.calibrations[name](raw[:, c]) for c, name in enumerate(SIMILARITIES)]
    calibrated = np.nan_to_num(np.stack(columns, axis=1))
    return Candidates(query, row, calibrated, np.array([pair in true for pair in pairs], bool))


def fit(pairs, unfitted):
    """Fitted weights, and the intercept of the probability.

    Args:
        pairs: ``Candidates``.
        unfitted: (4,) weights that the fitted ones are drawn to.

    Returns:
        (4,) float64 of 0 or more, not all 0, and a float.
    """
    answerable = pairs.answerable()
    together = (answerable.similarities @ unfitted)[:, None]
    centre = max(LEAST_SCALE, *_softmax_regression(answerable, together, 0, 0)) * unfitted
    prior = PRIOR / len(np.unique(answerable.query))
    weights = _softmax_regression(answerable, answerable.similarities, centre, prior)
    weights[weights < NEGLIGIBLE * weights.max()] = 0  # a search skips what has no weight
    if not weights.any():  # no similarity tells: the order stays, and the slope says so
        weights = unfitted
    return calibrate(pairs, weights)


def calibrate(pairs, weights):
    """Weights that rank as the given ones do, and the intercept of the probability."""
    slope, intercept = _platt(pairs.best(weights), weights)
    return slope * weights, intercept


def _softmax_regression(pairs, features, centre, prior):
    """Weights (f,) of ``features`` (m, f): see the module's first formula."""
    starts = np.flatnonzero(np.diff(pairs.query, prepend=-1))
    query = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(pairs.query)))
    target = pairs.true / np.bincount(query, pairs.true)[query] / len(starts)

    def loss(weights):
        scores = features @ weights
        scores -= np.maximum.reduceat(scores, starts)[query]
        exponentials = np.exp(scores)
        totals = np.add.reduceat(exponentials, starts)
        value = np.log(totals).mean() - target @ scores
        share = exponentials / totals[query] / len(starts)
        away = weights - centre
        return value + prior * away @ away, features.T @ (share - target) + 2 * prior * away

    # Where a similarity tells all matches from all others, nothing but this bound ends its growth.
    bounds = [(0, 100)] * features.shape[1]
    start = np.full(features.shape[1], 0.1)
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x


def _platt(pairs, weights):
    """Slope, above 0, and intercept of the logistic regression on the weighted sum."""
    scores = pairs.similarities @ weights
    right = int(pairs.true.sum())
    wrong = len(scores) - right
    target = np.where(pairs.true, (right + 1) / (right + 2), 1 / (wrong + 2))
    centre, spread = scores.mean(), max(scores.std(), 1e-12)
    standard = (scores - centre) / spread

    def loss(line):
        logits = line[0] * standard + line[1]
        error = expit(logits) - target
        value = np.logaddexp(0, logits) - target * logits
        return value.mean(), np.array([(error * standard).mean(), error.mean()])

    bounds = [(LEAST_SLOPE, None), (None, None)]
    slope, intercept = minimize(loss, (1.0, 0.0), jac=True, method="L-BFGS-B", bounds=bounds).x
    return slope / spread, float(intercept - slope * centre / spread)


def _cross_validate(pairs, unfitted, item_ids, asked, seed):
    """Fit on all parts of the queries but one, and score that one, for each of ``FOLDS`` parts.

    Returns:
        dict or None: "fitted" and "unfitted" -> calibration error, and average precision (q,).
    """
    has = np.zeros(len(asked.ids), bool)
    has[pairs.query[pairs.true]] = True
    folds = min(FOLDS, int(has.sum()))
    if folds < 2:
        return None
    # Queries with a true match come first, so that no fit goes without.
    names = sorted(range(len(has)), key=lambda q: (not has[q], draw(seed, asked.ids[q])))
    fold = np.empty(len(has), np.int64)
    fold[names] = np.arange(len(has)) % folds
    found = {}
    for name, fitting in (("fitted", fit), ("unfitted", calibrate)):
        probability, true, ranked = [], [], {}
        for number in range(folds):
            weights, intercept = fitting(pairs.of(fold != number), unfitted)
            best = pairs.of(fold == number).best(weights)
            probability.append(expit(best.similarities @ weights + intercept))
            true.append(best.true)
            for query, row in zip(best.query, best.row):
                ranked.setdefault(asked.ids[query], []).append(item_ids[row])
        error = calibration_error(np.concatenate(probability), np.concatenate(true))
        found[name] = error, score_queries(ranked, asked.truth, TOP).precision
    return found


def _worth_it(held_out):
    """Whether fitted weights rank held-out queries better, beyond the standard error of that."""
    gain = held_out["fitted"][1] - held_out["unfitted"][1]
    return bool(gain.mean() > gain.std() / len(gain) ** 0.5)
