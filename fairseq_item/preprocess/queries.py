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
    """Draw ``count`` products and a listing of each, whatever the order of the rows: a set of ids.

    Args:
        listings: of :func:`read_listings`.
        count: how many.
        seed: of the draws.
    """
    drawn = sorted(listings, key=lambda product: draw(seed, product))[:count]
    return {min(listings[p], key=lambda row_id: draw(seed, row_id)) for p in drawn}


def choose_listings(listings, seed, count=None, most=None):
    """Draw listings evenly over products, whatever the order of the rows: a set of ids.

    A product gets a second query only when all have one, a third when all have two (or no more).

    Args:
        listings: of :func:`read_listings`.
        seed: of the draws.
        count: how many; None takes all.
        most: listings a product, at most; None takes all.
    """
    ranked = []
    for product, ids in listings.items():
        shuffled = sorted(ids, key=lambda row_id: draw(seed, row_id))[:most]
        turn = draw(seed, product)
        ranked += [(rank, turn, row_id) for rank, row_id in enumerate(shuffled)]
    return {row_id for _, _, row_id in sorted(ranked)[:count]}


def write(catalog, same, queries, folder, leave_one_out=False):
    """Write ``FILES`` into ``folder``; returns the number of rows of each.

    Args:
        catalog: the catalogue.
        same: row id -> ids of all rows of its product, of ``equal_listings.same_products``.
        queries: set of ids.
        folder: where to.
        leave_one_out: the queries stay in the index; the answers to one are all other rows of its
            product, queries or not.
    """
    left_out = frozenset() if leave_one_out else queries
    with ExitStack() as stack:
        columns = catalog.fieldnames, catalog.fieldnames, TRUTH_COLUMNS
        query, index, truth = writers = [
            stack.enter_context(TsvWriter(folder / name, names))
            for name, names in zip(FILES, columns)
        ]
        for _, row in catalog:
            if row["id"] not in left_out:
                index.write(row)
            if row["id"] not in queries:
                continue
            query.write(row)
            for item_id in same[row["id"]]:
                if item_id != row["id"] and item_id not in left_out:
                    truth.write({"query_id": row["id"], "item_id": item_id})
    return [writer.count for writer in writers]
