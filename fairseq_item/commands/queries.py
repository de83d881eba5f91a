"""Search benchmark from a catalogue that knows its products (a product column).

Of products with two listings or more, one listing becomes a query, and the others are its true
matches. Writes DIR/query.tsv (the queries), DIR/index.tsv (all other rows) and DIR/truth.tsv
(query_id, item_id: a line per true match).
For a catalogue without a product column see item-relist.
"""

from pathlib import Path

from fairseq_item.commands.columns import add_columns, columns_of
from fairseq_item.commands.common import Parser, add_seed, fraction, positive, run, say
from fairseq_item.data.catalog import read_catalog
from fairseq_item.errors import InputError
from fairseq_item.files import refuse_overwriting
from fairseq_item.preprocess.queries import FILES, choose, read_listings, write


def main(argv=None):
    parser = Parser(__doc__)
    parser.add_argument("catalog", help="catalogue: .tsv, .csv, .jsonl (also .gz) or .parquet")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    number = parser.add_mutually_exclusive_group(required=True)
    number.add_argument("--products", type=positive, metavar="N", help="number of queries")
    number.add_argument(
        "--fraction", type=fraction, metavar="F", help="of the products with 2 rows"
    )
    add_seed(parser, "seed of the choice")
    add_columns(parser)
    args = parser.parse_args(argv)

    out = Path(args.out)
    refuse_overwriting(args.catalog, [out / name for name in FILES])
    require = ("id", "title", "image", "product")
    catalog = read_catalog(args.catalog, columns_of(args), require)
    listings = read_listings(catalog)
    wanted = args.products or round(args.fraction * len(listings))
    if not 0 < wanted <= len(listings):
        raise InputError(
            f"{args.catalog} has {len(listings)} products with two rows or more, of which "
            f"{wanted} were asked for; change --products or --fraction"
        )
    counts = write(catalog, listings, choose(listings, wanted, args.seed), out)
    for name, count, what in zip(FILES, counts, ("queries", "rows", "true matches")):
        say(f"{out / name}: {count} {what}")


def cli():
    """Console script ``item-queries``."""
    run(main)


if __name__ == "__main__":
    cli()
