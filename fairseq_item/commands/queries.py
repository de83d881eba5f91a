"""Search benchmark from a catalogue that knows its products (a product column).

Of products with two listings or more, one listing becomes a query, and the others are its true
matches. Writes DIR/query.tsv (the queries), DIR/index.tsv (all other rows) and DIR/truth.tsv
(query_id, item_id: a line per true match).

With --leave-one-out every listing of such a product becomes a query, or an even sample over the
products, and its true matches are all other listings of its product. The queries stay in the
index, DIR/index.tsv: search with item-search --exclude-self, which drops the query itself.

Equal listings, of the same image and title, count as one product in the truth.
For a catalogue without a product column see item-relist.
"""

from pathlib import Path

from fairseq_item.commands.columns import add_columns, add_index, columns_of, read_others
from fairseq_item.commands.common import Parser, add_seed, fraction, positive, run, say
from fairseq_item.data.catalog import read_catalog
from fairseq_item.data.image_root import ImageRoot
from fairseq_item.errors import InputError
from fairseq_item.files import locked_folder, refuse_overwriting
from fairseq_item.preprocess.equal_listings import ListingKey, Rows, same_products
from fairseq_item.preprocess.queries import FILES, choose, choose_listings, read_listings, write


def parser():
    """The options of ``item-queries``."""
    p = Parser(__doc__)
    p.add_argument(
        "catalog",
        help="catalogue: .tsv, .csv, .jsonl (also .gz), .parquet or a folder of .parquet files",
    )
    p.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    number = p.add_mutually_exclusive_group(required=True)
    number.add_argument("--products", type=positive, metavar="N", help="number of queries")
    number.add_argument(
        "--fraction", type=fraction, metavar="F", help="of the products with 2 rows"
    )
    number.add_argument(
        "--leave-one-out",
        action="store_true",
        help="every listing is a query, and stays in the index",
    )
    p.add_argument(
        "--num-queries", type=positive, metavar="N", help="with --leave-one-out: that many of them"
    )
    p.add_argument(
        "--max-per-product",
        type=positive,
        metavar="M",
        help="with --leave-one-out: listings of a product that become queries, at most",
    )
    p.add_argument(
        "--image-root",
        metavar="PATH",
        help="images, to tell equal ones by their bytes; else by their names in the catalogue",
    )
    p.add_argument(
        "--equal-apart", action="store_true", help="count equal listings as what product says"
    )
    add_index(p)
    add_seed(p, "seed of the choice")
    add_columns(p)
    return p


def main(argv=None):
    p = parser()
    args = p.parse_args(argv)
    if not args.leave_one_out and (args.num_queries or args.max_per_product):
        p.error("--num-queries and --max-per-product belong to --leave-one-out")
    out = Path(args.out)
    for source in (args.catalog, *args.index):
        refuse_overwriting(source, [out / name for name in FILES])
    root = args.image_root and ImageRoot(args.image_root)
    require = ("id", "title", "image", "product")
    catalog = read_catalog(args.catalog, columns_of(args), require)
    queries = choose_queries(args, read_listings(catalog))
    key = None if args.equal_apart else ListingKey(root)
    others = read_others(args)
    with locked_folder(out):
        same, equal = same_products(Rows([catalog, *others]), key)
        counts = write(catalog, same, queries, out, args.leave_one_out)
    for name, count, what in zip(FILES, counts, ("queries", "rows", "true matches")):
        say(f"{out / name}: {count} {what}")
    if equal:
        say(f"{equal} rows repeat the image and title of another; they count as one product")


def choose_queries(args, listings):
    """The ids of the queries that were asked for."""
    if args.leave_one_out:
        queries = choose_listings(listings, args.seed, args.num_queries, args.max_per_product)
        if len(queries) < (args.num_queries or 0):
            raise InputError(
                f"{args.catalog} has {len(queries)} such listings, of which {args.num_queries} "
                "were asked for; change --num-queries or --max-per-product"
            )
        return queries
    wanted = args.products or round(args.fraction * len(listings))
    if not 0 < wanted <= len(listings):
        raise InputError(
            f"{args.catalog} has {len(listings)} products with two rows or more, of which "
            f"{wanted} were asked for; change --products or --fraction"
        )
    return choose(listings, wanted, args.seed)


def cli():
    """Console script ``item-queries``."""
    run(main)


if __name__ == "__main__":
    cli()
