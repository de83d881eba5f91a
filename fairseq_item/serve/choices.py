"""Columns of few values: what the page offers to choose answers by."""

from collections import Counter

# Columns that name an item rather than tell of what kind it is.
NAMES = ("id", "title", "image")
# Values that a column may have to be offered as a choice.
MOST_CHOICES = 100


def choices(items):
    """Column -> value -> number of items, the most frequent first.

    Args:
        items: ``Table`` of the items.
    """
    found = {}
    for name in items.fieldnames:
        if name not in NAMES:
            counts = _counts(items.values(name))
            if counts and 1 < len(counts) <= len(items) / 2:  # more: names of its own
                found[name] = counts
    return found


def _counts(values):
    """How often each value occurs, but for the empty one; None if there are too many."""
    counts = Counter()
    for value in values:
        counts[value] += 1
        if len(counts) > MOST_CHOICES + 1:
            return None
    counts.pop("", None)
    return dict(counts.most_common())
