"""The report on modality balance: which similarity wins, and what changed queries still find."""

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.evaluation.attribution import attribute
from fairseq_item.evaluation.metrics import bootstrap_interval, score_queries
from fairseq_item.evaluation.summary import percent, summarise
from fairseq_item.search.fusion import Fuser, own_settings
from fairseq_item.search.hits import SIMILARITIES
from fairseq_item.search.search import search

PAPER = {"fusion": "max", "weights": (1.0, 1.0, 1.0)}


def report(index, queries, truth, k=10, changes=(), exclude_self=False, bootstrap=1000, seed=1):
    """Everything that ``item-balance`` finds out.

    Args:
        index: ``ItemIndex``.
        queries: ``Embeddings`` of the whole queries.
        truth: query id -> set of item ids; as in ``score_queries``, all its queries count.
        k: answers that count.
        changes: iterable of ``changed_queries.Change``; a ``ChangedQueries`` embeds them.
        exclude_self: leave out the item that has the query's id.
        bootstrap: samples of the 95% intervals; 0 leaves these out.
        seed: of the samples.

    Returns:
        dict, all scores and shares in percent. ``alone``: what each similarity of the index finds
        alone, None where no query has it. ``fusions``: for "index" and "paper" its ``fusion``,
        ``weights``, the ``scores`` of the whole queries, and as ``first`` and ``answers`` what
        :func:`attribute` says. ``changes``: the scores under each change, by name, and as
        ``under_paper`` those of the paper's fusion; ``difference`` is that of MAP@k from the whole
        queries, ``others`` the share of queries whose first answer is a match of who gave the
        wrong title or image. ``left_out``: changes that could not be made -> why.

    Raises:
        InputError: ``k`` is below 1, or a query has no true match.
    """
    if k < 1:
        raise InputError(f"k is {k}; it must be 1 or more")
    evaluator = _Evaluator(index, queries, truth, k, exclude_self, bootstrap, seed)
    whole = queries.queries()
    names = [name for name in SIMILARITIES if name in index.calibrations]
    result = {
        "k": k,
        "queries": len(truth),
        "items": len(index),
        "index": {name: index.meta[name] for name in ("transform", "calibration", "factory")},
        "checkpoint": index.meta.get("checkpoint"),
        "alone": {name: evaluator.alone(whole, name) for name in names},
        "fusions": {},
        "changes": {},
    }
    fusions = {
        "index": own_settings(index.meta),
        "paper": PAPER,
    }
    precision = {}
    for name, settings in fusions.items():
        result["fusions"][name], precision[name] = evaluator.whole(whole, **settings)
    for change in changes:
        entry, under_paper = (
            evaluator.changed(change, precision[name], **settings)
            for name, settings in fusions.items()
        )
        result["changes"][change.name] = {**entry, "under_paper": under_paper}
    result["left_out"] = dict(getattr(changes, "left_out", {}))
    return result


class _Evaluator:
    """Searches one index with one query set, and scores what it finds."""

    def __init__(self, index, queries, truth, k, exclude_self, bootstrap, seed):
        self.index, self.ids, self.truth, self.k = index, queries.ids, truth, k
        self.exclude_self, self.bootstrap, self.seed = exclude_self, bootstrap, seed

    def alone(self, embeddings, name):
        """Scores of one similarity, None if no query has it."""
        hits = self._search(embeddings, similarity=name)
        return self._summary(self._score(hits)) if any(hits.values()) else None

    def whole(self, embeddings, fusion, weights):
        """Scores of unchanged queries and who wins their answers; and their average precision."""
        hits = self._search(embeddings, fusion=fusion, weights=weights)
        scores = self._score(hits)
        fuser = Fuser(fusion, weights, self.index.calibrations)
        entry = {
            "fusion": fusion,
            "weights": list(weights),
            "scores": self._summary(scores),
            "first": attribute(hits, self.truth, 1, fuser),
            "answers": attribute(hits, self.truth, self.k, fuser),
        }
        return entry, scores.precision

    def changed(self, change, whole, **settings):
        """Scores of changed queries; ``whole`` is the average precision of the unchanged ones."""
        hits = self._search(change.embeddings, **settings)
        scores = self._score(hits)
        difference = scores.precision - whole
        entry = {**self._summary(scores), "difference": percent(difference.mean())}
        if self.bootstrap:
            interval = bootstrap_interval(difference, self.bootstrap, self.seed)
            entry["difference_ci95"] = [percent(end) for end in interval]
        if change.donors is not None:
            matches = {q: self.truth[self.ids[d]] for q, d in zip(self.ids, change.donors)}
            followed = [bool(a) and a[0].item_id in matches[q] for q, a in hits.items()]
            entry["others"] = percent(np.mean(followed))
        return entry

    def _search(self, embeddings, **settings):
        return search(self.index, embeddings, self.ids, self.k, self.exclude_self, **settings)

    def _score(self, hits):
        return score_queries(hits, self.truth, self.k)

    def _summary(self, scores):
        return summarise(scores, self.k, self.bootstrap, self.seed)
