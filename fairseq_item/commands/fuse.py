"""``item-fuse``: one vector a product, for databases that search by the inner product.

Weights, calibrations, transforms and absent titles and images are folded into the vectors: their
inner products rank products as item-search does. Where the lexical similarity counts, sparse rows
go with them, to be added.

    item-fuse INDEX --out fused/items

    item-fuse INDEX --queries EMBEDDINGS --out fused/queries
"""

from fairseq_item.commands.common import Parser, add_verify, amount, run, say
from fairseq_item.search.fused_folder import write_items, write_queries
from fairseq_item.search.fused_vectors import sum_fuser
from fairseq_item.search.fusion import FUSIONS
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import open_queries


def parser():
    p = Parser(__doc__)
    p.add_argument("index", metavar="INDEX", help="folder that item-index wrote")
    p.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    p.add_argument(
        "--queries",
        metavar="DIR",
        help="write vectors of these queries, a folder of embeddings, rather than of the items",
    )
    p.add_argument(
        "--weights",
        type=amount,
        nargs="+",
        metavar="W",
        help="of global, title, image, lexical, the last 0 for vectors alone; the same for items "
        "and queries (default: the index's own)",
    )
    p.add_argument(
        "--fusion",
        choices=FUSIONS,
        help="default: the index's own; max is refused, as it is no inner product",
    )
    add_verify(p)
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    index = ItemIndex.load(args.index, args.verify)
    fuser = sum_fuser(index, args.fusion, args.weights)
    if args.queries is None:
        meta = write_items(index, fuser, args.out)
    else:
        queries = open_queries(index, args.index, args.queries, args.verify)
        meta = write_queries(index, fuser, queries, args.out)
    sparse = ", and sparse rows" if "lexical" in meta["similarities"] else ""
    say(f"{args.out}: {meta['count']} vectors of {meta['dim']} values{sparse}")


def cli():
    """Console script ``item-fuse``."""
    run(main)


if __name__ == "__main__":
    cli()
