"""Which of the similarities made an answer."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fairseq_item.evaluation.summary import percent
from fairseq_item.search.fusion import Fuser
from fairseq_item.search.hits import SIMILARITIES, Hit


def contributions(similarities: np.ndarray, fuser: Fuser) -> np.ndarray:
    """What each similarity gives to the fused score.

    Args:
        similarities: (m, 4) in the order of ``SIMILARITIES``, NaN where one is absent.
        fuser: ``fusion.Fuser``.

    Returns:
        (m, 4) float64 weighted, calibrated similarities; -inf for one that is absent or has no
        weight.
    """
    given = np.full(similarities.shape, -np.inf)
    for column, name in fuser.active():
        scored = fuser.weights[column] * fuser.calibrations[name](similarities[:, column])
        given[:, column] = np.where(np.isnan(scored), -np.inf, scored)
    return given


def winners(similarities: np.ndarray, fuser: Fuser) -> np.ndarray:
    """Which similarities give most to the fused score: the maximum, or most of a sum.

    Args:
        similarities, fuser: as of :func:`contributions`.

    Returns:
        (m, 4) bool: True for one in a row, for several where they tie, for none where nothing that
        has a weight is there.
    """
    given = contributions(similarities, fuser)
    return (given == given.max(axis=1, keepdims=True)) & np.isfinite(given)


def attribute(
    hits: Mapping[str, list[Hit]], truth: Mapping[str, set[str]], k: int, fuser: Fuser
) -> dict[str, Any]:
    """Which similarity wins answers, and how often it is right.

    Args:
        hits: query id -> list of ``Hit``, best first.
        truth: query id -> set of item ids.
        k: how many answers of each query are looked at.
        fuser: the ``fusion.Fuser`` that ranked them.

    Returns:
        dict: ``count`` answers, ``tied`` how many were won by several similarities, ``right``
        percent of all that are true matches; and for each similarity that the index has ``wins``,
        the number it wins, a tie counting in equal shares, ``share`` of all in percent, and
        ``right``, percent of true matches among those it wins, None where it wins none.
    """
    looked_at = [(query, hit) for query, answers in hits.items() for hit in answers[:k]]
    right = np.array([hit.item_id in truth[query] for query, hit in looked_at], bool)
    rows = np.array([hit.similarities for _, hit in looked_at], np.float64)
    won = winners(rows.reshape(-1, len(SIMILARITIES)), fuser)
    count = won.sum(axis=1, keepdims=True)
    shares = won / np.maximum(count, 1)
    result: dict[str, Any] = {"count": len(looked_at), "tied": int((count > 1).sum())}
    result["right"] = percent(right.mean()) if len(right) else None
    for name, share in zip(SIMILARITIES, shares.T):
        if name not in fuser.calibrations:
            continue
        wins = float(share.sum())
        result[name] = {
            "wins": round(wins, 2),
            "share": percent(wins / max(1, len(looked_at))),
            "right": percent(share[right].sum() / wins) if wins else None,
        }
    return result
