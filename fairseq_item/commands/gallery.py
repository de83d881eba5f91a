"""``item-gallery``: queries and their answers as images, in one HTML file.

On the left the query, to the right its answers by rank, with titles, scores and the similarity that
decided; true matches are framed in blue, and one that was missed stands below the query.
"""

import sys
from pathlib import Path

from fairseq_item.commands.common import Parser, run
from fairseq_item.errors import InputError
from fairseq_item.evaluation.metrics import score_queries
from fairseq_item.files import atomic_path
from fairseq_item.progress import progress
from fairseq_item.reports.gallery import PICKS, Gallery, _check_known, _scores, pick_queries, winner
from fairseq_item.reports.gallery_items import GalleryItems
from fairseq_item.reports.gallery_page import (
    render_page,
)
from fairseq_item.search import calibration
from fairseq_item.search.embeddings import EMBEDDINGS, read_meta
from fairseq_item.search.hits import read_hits, read_truth


def _methods(args):
    """(name, path) of the hits files, the main one first."""
    methods = [(args.name, args.hits)]
    for pair in args.compare:
        name, separator, path = pair.partition("=")
        if not separator or not name or not path:
            raise InputError(f"--compare {pair}: write it as NAME=hits.tsv")
        methods.append((name, path))
    return methods


def _decide(index):
    """``winner`` for hits of this index folder, or of none."""
    if index is None:
        return winner
    meta = read_meta(index, "index")
    if meta.get("content") != "index":
        raise InputError(f"--index {index} is no index folder; name what item-index wrote")
    fitted = {part: calibration.from_json(meta["calibrations"][part]) for part in EMBEDDINGS}
    return lambda hit: winner(hit, fitted, meta["weights"])


def build(args):
    """Read everything that the arguments name and return the page and how many queries it has."""
    truth = None if args.truth is None else read_truth(args.truth)
    if truth is None and args.pick != "random":
        raise InputError(f"--pick {args.pick} needs --truth to tell good answers from bad ones")
    queries = GalleryItems(args.data, args.query_splits.split(","), args.query_image_root)
    items = GalleryItems(args.data, args.index_splits.split(","), args.image_root)
    methods = []
    for name, path in _methods(args):
        hits = read_hits(path)
        _check_known(hits, queries, path, "query")
        answers = (hit.item_id for hits_of_one in hits.values() for hit in hits_of_one)
        _check_known(answers, items, path, "item")
        methods.append((name, hits))
    scored = [None if truth is None else score_queries(h, truth, args.at) for _, h in methods]
    names = list(methods[0][1]) if truth is None else scored[0].queries
    if truth is not None:
        _check_known(names, queries, args.truth, "query")
    if not names:
        raise InputError(f"{args.hits} has no hits; there is nothing to show")
    precision = None if truth is None else scored[0].precision
    chosen = pick_queries(names, args.pick, args.queries, args.seed, precision)
    gallery = Gallery(methods, queries, items, truth, args.k, _decide(args.index))
    cards = [gallery.card(query) for query in progress(chosen, "gallery", unit="query")]
    summary = [(name, _scores(s, args.at)) for (name, _), s in zip(methods, scored)]
    return render_page(args.title, summary, cards, truth is not None, args.k), len(cards)


def parser():
    p = Parser(__doc__)
    p.add_argument("--hits", required=True, metavar="TSV", help="what item-search wrote")
    p.add_argument("--name", default="ITEm", help="what to call these hits")
    p.add_argument("--truth", metavar="TSV", help="true matches, to frame them and to score")
    p.add_argument("--data", required=True, metavar="DATA_BIN", help="titles and images")
    p.add_argument("--query-splits", default="query", help="splits of the queries, comma-separated")
    p.add_argument("--index-splits", default="train,valid,test", help="splits that were indexed")
    p.add_argument("--index", metavar="INDEX", help="index searched: tells which similarity won")
    p.add_argument("--out", required=True, metavar="HTML", help="file to write")
    p.add_argument("--queries", type=int, default=40, help="queries shown")
    p.add_argument("--pick", choices=PICKS, default="random", help="which queries")
    p.add_argument("-k", type=int, default=5, help="answers shown a query")
    p.add_argument("--at", type=int, default=10, help="k of the scores MAR@k and MAP@k")
    p.add_argument(
        "--compare",
        nargs="+",
        default=[],
        metavar="NAME=TSV",
        help="hits of other methods, a row each below the first",
    )
    p.add_argument("--image-root", metavar="DIR", help="original images of the index")
    p.add_argument("--query-image-root", metavar="DIR", help="original images of the queries")
    p.add_argument("--title", default="Same product search", help="heading of the page")
    p.add_argument("--seed", type=int, default=1, help="of the choice of queries")
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    for name, value in (("-k", args.k), ("--queries", args.queries)):
        if value < 1:
            raise InputError(f"{name} is {value}; it must be 1 or more")
    page, count = build(args)
    with atomic_path(args.out) as path:
        path.write_text(page, encoding="utf-8")
    size = Path(args.out).stat().st_size / 2**20
    sys.stdout.write(f"{count} queries shown in {args.out} ({size:.1f} MiB)\n")


def cli():
    """Console script ``item-gallery``."""
    run(main)


if __name__ == "__main__":
    cli()
