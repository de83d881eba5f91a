"""Pairs that are likely the same product among items that lie near or share rare words.

All pairs of a million items take days. Here an item is compared with those of the lists that it
visits (``lists``), and with titles that share rare words with it (``rare_words``). What could
reach the probability is scored exactly, in both directions: a pair that is found has the
probability that ``duplicates.likely_pairs`` gives it. Some are not found: docs/duplicates.md says
how many.

The work is cut into parts by the index alone: the number of workers changes no pair. Each part's
result is a file of the folder of parts, and a killed run goes on from those that are there.
"""

from functools import partial

import numpy as np

from fairseq_item import __version__
from fairseq_item.files import atomic_path, locked_folder
from fairseq_item.search.duplicates import best_first, least_score
from fairseq_item.search.near.comparison import ITEMS_A_PART, Comparison
from fairseq_item.search.near.lists import Lists, list_count
from fairseq_item.search.near.parts import Parts
from fairseq_item.search.near.rare_words import RareWords

VISITS = 8


def near_pairs(index, folder, least, parts, map_in_order, device="cpu", visits=VISITS, seed=1):
    """Likely pairs of items that are near or share rare words.

    Args:
        index: a fitted ``ItemIndex``.
        folder: where it lies: workers open it anew.
        least: probability.
        parts: folder of results, see ``parts.Parts``.
        map_in_order: function of a function and inputs that yields the results in order, such as
            ``parallel.map_in_order`` with so many workers, which see both folders.
        device: "cpu", or the GPU that compares.
        visits: lists that an item visits.
        seed: of the lists.

    Returns:
        LikelyPairs

    Raises:
        InputError: the index has no fitted probabilities, or ``parts`` holds other things.
    """
    least_score(index, least)
    plan = {"version": __version__, "index": index.meta, "least": least}
    plan |= {"visits": visits, "seed": seed}
    with locked_folder(parts):
        parts = Parts(parts, plan, map_in_order)
        found = np.concatenate(_found(index, Comparison(str(folder), least, device), parts, plan))
    rows, first = np.unique(found["rows"], axis=0, return_index=True)
    return best_first(index, rows, found["score"][first])


def _found(index, comparison, parts, plan):
    """Arrays of ``comparison.PAIR``, with pairs that were found twice."""
    starts, counts = range(0, len(index), ITEMS_A_PART), None
    if index.lexical is not None:
        counts = parts.joined("counts", comparison.counts, starts)
    lists, visits = list_count(len(index), plan["visits"]), plan["visits"]
    centres = parts.joined("centres", partial(comparison.centres, seed=plan["seed"]), [lists])
    visits = parts.joined("visits", partial(comparison.visits, centres, visits), starts)
    lists = Lists(np.load(visits, mmap_mode="r"), lists, ITEMS_A_PART)
    found = list(parts.made("lists", partial(comparison.within, counts), lists))
    if index.lexical is not None:
        words = parts.folder / "words.npz"
        if not words.exists():
            with atomic_path(words) as path, open(path, "wb") as file:
                np.savez(file, **RareWords.of(index.lexical)._asdict())
        found += parts.made("words", partial(comparison.sharing, counts, words), starts)
    return found
