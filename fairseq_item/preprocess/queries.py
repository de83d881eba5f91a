"""Cutting queries out of a catalogue that knows its products."""

from contextlib import ExitStack

from fairseq_item.data.draw import draw
from fairseq_item.data.tsv import TsvWriter
from fairseq_item.errors import InputError

TRUTH_COLUMNS = ("query_id", "item_id")
FILES = ("query.tsv", "index.tsv", "truth.tsv")


def read_listings(catalog):
    """Products with two listings or more: product -> ids.

    Raises:
        InputError: there is none.
    """
    listings = {}
    for _, row in catalog:
        if row["product"]:
            listings.setdefault(row["product"], []).append(row["id"])
    listings = {product: ids for product, ids in listings.items() if len(ids) > 1}
    if not listings:
        raise InputError(
            f"{catalog.path} has no product with two rows; item-relist makes second ones"
        )
    return listings


def choose(listings, count, seed):
    """Draw ``count`` queries by the seed, whatever the order of the rows: row id -> product."""
    drawn = sorted(listings, key=lambda product: draw(seed, product))[:count]
    return {min(listings[p], key=lambda row_id: draw(seed, row_id)): p for p in drawn}


def write(catalog, listings, queries, folder):
    """Write ``FILES`` into ``folder``; returns the number of rows of each."""
    with ExitStack() as stack:
        columns = catalog.fieldnames, catalog.fieldnames, TRUTH_COLUMNS
        query, index, truth = writers = [
            stack.enter_context(TsvWriter(folder / name, names))
            for name, names in zip(FILES, columns)
        ]
        for _, row in catalog:
            product = queries.get(row["id"])
            if product is None:
                index.write(row)
                continue
            query.write(row)
            for item_id in listings[product]:
                if item_id != row["id"]:
                    truth.write({"query_id": row["id"], "item_id": item_id})
    return [writer.count for writer in writers]
