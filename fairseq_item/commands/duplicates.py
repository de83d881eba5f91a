"""``item-duplicates``: groups of items of one index that are likely the same product.

The index must have been fitted, item-index --fit or --fit-groups: a group's probabilities are
fitted ones. --error is the share of pairs that may be wrong, as these probabilities expect it; any
two items of a group are a pair above the threshold that this gives.

Up to 100,000 items all are compared with all: twice the items takes four times as long. Of more,
or with --compare near, those are compared that lie near one another or share rare words, which
misses few pairs (see docs/duplicates.md). It is done in parts, by --num-workers processes or a Ray
cluster, and a run that was killed goes on from the parts that are there.
"""

import csv
import shutil
from pathlib import Path

import numpy as np

from fairseq_item.commands.common import (
    Parser,
    add_engine,
    add_seed,
    add_splits,
    add_workers,
    engine_of,
    fraction,
    positive,
    run,
    say,
    show,
)
from fairseq_item.errors import InputError
from fairseq_item.evaluation.duplicate_pairs import labels_of, score_groups
from fairseq_item.files import atomic_path
from fairseq_item.reports.gallery import Gallery
from fairseq_item.reports.gallery_items import GalleryItems
from fairseq_item.reports.gallery_page import render_page
from fairseq_item.search.duplicates import LEAST, group, likely_pairs, pair_hits, within_error
from fairseq_item.search.hits import read_truth
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.near.pairs import VISITS, near_pairs
from fairseq_item.search.search import search_device
from fairseq_item.search.sources import embedded_from

# Columns of the page, at least.
WIDTH = 5
# Items up to which all are compared with all unless told otherwise.
MOST_ALL = 100_000


def parser():
    """The options of ``item-duplicates``."""
    p = Parser(__doc__)
    p.add_argument("index", metavar="INDEX", help="folder that item-index wrote")
    p.add_argument("--out", required=True, metavar="CSV", help="file of groups to write")
    asked = p.add_mutually_exclusive_group()
    asked.add_argument(
        "--error", type=fraction, default=0.05, help="share of the pairs that may be wrong"
    )
    asked.add_argument(
        "--probability",
        type=fraction,
        metavar="P",
        help=f"least probability of a pair instead, {LEAST} or more",
    )
    p.add_argument(
        "--compare",
        choices=("auto", "all", "near"),
        default="auto",
        help=f"which items; auto: all of up to {MOST_ALL:,}, of more the near ones",
    )
    near = p.add_argument_group("--compare near")
    near.add_argument(
        "--visits",
        type=positive,
        default=VISITS,
        metavar="N",
        help="lists in which an item is looked for; more find more, and take longer",
    )
    near.add_argument(
        "--parts",
        metavar="DIR",
        help="folder of what is done so far, kept; default: CSV.parts, removed at the end",
    )
    add_workers(p, help="processes that compare near items")
    add_engine(p, gpus=True)
    add_seed(p, help="of the lists of near items")
    truth = p.add_mutually_exclusive_group()
    truth.add_argument(
        "--truth-column",
        metavar="NAME",
        help="column that names the product: prints precision and recall of the groups as JSON",
    )
    truth.add_argument(
        "--truth", metavar="TSV", help="the same by pairs of items, as item-relist writes them"
    )
    p.add_argument("--gallery", metavar="HTML", help="show groups as a page")
    p.add_argument(
        "--num-groups", type=positive, default=60, metavar="N", help="groups on the page, at most"
    )
    p.add_argument(
        "--data", metavar="DATA_BIN", help="titles and images; default: what was embedded"
    )
    add_splits(p, None, "of --data; default: those that were embedded", old=None)
    p.add_argument("--image-root", metavar="DIR", help="original images")
    p.add_argument("--device", default="auto", help="where items are compared: auto, cpu, cuda:N")
    return p


def main(argv=None):
    """Entry point of ``item-duplicates``."""
    args = parser().parse_args(argv)
    least = LEAST if args.probability is None else args.probability
    if not LEAST <= least < 1:
        raise InputError(f"--probability {least:g}: give {LEAST} or more, and less than 1")
    index = ItemIndex.load(args.index)
    labels = _labels(index, args)
    items = _gallery_items(args, index) if args.gallery else None
    near = args.compare == "near" or (args.compare == "auto" and len(index) > MOST_ALL)
    parts = Path(args.parts or f"{args.out}.parts").resolve()
    if near:
        pairs = _near_pairs(index, least, args, parts)
    else:
        pairs = likely_pairs(index, least, search_device(args.device))
    if args.probability is None:
        pairs = within_error(pairs, args.error)
    groups = group(pairs)
    known = {tuple(rows): p for rows, p in zip(pairs.rows.tolist(), pairs.probability.tolist())}
    _write(args.out, index.items, groups, known)
    count = sum(map(len, groups))
    say(f"{len(groups)} groups with {count} items in {args.out}; {_told(pairs)}")
    if labels is not None:
        show(score_groups(groups, labels))
    if args.gallery:
        _write_gallery(args, index, items, groups, labels)
    if near and args.parts is None:
        shutil.rmtree(parts)


def _near_pairs(index, least, args, parts):
    folder, do = Path(args.index).resolve(), engine_of(args).map
    device = "cuda" if args.gpus_per_worker else "cpu"  # of Ray's workers
    if args.engine == "local":
        device = search_device(args.device)
    return near_pairs(index, folder, least, parts, do, device, args.visits, args.seed)


def _told(pairs):
    if not len(pairs):
        return "no pair is likely enough"
    wrong = 100 * (1 - pairs.probability.mean())
    return (
        f"{len(pairs)} pairs of probability {pairs.probability[-1]:.3f} or more, of which "
        f"{wrong:.1f}% are expected to be wrong"
    )


def _labels(index, args):
    """What names each item's product, None if that is not known."""
    if args.truth is not None:
        return labels_of(read_truth(args.truth), index.ids)
    if args.truth_column is None:
        return None
    if args.truth_column not in index.items.fieldnames:
        columns = ", ".join(index.items.fieldnames)
        raise InputError(f"{args.index} has no column {args.truth_column!r}; it has {columns}")
    return index.items.column(args.truth_column)


def _write(path, items, groups, known):
    """A row an item: group, the least probability with another of it, and all columns."""
    names = [name for name in items.fieldnames if name not in ("group", "probability")]
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["group", "probability", *names])
        for number, rows in enumerate(groups, start=1):
            for row in rows:
                least = min(known[min(row, o), max(row, o)] for o in rows if o != row)
                values = items[row]
                writer.writerow([number, f"{least:.4f}", *(values[name] for name in names)])


def _gallery_items(args, index):
    data, splits = embedded_from(index.meta)
    if args.data is not None:
        data, splits = args.data, args.splits or ["train", "valid", "test"]
    if data is None:
        raise InputError(f"what {args.index} was made of is not there; give --data for --gallery")
    return GalleryItems(data, args.splits or splits, args.image_root)


def _write_gallery(args, index, items, groups, labels):
    """A card a group, its first item at the left and the others beside it."""
    step = max(1, len(groups) / args.num_groups)
    chosen = [groups[int(i)] for i in np.arange(0, len(groups), step)]
    hits = {index.ids[rows[0]]: pair_hits(index, rows) for rows in chosen}
    truth = None if labels is None else _truth(index, chosen, labels)
    longest = max(WIDTH, *(len(rows) - 1 for rows in chosen), 0)
    gallery = Gallery([("Likely the same", hits)], items, items, truth, longest)
    cards = [gallery.card(item) for item in hits]
    page = render_page(
        "Likely the same product", [("groups", {})], cards, truth is not None, longest
    )
    with atomic_path(args.gallery) as path:
        path.write_text(page, encoding="utf-8")
    say(f"{len(cards)} groups shown in {args.gallery}")


def _truth(index, groups, labels):
    members = {}
    for row, label in enumerate(labels):
        members.setdefault(label, []).append(row)
    return {
        index.ids[rows[0]]: {index.ids[row] for row in members[labels[rows[0]]] if row != rows[0]}
        if labels[rows[0]]
        else set()
        for rows in groups
    }


def cli():
    """Console script ``item-duplicates``."""
    run(main)


if __name__ == "__main__":
    cli()
