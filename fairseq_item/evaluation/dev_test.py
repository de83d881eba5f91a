"""Dev and test queries: choices are made on the one, reported once on the other.

As in the paper, whose queries are split at random by 2 to 3 into development and test.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fairseq_item.data.draw import draw

PARTS = ("dev", "test")
DEV = 2 / 5


def dev_and_test(queries: Iterable[str], seed: int = 1) -> dict[str, list[str]]:
    """Split queries by a seed and their ids alone, whatever their order: "dev" and "test" -> ids.

    Args:
        queries: ids.
        seed: of the draw.
    """
    drawn = sorted(queries, key=lambda query: draw(seed, query))
    middle = round(DEV * len(drawn))
    return {"dev": drawn[:middle], "test": drawn[middle:]}


def keep(
    hits: Mapping[str, Any], truth: Mapping[str, Any], part: str, seed: int = 1
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Hits and truth of dev or of test queries.

    Args:
        hits: query id -> answers; those to queries that ``truth`` does not know are kept, for
            whoever scores them to refuse.
        truth: query id -> true matches.
        part: one of ``PARTS``.
        seed: of the split.
    """
    kept = set(dev_and_test(truth, seed)[part])
    return (
        {query: found for query, found in hits.items() if query in kept or query not in truth},
        {query: items for query, items in truth.items() if query in kept},
    )
