"""``item-gallery``: queries and their answers as images, in one HTML file.

On the left the query, to the right its answers by rank, with titles, scores and the similarity that
decided; true matches are framed in blue, and one that was missed stands below the query.
"""

from collections.abc import Sequence
from pathlib import Path

from fairseq_item.commands.common import (
    Parser,
    add_answers,
    add_seed,
    add_splits,
    positive,
    run,
    say,
)
from fairseq_item.errors import InputError
from fairseq_item.evaluation.metrics import score_queries
from fairseq_item.files import atomic_path, check_output
from fairseq_item.progress import progress
from fairseq_item.reports.gallery import PICKS, Gallery, check_known, pick_queries
from fairseq_item.reports.gallery_items import GalleryItems
from fairseq_item.reports.gallery_page import render_page
from fairseq_item.search import calibration
from fairseq_item.search.fusion import Fuser, own_settings
from fairseq_item.search.hits import read_hits, read_truth
from fairseq_item.search.index_meta import read_index_meta


def parser() -> Parser:
    """The options of ``item-gallery``."""
    p = Parser(__doc__)
    p.add_argument("--hits", required=True, metavar="TSV", help="what item-search wrote")
    p.add_argument("--name", default="ITEm", help="what to call these hits")
    p.add_argument("--truth", metavar="TSV", help="true matches, to frame them and to score")
    p.add_argument("--data", required=True, metavar="DATA_BIN", help="titles and images")
    add_splits(p, "query", "splits of the queries", "--query-splits", old=None)
    add_splits(p, "train,valid,test", "splits that were indexed", "--index-splits", old=None)
    p.add_argument("--index", metavar="INDEX", help="index searched: tells which similarity won")
    p.add_argument("--out", required=True, metavar="HTML", help="file to write")
    number = p.add_argument(
        "--num-queries", type=positive, default=40, metavar="N", help="queries shown"
    )
    p.add_old_name(number, "--queries")
    p.add_argument("--pick", choices=PICKS, default="random", help="which queries")
    add_answers(p, 5, "answers shown a query")
    p.add_argument(
        "--at", type=positive, default=10, metavar="N", help="k of the scores MAR@k and MAP@k"
    )
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
    add_seed(p, "of the choice of queries")
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of ``item-gallery``."""
    args = parser().parse_args(argv)
    check_output(args.out)
    page, count = build(args)
    with atomic_path(args.out) as path:
        path.write_text(page, encoding="utf-8")
    size = Path(args.out).stat().st_size / 2**20
    say(f"{count} queries shown in {args.out} ({size:.1f} MiB)")


def build(args):
    """Read everything that the arguments name and return the page and how many queries it has."""
    truth = None if args.truth is None else read_truth(args.truth)
    if truth is None and args.pick != "random":
        raise InputError(f"--pick {args.pick} needs --truth to tell good answers from bad ones")
    queries = GalleryItems(args.data, args.query_splits, args.query_image_root)
    items = GalleryItems(args.data, args.index_splits, args.image_root)
    methods = [(name, _read_hits(path, queries, items)) for name, path in _methods(args)]
    scored = [None if truth is None else score_queries(h, truth, args.at) for _, h in methods]
    chosen = _choose(args, methods[0][1], scored[0], queries)
    gallery = Gallery(methods, queries, items, truth, args.k, _fuser(args.index))
    cards = [gallery.card(query) for query in progress(chosen, "gallery", unit="query")]
    summary = [(name, _scores(s, args.at)) for (name, _), s in zip(methods, scored)]
    return render_page(args.title, summary, cards, truth is not None, args.k), len(cards)


def _methods(args):
    """(name, path) of the hits files, the main one first."""
    methods = [(args.name, args.hits)]
    for pair in args.compare:
        name, separator, path = pair.partition("=")
        if not separator or not name or not path:
            raise InputError(f"--compare {pair}: write it as NAME=hits.tsv")
        methods.append((name, path))
    return methods


def _read_hits(path, queries, items):
    hits = read_hits(path)
    check_known(hits, queries, path, "query")
    check_known((hit.item_id for answers in hits.values() for hit in answers), items, path, "item")
    return hits


def _choose(args, hits, scores, queries):
    """Ids of the queries to be shown: of the truth's where there is one, else of the hits'."""
    if scores is not None:
        check_known(scores.queries, queries, args.truth, "query")
    names = list(hits) if scores is None else scores.queries
    if not names:
        raise InputError(f"{args.hits} has no hits; there is nothing to show")
    precision = None if scores is None else scores.precision
    return pick_queries(names, args.pick, args.num_queries, args.seed, precision)


def _fuser(index):
    """What made the scores of this index folder, None for no folder."""
    if index is None:
        return None
    meta = read_index_meta(index)
    fitted = {name: calibration.from_json(how) for name, how in meta["calibrations"].items()}
    return Fuser(*own_settings(meta).values(), fitted)


def _scores(scored, k):
    if scored is None:
        return {}
    return {f"MAR@{k}": 100 * scored.recall.mean(), f"MAP@{k}": 100 * scored.precision.mean()}


def cli():
    """Console script ``item-gallery``."""
    run(main)


if __name__ == "__main__":
    cli()
