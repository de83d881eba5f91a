"""Lists of items whose fused vectors lie near one another, for comparing within lists.

The vectors are the embeddings side by side, each times the square root of its scale, so that the
inner product of two is their score but for words and shifts (see ``candidates.lists``). Lists are
the cells of spherical k-means (Dhillon and Modha, 2001) on a sample: centres are unit vectors, and
the nearest one has the largest inner product. (By distance, short centres in the middle of
everything had as many visitors as there are items.) An item is *at home* in the list of the
nearest centre, and *visits* the lists of the ``visits`` nearest ones, its own first. Of two items
that lie near, one is at home in a list that the other one visits.
"""

import numpy as np

from fairseq_item.search.candidates.lists import scales_of, side_by_side

ITEMS_A_LIST, TURNS, BLOCK = 40, 6, 2048


class FusedRows:
    """The fused vectors of an index's items.

    Args:
        index: ``ItemIndex``.
        fuser: ``Fuser``.
    """

    def __init__(self, index, fuser):
        self._scales, self._index = scales_of(fuser), index

    def __getitem__(self, rows):
        """(b, D) float32 of a slice or an array of positions; D is 0 where only words count."""
        if not self._scales:
            return np.zeros((len(self._index.present[rows]), 0), np.float32)
        vectors = {name: self._index.vectors[name][rows] for name in self._scales}
        return side_by_side(vectors, self._scales)


def list_count(count, visits):
    """How many lists cost least: finding lists costs as many products an item as there are lists,
    comparing ``visits`` times the items of one."""
    return max(1, min(round((visits * count) ** 0.5), count // ITEMS_A_LIST))


def list_centres(rows, count, lists, seed):
    """The centres of ``lists`` lists: (lists, D) float32.

    Args:
        rows: :class:`FusedRows`.
        count: of all items.
        lists: how many.
        seed: of the sample and the first centres.
    """
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(count, min(count, lists * ITEMS_A_LIST), replace=False))
    vectors = rows[sample]
    centres = _unit(vectors[np.sort(rng.choice(len(vectors), lists, replace=False))])
    for _ in range(TURNS if lists > 1 else 0):
        home = np.concatenate(
            [nearest(vectors[i : i + BLOCK], centres, 1) for i in range(0, len(vectors), BLOCK)]
        )[:, 0]
        order = np.argsort(home, kind="stable")
        found, starts = np.unique(home[order], return_index=True)
        # A list that nobody is at home in keeps its centre.
        centres[found] = _unit(np.add.reduceat(vectors[order], starts, axis=0))
    return centres


def _unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def nearest(vectors, centres, visits):
    """The nearest centres of each vector, the nearest one first: (b, visits) int32."""
    visits = min(visits, len(centres))
    distances = -(vectors @ centres.T)
    found = np.argpartition(distances, visits - 1, axis=1)[:, :visits]
    order = np.argsort(np.take_along_axis(distances, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1).astype(np.int32)


class Lists:
    """Who is at home in each list and who visits it, cut into parts: a sequence.

    A part is a list of (items at home, visitors from elsewhere), (m,) storage positions each.

    Args:
        visits: (n, v) int32, the list that an item is at home in first.
        lists: how many there are.
        items_a_part: about so many are at home in the lists of one part.
    """

    def __init__(self, visits, lists, items_a_part):
        away = visits[:, 1:]
        rows = np.repeat(np.arange(len(visits)), away.shape[1])
        self._members = (
            _by_list(visits[:, 0], np.arange(len(visits)), lists),
            _by_list(away.ravel(), rows, lists),
        )
        parts = np.arange(0, len(visits), items_a_part)
        self._cuts = np.unique(np.searchsorted(self._members[0][1], parts, side="right") - 1)

    def __len__(self):
        return len(self._cuts)

    def __getitem__(self, part):
        starts = self._members[0][1]
        stop = self._cuts[part + 1] if part + 1 < len(self) else len(starts) - 1
        return [
            tuple(rows[starts[i] : starts[i + 1]] for rows, starts in self._members)
            for i in range(self._cuts[part], stop)
        ]


def _by_list(which, rows, lists):
    """``rows`` (m,) ordered by their lists, and where each list begins and the last one ends."""
    order = np.argsort(which, kind="stable")
    return rows[order], np.searchsorted(which[order], np.arange(lists + 1))
