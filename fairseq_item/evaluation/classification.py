"""Predicted leaf categories: written as a table, and how often they are right."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fairseq_item.data.tsv import TsvWriter

FIRST = 5


def write_predictions(
    path: str | Path,
    ids: Sequence[str],
    categories: Sequence[str],
    classes: np.ndarray,
    probabilities: np.ndarray,
) -> None:
    """Write a line for each product and rank.

    Args:
        path: the file.
        ids: list of n ids.
        categories: names of the classes.
        classes, probabilities: (n, k), the most probable first.
    """
    with TsvWriter(path, ["id", "rank", "category", "probability"]) as writer:
        for name, *columns in zip(ids, classes, probabilities):
            for rank, (number, probability) in enumerate(zip(*columns), start=1):
                category = categories[number]
                row = {"id": name, "rank": str(rank), "category": category}
                writer.write({**row, "probability": f"{probability:.6f}"})


def accuracies(
    truth: Sequence[str], categories: Sequence[str], classes: np.ndarray
) -> dict[str, float]:
    """How often the true category is the first, or among the first five.

    Args:
        truth: list of n names of categories, "" where a product has none.
        categories: names of the classes.
        classes: int64 (n, k), k at least 5 unless there are fewer classes; best first.

    Returns:
        dict: ``products``, ``with_category``, ``unknown_category`` (training did not have it: never
        right) and, if any product has a category, ``Acc@1`` and ``Acc@5`` in percent of those.
    """
    number = {name: i for i, name in enumerate(categories)}
    true = np.array([number.get(name.strip(), -1) for name in truth])
    labelled = np.array([bool(name.strip()) for name in truth])
    result: dict[str, float] = {
        "products": len(truth),
        "with_category": int(labelled.sum()),
        "unknown_category": int((labelled & (true < 0)).sum()),
    }
    if labelled.any():
        right = (classes[:, :FIRST] == true[:, None])[labelled]
        result["Acc@1"] = round(100 * float(right[:, 0].mean()), 2)
        result["Acc@5"] = round(100 * float(right.any(1).mean()), 2)
    return result
