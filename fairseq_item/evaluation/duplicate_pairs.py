"""How right groups of likely equal products are, counted in pairs of items."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any


def score_groups(groups: Iterable[Sequence[int]], labels: Sequence[str]) -> dict[str, Any]:
    """Precision and recall of groups.

    Args:
        groups: of positions in ``labels``.
        labels: what names each item's product; items with "" are left out.

    Returns:
        dict: ``pairs`` within the groups, ``true_pairs`` of all items, and in percent ``precision``
        (None without a pair) and ``recall`` (None without a true pair).
    """
    pairs = right = 0
    for items in groups:
        for one, other in combinations([labels[item] for item in items if labels[item]], 2):
            pairs += 1
            right += one == other
    counts = Counter(label for label in labels if label)
    true = sum(count * (count - 1) // 2 for count in counts.values())
    return {
        "pairs": pairs,
        "true_pairs": true,
        "precision": 100 * right / pairs if pairs else None,
        "recall": 100 * right / true if true else None,
    }


def labels_of(truth: Mapping[str, Iterable[str]], ids: Sequence[str]) -> list[str]:
    """Names of products that follow from true matches: whatever matches has one name.

    Args:
        truth: id -> ids of its true matches.
        ids: of all items; those without a match are products of their own.
    """
    label = {name: name for name in ids}

    def first(name):
        while label[name] != name:
            name = label[name]
        return name

    for query, items in truth.items():
        for item in items:
            if query in label and item in label:
                label[first(item)] = first(query)
    return [first(name) for name in ids]
