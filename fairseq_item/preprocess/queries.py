#!/usr/bin/env python3
"""Search benchmark from a catalogue that knows its products (a product column).

Of products with two listings or more, one listing becomes a query, and the others are its true
matches. Writes DIR/query.tsv (the queries), DIR/index.tsv (all other rows) and DIR/truth.tsv
(query_id, item_id: a line per true match).
For a catalogue without a product column see make_relistings.py.
"""

from contextlib import ExitStack

from fairseq_item.data.catalog import TsvWriter
from fairseq_item.data.draw import draw
from fairseq_item.errors import InputError

TRUTH_COLUMNS = ("query_id", "item_id")


def read_listings(catalog):
    """Products with two listings or more: product -> ids."""
    listings = {}
    for _, row in catalog:
        if row["product"]:
            listings.setdefault(row["product"], []).append(row["id"])
    return {product: ids for product, ids in listings.items() if len(ids) > 1}


def choose(listings, args):
    """The queries: row id -> product, drawn by the seed whatever the order of the rows."""
    if not listings:
        raise InputError(
            f"{args.catalog} has no product with two rows; make_relistings.py makes second ones"
        )
    count = args.products
    if count is None:
        count = round(args.fraction * len(listings))
    if not 0 < count <= len(listings):
        raise InputError(
            f"{args.catalog} has {len(listings)} products with two rows or more, of which "
            f"{count} were asked for; change --products or --fraction"
        )
    drawn = sorted(listings, key=lambda product: draw(args.seed, product))[:count]
    return {min(listings[p], key=lambda row_id: draw(args.seed, row_id)): p for p in drawn}


def write(catalog, listings, queries, folder):
    with ExitStack() as stack:
        query, index = (
            stack.enter_context(TsvWriter(folder / name, catalog.fieldnames))
            for name in ("query.tsv", "index.tsv")
        )
        truth = stack.enter_context(TsvWriter(folder / "truth.tsv", TRUTH_COLUMNS))
        for _, row in catalog:
            product = queries.get(row["id"])
            if product is None:
                index.write(row)
                continue
            query.write(row)
            for item_id in listings[product]:
                if item_id != row["id"]:
                    truth.write({"query_id": row["id"], "item_id": item_id})
    for writer, what in ((query, "queries"), (index, "rows"), (truth, "true matches")):
        print(f"{writer.path}: {writer.count} {what}")
