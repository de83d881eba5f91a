"""``item-balance``: do both modalities count, and what if one is missing or wrong?

Attribution: which similarity (global, title, image) wins the answers, and how often it is right:
under the index's own fusion, and under the paper's, the plain maximum with weights 1 1 1. Under the
maximum the part that attains it wins, under the sum the one with the largest weighted, calibrated
similarity; parts that tie share the win.

Robustness, with --checkpoint: how the scores change when the title or the photo of each query is
taken away, or replaced by that of a query for another product.

DIR/balance.json has all of it, DIR/balance.md two tables, DIR/balance.png an image of them.
"""

import logging

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.evaluation.attribution import attribute
from fairseq_item.evaluation.metrics import bootstrap_interval, score_queries
from fairseq_item.evaluation.summary import percent, summarise
from fairseq_item.reports.balance_page import markdown
from fairseq_item.reports.balance_plot import plot
from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.fusion import Fuser
from fairseq_item.search.search import search

__all__ = ["markdown", "plot", "report"]

logger = logging.getLogger(__name__)
PAPER = {"fusion": "max", "weights": (1.0, 1.0, 1.0)}


def report(index, queries, truth, k=10, changes=(), exclude_self=False, bootstrap=1000, seed=1):
    """Everything that ``item-balance`` finds out.

    Args:
        index: ``ItemIndex``.
        queries: ``Embeddings`` of the whole queries.
        truth: query id -> set of item ids; as in ``score_queries``, all its queries count.
        k: answers that count.
        changes: iterable of ``balance_changes.Change``; a ``ChangedQueries`` embeds them.
        exclude_self: leave out the item that has the query's id.
        bootstrap: samples of the 95% intervals; 0 leaves these out.
        seed: of the samples.

    Returns:
        dict, all scores and shares in percent. ``parts``: what each part finds alone, None where
        no query has it. ``fusions``: for "index" and "paper" its ``fusion``, ``weights``, the
        ``scores`` of the whole queries, and as ``first`` and ``answers`` what :func:`attribute`
        says. ``changes``: the scores under each change, by name, and as ``under_paper`` those of
        the paper's fusion; ``difference`` is that of MAP@k from the whole queries, ``others``
        the share of queries whose first answer is a match of who gave the wrong title or photo.
        ``left_out``: changes that could not be made -> why.

    Raises:
        InputError: ``k`` is below 1, or a query has no true match.
    """
    if k < 1:
        raise InputError(f"k is {k}; it must be 1 or more")
    judge = _Judge(index, queries, truth, k, exclude_self, bootstrap, seed)
    whole = {part: queries.rows(part) for part in EMBEDDINGS}
    fusions = {
        "index": {"fusion": index.meta["fusion"], "weights": tuple(index.meta["weights"])},
        "paper": PAPER,
    }
    result = {
        "k": k,
        "queries": len(truth),
        "items": len(index),
        "index": {name: index.meta[name] for name in ("transform", "calibration", "factory")},
        "checkpoint": index.meta.get("checkpoint"),
        "parts": {part: judge.alone(whole, part) for part in EMBEDDINGS},
        "fusions": {},
        "changes": {},
    }
    precision = {}
    for name, settings in fusions.items():
        hits = judge.search(whole, **settings)
        fuser = Fuser(settings["fusion"], settings["weights"], index.calibrations)
        scores = judge.score(hits)
        precision[name] = scores.precision
        result["fusions"][name] = {
            "fusion": settings["fusion"],
            "weights": list(settings["weights"]),
            "scores": judge.summary(scores),
            "first": attribute(hits, truth, 1, fuser),
            "answers": attribute(hits, truth, k, fuser),
        }
    for change in changes:
        entry, under_paper = (
            judge.changed(change, precision[name], **settings) for name, settings in fusions.items()
        )
        result["changes"][change.name] = {**entry, "under_paper": under_paper}
    result["left_out"] = dict(getattr(changes, "left_out", {}))
    return result


class _Judge:
    """Searches and scores one query set with one index."""

    def __init__(self, index, queries, truth, k, exclude_self, bootstrap, seed):
        self.index, self.ids, self.truth, self.k = index, queries.ids, truth, k
        self.exclude_self, self.bootstrap, self.seed = exclude_self, bootstrap, seed

    def search(self, parts, **settings):
        return search(self.index, parts, self.ids, self.k, self.exclude_self, **settings)

    def score(self, hits):
        return score_queries(hits, self.truth, self.k)

    def summary(self, scores):
        return summarise(scores, self.k, self.bootstrap, self.seed)

    def alone(self, parts, part):
        hits = self.search(parts, part=part)
        return self.summary(self.score(hits)) if any(hits.values()) else None

    def changed(self, change, whole, **settings):
        """Scores of changed queries; ``whole`` is the average precision of the unchanged ones."""
        hits = self.search(change.parts, **settings)
        scores = self.score(hits)
        difference = scores.precision - whole
        entry = {**self.summary(scores), "difference": percent(difference.mean())}
        if self.bootstrap:
            interval = bootstrap_interval(difference, self.bootstrap, self.seed)
            entry["difference_ci95"] = [percent(end) for end in interval]
        if change.donors is not None:
            matches = {q: self.truth[self.ids[d]] for q, d in zip(self.ids, change.donors)}
            followed = [bool(a) and a[0].item_id in matches[q] for q, a in hits.items()]
            entry["others"] = percent(np.mean(followed))
        return entry
