"""The gallery: which queries are shown, and what stands on a query's card."""

from collections.abc import Iterable, Sequence

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.evaluation.attribution import contributions, winners
from fairseq_item.reports.gallery_items import GalleryItems
from fairseq_item.reports.gallery_page import render_answer, render_card, render_missed
from fairseq_item.search.calibration import Uncalibrated
from fairseq_item.search.fusion import Fuser
from fairseq_item.search.hits import SIMILARITIES, Hit

PICKS = ("random", "mixed", "best", "worst")
PLAIN_MAXIMUM = Fuser("max", (1, 1, 1), {name: Uncalibrated() for name in SIMILARITIES})


def pick_queries(
    queries: Sequence[str],
    how: str,
    count: int,
    seed: int = 1,
    precision: np.ndarray | None = None,
) -> list[str]:
    """Choose the queries to be shown.

    Args:
        queries: list of n ids.
        how: "random" in the order of ``queries``; "best" or "worst" average precision first;
            "mixed" in even steps from the best to the worst.
        count: how many, at most.
        seed: of the random choice, and of the order among equals.
        precision: (n,) average precision of the queries; needed but for "random".
    """
    count = min(count, len(queries))
    order = np.random.default_rng(seed).permutation(len(queries))
    if how == "random":
        chosen = np.sort(order[:count])
    else:
        order = order[np.argsort(-np.asarray(precision)[order], kind="stable")]
        if how == "best":
            chosen = order[:count]
        elif how == "worst":
            chosen = order[::-1][:count]
        else:
            chosen = order[np.linspace(0, len(order) - 1, count).round().astype(int)]
    return [queries[i] for i in chosen]


def decided_by(hit: Hit, fuser: Fuser | None = None) -> list[str]:
    """The similarities that made the score of a hit; of a sum, those that gave most.

    Args:
        hit: ``hits.Hit``.
        fuser: ``fusion.Fuser`` of the index. Without it the greatest similarity is taken, if it
            equals the score.

    Returns:
        list of names: several where they tie, none where fewer than two similarities exist or none
        of them made the score alone.
    """
    similarities = np.array([hit.similarities], np.float64)
    if np.isfinite(similarities).sum() < 2:
        return []
    if fuser is None:
        fuser = PLAIN_MAXIMUM
        most = contributions(similarities, fuser).max()
        if not abs(most - hit.score) < 1e-4 * max(1, abs(hit.score)):
            return []
    return [name for name, won in zip(SIMILARITIES, winners(similarities, fuser)[0]) if won]


class Gallery:
    """Everything the cards are made from.

    Args:
        methods: list of (name, hits), the main one first.
        queries, items: ``GalleryItems`` of queries and index.
        truth: query id -> set of item ids, or None.
        k: answers shown.
        fuser: of the index searched, or None.
    """

    def __init__(self, methods, queries, items, truth, k, fuser=None):
        self.methods, self.queries, self.items = methods, queries, items
        self.truth, self.k, self.fuser = truth, k, fuser

    def card(self, query: str) -> str:
        """HTML of one query's card."""
        rows = [self._row(name, hits.get(query, []), query) for name, hits in self.methods]
        answers = self.methods[0][1].get(query, [])
        return render_card(
            query,
            self.queries.title(query),
            self.queries.image(query),
            rows,
            missed=self._missed(query, answers),
            first_won=decided_by(answers[0], self.fuser) if answers else (),
        )

    def _true(self, query):
        return set() if self.truth is None else self.truth.get(query, set())

    def _row(self, name, answers, query):
        true, shown = self._true(query), answers[: self.k]
        # BM25 has no upper end: bars are as long as the score is beside the query's best.
        longest = np.nanmax([1e-9, *(hit.similarities[-1] for hit in shown)])
        tiles = [
            render_answer(
                rank,
                hit,
                self.items.title(hit.item_id),
                self.items.image(hit.item_id),
                hit.item_id in true,
                decided_by(hit, self.fuser),
                longest,
            )
            for rank, hit in enumerate(shown, start=1)
        ]
        found = sum(hit.item_id in true for hit in shown)
        return name, f"{found} of {len(true)} found" if true else "", tiles

    def _missed(self, query, answers):
        """The true match of the best rank among those not shown, "" if there is none."""
        missed = self._true(query) - {hit.item_id for hit in answers[: self.k]}
        if not missed:
            return ""
        ranks = {hit.item_id: rank for rank, hit in enumerate(answers, start=1)}
        item = min(missed, key=lambda name: (ranks.get(name, len(answers) + 1), name))
        if item not in self.items:
            return render_missed(item, "", "not in the index")
        note = f"at rank {ranks[item]}" if item in ranks else f"not in the first {len(answers)}"
        return render_missed(self.items.title(item), self.items.image(item), note)


def check_known(ids: Iterable[str], items: GalleryItems, path: str, what: str) -> None:
    """Refuse ids that ``items`` does not have; ``what`` is "query" or "item".

    Raises:
        InputError: there is one.
    """
    unknown = next((name for name in ids if name not in items), None)
    if unknown is not None:
        raise InputError(
            f"{path} has the {what} {unknown!r}, which is in none of the {what} splits"
        )
