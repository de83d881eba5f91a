"""Which items have a value in a column: exact filters of a search."""

from collections import Counter
from threading import Lock

import numpy as np

from fairseq_item.errors import InputError

# Columns that name an item rather than tell of what kind it is.
NAMES = ("id", "title", "image")
# Values that a column may have to be offered as a choice.
MOST_CHOICES = 100


class Filters:
    """The columns of an index's items, by which answers can be chosen.

    Args:
        items: ``Table`` of the items.
    """

    def __init__(self, items):
        self._items, self._columns, self._lock = items, {}, Lock()

    def choices(self):
        """Columns of few values: column -> value -> number of items, the most frequent first."""
        found = {}
        for name in self._items.fieldnames:
            if name not in NAMES:
                counts = _counts(self._items.values(name))
                if counts and 1 < len(counts) <= len(self._items) / 2:  # more: names of its own
                    found[name] = counts
        return found

    def mask(self, where):
        """Which items fulfil all conditions.

        Args:
            where: list of str, each ``column=value``; values must be equal, case and all.

        Returns:
            (n,) bool.

        Raises:
            InputError: a condition has another form, or there is no such column.
        """
        mask = np.ones(len(self._items), bool)
        for condition in where:
            name, separator, value = condition.partition("=")
            if not separator or name not in self._items.fieldnames:
                known = ", ".join(self._items.fieldnames)
                raise InputError(
                    f"where={condition!r}: write it as column=value; the columns are {known}"
                )
            numbers, values = self._column(name)
            mask &= numbers == values.get(value, -1)
        return mask

    def _column(self, name):
        """A column as numbers (n,) int32, and value -> number; made when first asked for."""
        with self._lock:
            if name not in self._columns:
                values = {}
                numbers = (values.setdefault(v, len(values)) for v in self._items.values(name))
                self._columns[name] = np.fromiter(numbers, np.int32, len(self._items)), values
            return self._columns[name]


def _counts(values):
    """How often each value occurs, but for the empty one; None if there are too many."""
    counts = Counter()
    for value in values:
        counts[value] += 1
        if len(counts) > MOST_CHOICES + 1:
            return None
    counts.pop("", None)
    return dict(counts.most_common())
