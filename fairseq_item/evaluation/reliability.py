"""Whether scores are probabilities: how often answers are right, by what their score says."""

import numpy as np

from fairseq_item.errors import InputError

BINS = 10


def bin_of(probabilities, bins=BINS):
    """Which of so many equal stretches from 0 to 1 each falls into: (m,) int64."""
    return np.clip((np.asarray(probabilities) * bins).astype(np.int64), 0, bins - 1)


def calibration_error(probabilities, true, bins=BINS):
    """Expected calibration error (Naeini, Cooper and Hauskrecht, 2015), a fraction.

    The mean over bins, by how many fall into each, of how far the share of true ones is from the
    mean probability.

    Args:
        probabilities: (m,) float within 0 and 1.
        true: (m,) bool.
        bins: equal stretches from 0 to 1.
    """
    gaps = np.bincount(bin_of(probabilities, bins), np.asarray(true) - probabilities)
    return float(np.abs(gaps).sum() / max(1, len(probabilities)))


def reliability(hits, truth, k, bins=BINS):
    """How reliable the scores of the first ``k`` answers are.

    Args:
        hits: query id -> list of ``Hit``, best first.
        truth: query id -> set of item ids.
        k: answers that count.
        bins: equal stretches from 0 to 1.

    Returns:
        dict: ``ece`` in percent; ``answers``; ``bins``: of each that is not empty ``from``,
        ``to``, ``count``, ``probability`` (the mean score), ``true`` (the share), ``true_ci95``.

    Raises:
        InputError: there is no hit, or a score is no probability.
    """
    first = [(q, hit) for q, answers in hits.items() for hit in answers[:k]]
    if not first:
        raise InputError("there are no hits; reliability needs some")
    for query, hit in first:
        if not 0 <= hit.score <= 1:  # true for NaN, too
            raise InputError(
                f"the score {hit.score:g} of {hit.item_id!r} for query {query!r} is no "
                "probability; search an index that item-index --fit wrote"
            )
    scores = np.array([hit.score for _, hit in first])
    true = np.array([hit.item_id in truth[query] for query, hit in first])
    which = bin_of(scores, bins)
    entries = []
    for number in np.unique(which).tolist():
        here = which == number
        entry = {
            "from": number / bins,
            "to": (number + 1) / bins,
            "count": int(here.sum()),
            "probability": round(float(scores[here].mean()), 4),
            "true": round(float(true[here].mean()), 4),
        }
        entries.append({**entry, "true_ci95": _wilson(entry["true"], entry["count"])})
    error = round(100 * calibration_error(scores, true, bins), 2)
    return {"ece": error, "answers": len(first), "bins": entries}


def _wilson(share, count, z=1.96):
    """Wilson's interval (1927) of a share of ``count``: [low, high]."""
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (share * (1 - share) / count + (z / count / 2) ** 2) ** 0.5
    return [round(max(0.0, centre - half), 4), round(min(1.0, centre + half), 4)]
