"""What approximate search finds of the exact one's answers, measured, and the setting chosen by it.

Some of the items, drawn at random, are asked for as queries, each without itself, and answered by
the exact search and by settings of growing cost. Of those that no cheaper one beats the index keeps
recall@10, its standard error over the queries, and the setting. A search that is to have a recall
of R takes the cheapest of which R is more than a standard error below.
"""

from dataclasses import asdict
from itertools import product

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.search.candidates.search import Setting
from fairseq_item.search.exact import search_exactly
from fairseq_item.search.fusion import Batch, Fuser, own_settings
from fairseq_item.search.item_queries import as_queries

QUERIES, ANSWERS = 256, 10
# Each step visits twice as many lists and words, and keeps half as many candidates again. How much
# of each is worth while differs between catalogues. First scores are good: few need exact ones.
STEPS = 11
NEAR, WIDER, WORDY, SCORED = (10, 20, 40), 1.5, 6, 20
POSTINGS = (4000, 16_000, 64_000)
IN_VIEW = 16  # of a graph, to begin with
ENOUGH = 0.9975
# Microseconds: of a vector visited, a posting, a link followed, and a candidate that is scored at
# first and exactly. Only their ratios count.
VECTOR, POSTING, LINK, ROUGH, EXACT = 0.03, 0.005, 3.0, 0.9, 13.0


def settings(candidates, count):
    """Settings worth a try, the cheapest first: list of ``Setting``.

    Args:
        candidates: ``Candidates``.
        count: number of items.
    """
    lists = candidates.ivf.nlist if candidates.ivf is not None else None
    words, found = candidates.postings is not None, {}
    for step, first, some in product(range(STEPS), NEAR, POSTINGS if words else (0,)):
        near = round(first * WIDER**step)
        wordy, scored = WORDY * near * words, SCORED + near // 4
        if candidates.codes is None:
            wordy, scored = near * words, near * (1 + words)  # there is no first score
        visits = min(lists, 1 << step) if lists else IN_VIEW << step
        setting = Setting(visits, near, min(some << step, 20 * count), wordy, scored)
        each = VECTOR * count / lists if lists else LINK
        cost = visits * each + POSTING * setting.postings
        found[setting] = cost + ROUGH * (near + wordy) + EXACT * scored
    return sorted(found, key=found.get)


def measure(index, candidates, seed=1, queries=None):
    """Recall@10 of settings that no cheaper one beats.

    Args:
        index: ``ItemIndex``.
        candidates: ``Candidates`` of it.
        seed: of the items that are asked for.
        queries: how many of them, at most; None takes ``QUERIES``.

    Returns:
        list of dict: the setting, ``recall`` and ``error``; recall ascends.
    """
    some = np.flatnonzero(index.present.any(axis=1))
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(some, min(queries or QUERIES, len(some)), replace=False))
    plain, asked = as_queries(index, rows)
    fuser = Fuser(*own_settings(index.meta).values(), index.calibrations)
    batch = Batch(plain, fuser, asked, ANSWERS, rows)
    batch = batch.some(np.flatnonzero(candidates.whole(batch)))
    tried = settings(candidates, len(index))
    if not len(batch):  # no item has what candidates are searched for: all searches are exact
        return [{**asdict(tried[0]), "recall": 1.0, "error": 0.0}]
    right = _pairs(search_exactly(batch), len(index))
    counts = np.bincount(right // len(index), minlength=len(batch))
    best, table = -1.0, []
    for setting in tried:
        found = _pairs(candidates.search(batch, setting), len(index))
        hits = np.bincount(np.intersect1d(found, right) // len(index), minlength=len(batch))
        shares = hits[counts > 0] / counts[counts > 0]
        recall = float(shares.mean()) if len(shares) else 1.0
        if recall > best:
            error = float(shares.std() / len(shares) ** 0.5) if len(shares) else 0.0
            table.append({**asdict(setting), "recall": round(recall, 5), "error": round(error, 5)})
            best = recall
        if recall >= ENOUGH:
            break
    return table


def _pairs(found, count):
    return found.query * count + found.row


def choose(meta, recall, path):
    """The cheapest setting that has a recall, as an index knows it.

    Raises:
        InputError: none has.
    """
    built = meta.get("approximate")
    if not built:
        raise InputError(
            f"{path} was not built for --recall; run item-index with --approximate ivf-pq"
        )
    right = [one for one in built["settings"] if one["recall"] - one["error"] >= recall]
    if not right:
        most = max(one["recall"] - one["error"] for one in built["settings"])
        raise InputError(
            f"--recall {recall}: {path} is sure to reach {most:.3f} only; ask for less, or leave "
            "--recall out to search exactly"
        )
    return Setting.of(right[0])
