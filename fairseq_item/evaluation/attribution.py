"""Which of the three similarities made an answer."""

import numpy as np

from fairseq_item.evaluation.summary import percent
from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.hits import SIMILARITIES


def contributions(similarities, fuser):
    """What each part gives to the fused score.

    Args:
        similarities: (m, 4) in the order of ``SIMILARITIES``, NaN where one is absent.
        fuser: ``fusion.Fuser``.

    Returns:
        (m, 4) float64 weighted calibrated similarities; -inf for a part that is absent or has no
        weight.
    """
    given = np.full(similarities.shape, -np.inf)
    for column, part in fuser.active():
        scored = fuser.weights[column] * fuser.calibrations[part](similarities[:, column])
        given[:, column] = np.where(np.isnan(scored), -np.inf, scored)
    return given


def attribute(hits, truth, k, fuser):
    """Which part wins answers, and how often it is right.

    Args:
        hits: query id -> list of ``Hit``, best first.
        truth: query id -> set of item ids.
        k: how many answers of each query are looked at.
        fuser: the ``fusion.Fuser`` that ranked them.

    Returns:
        dict: ``count`` answers, ``tied`` how many were won by several parts, ``right`` percent
        of all that are true matches; and for each part ``wins``, the number it wins, a tie
        counting in equal shares, ``share`` of all in percent, and ``right``, percent of true
        matches among those it wins, None where it wins none.
    """
    looked_at = [(query, hit) for query, answers in hits.items() for hit in answers[:k]]
    right = np.array([hit.item_id in truth[query] for query, hit in looked_at], bool)
    similarities = [hit.similarities for _, hit in looked_at]
    similarities = np.array(similarities, np.float64).reshape(-1, len(SIMILARITIES))
    given = contributions(similarities, fuser)
    won = given == given.max(axis=1, keepdims=True)
    shares = won / won.sum(axis=1, keepdims=True)
    result = {"count": len(looked_at), "tied": int((won.sum(axis=1) > 1).sum())}
    result["right"] = percent(right.mean()) if len(right) else None
    for part, share in zip(EMBEDDINGS, shares.T):
        wins = float(share.sum())
        result[part] = {
            "wins": round(wins, 2),
            "share": percent(wins / max(1, len(looked_at))),
            "right": percent(share[right].sum() / wins) if wins else None,
        }
    return result
