"""``item-search``: the best answers of an index to queries, by global, title and image similarity.

Queries are a folder of embeddings (``--queries``), or one product given by its title, its image
or both (``--title``, ``--image``), which a checkpoint embeds.
"""

import sys

from fairseq_item.commands.common import (
    Parser,
    add_answers,
    add_indexes,
    add_verify,
    amount,
    fraction,
    positive,
    run,
    say,
    words,
)
from fairseq_item.errors import InputError
from fairseq_item.files import check_output
from fairseq_item.search.collapse import products_of
from fairseq_item.search.filters import Filters, narrowed, split_conditions
from fairseq_item.search.fusion import FUSIONS
from fairseq_item.search.hits import SIMILARITIES, write_hits
from fairseq_item.search.joined import open_indexes
from fairseq_item.search.query_model import model_of
from fairseq_item.search.search import (
    answers,
    check_dims,
    embed_query,
    open_queries,
    search_device,
    table,
)


def _query(args, index):
    """What is asked for: what reads rows of embeddings, as ``answers`` takes it, and the ids."""
    if args.queries is not None:
        queries = open_queries(index, args.index[0], args.queries, args.verify)
        return queries.queries, queries.ids
    model = model_of(index.meta, args.index[0], args.checkpoint, args.weights_file)
    embedded = embed_query(title=args.title, image=args.image, **model)
    check_dims(index, args.index[0], {name: rows.shape[1] for name, rows in embedded.items()})
    return lambda *some: {**embedded, "lexical": [args.title or ""]}, ["query"]


def _settings(args, index):
    settings = {"fusion": args.fusion, "weights": args.weights}
    if args.similarity != "fused":
        settings = {"similarity": args.similarity}
    if args.collapse:
        settings["products"] = products_of(index, args.index[0], args.collapse)
    return {**settings, "device": search_device(args.device)}


def _check_recall(args):
    """Refuse ways to rank that the recall was not measured for."""
    for flag in ("fusion", "weights"):
        if getattr(args, flag) is not None:
            raise InputError(f"--recall is of the index's own weights; leave --{flag} out")
    if args.similarity != "fused":
        raise InputError(f"--recall is of the fused score; --similarity {args.similarity} is exact")


def parser():
    p = Parser(__doc__)
    add_indexes(p)
    p.add_argument("--queries", metavar="DIR", help="embeddings of the queries")
    p.add_argument("--title", type=words, help="title of the product asked for")
    p.add_argument("--image", metavar="FILE", help="image of the product asked for")
    p.add_argument(
        "--checkpoint",
        metavar="C",
        help="model that embeds --title and --image; default: the one that made the index",
    )
    p.add_argument(
        "--weights-file",
        metavar="FILE",
        help="state dict of the network whose features the index has, for --image; default: where "
        "item-features read it",
    )
    add_answers(p)
    p.add_argument("--out", metavar="TSV", help="hits file; without it a table is printed")
    p.add_argument(
        "--similarity",
        "--part",
        choices=("fused", *SIMILARITIES),
        default="fused",
        help="what to rank by; --part was its old name",
    )
    p.add_argument(
        "--fusion",
        choices=FUSIONS,
        help="default: the index's own; with it or --weights the score of an index that item-index "
        "--fit made is no probability",
    )
    p.add_argument(
        "--weights",
        type=amount,
        nargs="+",
        metavar="W",
        help="of global, title, image, lexical; default: the index's own",
    )
    p.add_argument("--exclude-self", action="store_true", help="drop the item with the query's id")
    p.add_argument(
        "--collapse",
        metavar="COLUMN",
        help="one answer, the best, for all items that are equal in this column, such as product, "
        "whose rows are its photos",
    )
    p.add_argument(
        "--where",
        metavar="CONDITIONS",
        help='the best of the items that fulfil all of them, such as "leaf_category=Shoes '
        'price<50": = != on text, < <= > >= on numbers, quotes around values with blanks',
    )
    p.add_argument(
        "--recall",
        type=fraction,
        metavar="R",
        help="search approximately, so that of the exact first ten a share of R is found: 0.95; "
        "needs an index of --approximate; with --where searches are exact all the same",
    )
    p.add_argument("--nprobe", type=positive, help="inverted lists visited, for IVF factories")
    p.add_argument("--device", default="auto", help="where items are compared: auto, cpu, cuda:N")
    add_verify(p)
    return p


def main(argv=None):
    p = parser()
    args = p.parse_args(argv)
    direct = args.title is not None or args.image is not None
    if direct == (args.queries is not None):
        p.error("give either --queries, or --title and/or --image")
    if args.out is not None:
        check_output(args.out)
    if args.recall is not None:
        _check_recall(args)
    index = open_indexes(args.index, args.verify, args.recall)
    if args.nprobe is not None:
        index.set_nprobe(args.nprobe)
    if args.where is not None:
        filters = Filters(index.items, f"{args.index[0]}/items.tsv")
        index = narrowed(index, filters.mask(split_conditions(args.where)))
    rows, query_ids = _query(args, index)
    found = answers(index, rows, query_ids, args.k, args.exclude_self, **_settings(args, index))
    if args.out is None:
        sys.stdout.write(table(index, dict(found)))
        return
    count = write_hits(args.out, found)
    say(f"{count} hits of {len(query_ids)} queries written to {args.out}")


def cli():
    """Console script ``item-search``."""
    run(main)


if __name__ == "__main__":
    cli()
