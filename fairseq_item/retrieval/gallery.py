"""``item-gallery``: queries and their answers as pictures, in one HTML file.

On the left the query, to the right its answers by rank, with titles, scores and the similarity that
decided; true matches are framed in blue, and one that was missed stands below the query.
"""

import sys
from pathlib import Path

import numpy as np

from fairseq_item.cli import arguments, progress, run
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.retrieval import calibration
from fairseq_item.retrieval.embeddings import PARTS, read_meta
from fairseq_item.retrieval.gallery_items import GalleryItems
from fairseq_item.retrieval.gallery_page import (
    render_answer,
    render_card,
    render_missed,
    render_page,
)
from fairseq_item.retrieval.hits import read_hits, read_truth
from fairseq_item.retrieval.metrics import score_queries

PICKS = ("random", "mixed", "best", "worst")


def pick_queries(queries, how, count, seed=1, precision=None):
    """Choose the queries to be shown.

    Args:
        queries: list of n ids.
        how: "random" in the order of ``queries``; "best" or "worst" average precision first;
            "mixed" in even steps from the best to the worst.
        count: how many, at most.
        seed: of the random choice, and of the order among equals.
        precision: (n,) average precision of the queries; needed but for "random".
    """
    count = min(count, len(queries))
    order = np.random.default_rng(seed).permutation(len(queries))
    if how == "random":
        chosen = np.sort(order[:count])
    else:
        order = order[np.argsort(-np.asarray(precision)[order], kind="stable")]
        if how == "best":
            chosen = order[:count]
        elif how == "worst":
            chosen = order[::-1][:count]
        else:
            chosen = order[np.linspace(0, len(order) - 1, count).round().astype(int)]
    return [queries[i] for i in chosen]


def winner(hit, calibrations=None, weights=(1, 1, 1)):
    """The part whose similarity made the score of a hit; of a sum, the one that gave most.

    Args:
        hit: ``hits.Hit``.
        calibrations: part -> calibration of the index; without them the similarity that equals the
            score is taken.
        weights: of the index.

    Returns:
        str: name of the part, "" where fewer than two parts exist, or none of them made the score
        alone.
    """
    present = [i for i, value in enumerate(hit.similarities) if not np.isnan(value)]
    if len(present) < 2:
        return ""
    if calibrations is None:
        scored = {i: hit.similarities[i] for i in present}
    else:
        scored = {
            i: weights[i] * float(calibrations[PARTS[i]](hit.similarities[i]))
            for i in present
            if weights[i]
        }
    if not scored:
        return ""
    best = max(scored, key=scored.get)
    made = abs(scored[best] - hit.score) < 1e-4 * max(1, abs(hit.score))
    return PARTS[best] if made or calibrations is not None else ""


class Gallery:
    """Everything the cards are made from.

    Args:
        methods: list of (name, hits), the main one first.
        queries, items: ``GalleryItems`` of queries and index.
        truth: query id -> set of item ids, or None.
        k: answers shown.
        decide: ``winner``, bound to the index's calibrations.
    """

    def __init__(self, methods, queries, items, truth, k, decide=winner):
        self.methods, self.queries, self.items = methods, queries, items
        self.truth, self.k, self.decide = truth, k, decide

    def card(self, query):
        """HTML of one query's card."""
        rows = [self._row(name, hits.get(query, []), query) for name, hits in self.methods]
        answers = self.methods[0][1].get(query, [])
        return render_card(
            query,
            self.queries.title(query),
            self.queries.picture(query),
            rows,
            missed=self._missed(query, answers),
            first_won=self.decide(answers[0]) if answers else "",
        )

    def _true(self, query):
        return set() if self.truth is None else self.truth.get(query, set())

    def _row(self, name, answers, query):
        true, shown = self._true(query), answers[: self.k]
        tiles = [
            render_answer(
                rank,
                hit,
                self.items.title(hit.item_id),
                self.items.picture(hit.item_id),
                hit.item_id in true,
                self.decide(hit),
            )
            for rank, hit in enumerate(shown, start=1)
        ]
        found = sum(hit.item_id in true for hit in shown)
        return name, f"{found} of {len(true)} found" if true else "", tiles

    def _missed(self, query, answers):
        """The true match of the best rank among those not shown, "" if there is none."""
        missed = self._true(query) - {hit.item_id for hit in answers[: self.k]}
        if not missed:
            return ""
        ranks = {hit.item_id: rank for rank, hit in enumerate(answers, start=1)}
        item = min(missed, key=lambda name: (ranks.get(name, len(answers) + 1), name))
        if item not in self.items:
            return render_missed(item, "", "not in the index")
        note = f"at rank {ranks[item]}" if item in ranks else f"not in the first {len(answers)}"
        return render_missed(self.items.title(item), self.items.picture(item), note)


def _check_known(ids, items, path, what):
    unknown = next((name for name in ids if name not in items), None)
    if unknown is not None:
        raise InputError(
            f"{path} has the {what} {unknown!r}, which is in none of the {what} splits"
        )


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
    fitted = {part: calibration.from_json(meta["calibrations"][part]) for part in PARTS}
    return lambda hit: winner(hit, fitted, meta["weights"])


def _scores(scored, k):
    if scored is None:
        return {}
    return {f"MAR@{k}": 100 * scored.recall.mean(), f"MAP@{k}": 100 * scored.precision.mean()}


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
    p = arguments(__doc__)
    p.add_argument("--hits", required=True, metavar="TSV", help="what item-search wrote")
    p.add_argument("--name", default="ITEm", help="what to call these hits")
    p.add_argument("--truth", metavar="TSV", help="true matches, to frame them and to score")
    p.add_argument("--data", required=True, metavar="DATA_BIN", help="titles and pictures")
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
    p.add_argument("--image-root", metavar="DIR", help="original pictures of the index")
    p.add_argument("--query-image-root", metavar="DIR", help="original pictures of the queries")
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
