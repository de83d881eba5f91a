"""Search benchmark from a catalogue that knows its products (a product column).

Of products with two listings or more, one listing becomes a query, and the others are its true
matches. Writes DIR/query.tsv (the queries), DIR/index.tsv (all other rows) and DIR/truth.tsv
(query_id, item_id: a line per true match).
For a catalogue without a product column see make_relistings.py.
"""

from pathlib import Path

from fairseq_item.commands.common import Parser, run
from fairseq_item.data.catalog import Columns, add_column_arguments, read_catalog
from fairseq_item.preprocess.queries import choose, read_listings, write


def main(argv=None):
    parser = Parser(__doc__)
    parser.add_argument("catalog", help="catalogue: .tsv, .csv, .jsonl (also .gz) or .parquet")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--products", type=int, metavar="N", help="number of queries")
    amount.add_argument("--fraction", type=float, metavar="F", help="of the products with 2 rows")
    parser.add_argument("--seed", type=int, default=1, help="seed of the choice")
    add_column_arguments(parser)
    args = parser.parse_args(argv)

    catalog = read_catalog(
        args.catalog, Columns.from_args(args), ("id", "title", "image", "product")
    )
    listings = read_listings(catalog)
    queries = choose(listings, args)
    write(catalog, listings, queries, Path(args.out))


def cli():
    """Console script ``item-queries``."""
    run(main)


if __name__ == "__main__":
    cli()
