"""``item-balance``: do both modalities count, and what if one is missing or wrong?

Attribution: which similarity (global, title, image) wins the answers, and how often it is right:
under the index's own fusion, and under the paper's, the plain maximum with weights 1 1 1. Under the
maximum the part that attains it wins, under the sum the one with the largest weighted, calibrated
similarity; parts that tie share the win.

Robustness, with --checkpoint: how the scores change when the title or the photo of each query is
taken away, or replaced by that of a query for another product.

DIR/balance.json has all of it, DIR/balance.md two tables, DIR/balance.png an image of them.
"""

import json
import sys
from pathlib import Path

from fairseq_item.commands.common import Parser, run
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.reports.balance import logger, report
from fairseq_item.reports.balance_page import markdown
from fairseq_item.reports.balance_plot import plot
from fairseq_item.search.hits import read_truth
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import open_queries


def parser():
    p = Parser(__doc__)
    p.add_argument("index", metavar="INDEX", help="folder that item-index wrote")
    p.add_argument("--queries", required=True, metavar="DIR", help="embeddings of the queries")
    p.add_argument("--truth", required=True, metavar="TSV", help="query_id, item_id")
    p.add_argument("-k", type=int, default=10, help="answers that count")
    p.add_argument("--exclude-self", action="store_true", help="drop the item with the query's id")
    p.add_argument("--checkpoint", metavar="C", help="model of the queries; needed for robustness")
    p.add_argument("--data", metavar="DATA_BIN", help="data-bin of the queries, with --checkpoint")
    p.add_argument("--split", default="query", help="splits of the queries, commas between them")
    p.add_argument("--batch-size", type=int, default=128, help="products computed at once")
    p.add_argument("--num-workers", type=int, default=0, help="processes that read products")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    p.add_argument(
        "--bootstrap", type=int, default=1000, help="samples for 95%% intervals; 0: none"
    )
    p.add_argument("--seed", type=int, default=1, help="of the exchanges and of the bootstrap")
    p.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    return p


def main(argv=None):
    p = parser()
    args = p.parse_args(argv)
    if (args.checkpoint is None) != (args.data is None):
        p.error("--checkpoint and --data go together")
    if args.batch_size < 1:
        raise InputError(f"--batch-size is {args.batch_size}; it must be 1 or more")
    index = ItemIndex.load(args.index)
    queries, truth = open_queries(index, args.index, args.queries), read_truth(args.truth)
    changes = () if args.checkpoint is None else _changes(args, queries, truth)
    found = report(
        index, queries, truth, args.k, changes, args.exclude_self, args.bootstrap, args.seed
    )
    if args.checkpoint is None:
        logger.warning("without --checkpoint and --data only the attribution is reported")
    out = Path(args.out)
    texts = {
        "balance.json": json.dumps(found, indent=2, ensure_ascii=False) + "\n",
        "balance.md": markdown(found),
    }
    for name, text in texts.items():
        with atomic_path(out / name) as path:
            path.write_text(text, encoding="utf-8")
    try:
        plot(found, out / "balance.png")
        written = "balance.json, balance.md and balance.png"
    except InputError as error:
        logger.warning("%s", error)
        written = "balance.json and balance.md"
    sys.stdout.write(f"balance of {len(queries)} queries written to {out}: {written}\n")


def _changes(args, queries, truth):
    from fairseq_item import ItemModel
    from fairseq_item.evaluation.changed_queries import ChangedQueries
    from fairseq_item.search.embed import choose_device

    splits = [split for split in args.split.split(",") if split]
    if not splits:
        raise InputError("--split names no split; give one such as query")
    hub = ItemModel.from_pretrained(args.checkpoint, device=choose_device(args.device))
    return ChangedQueries(
        hub, args.data, splits, queries, truth, args.seed, args.batch_size, args.num_workers
    )


def cli():
    """Console script ``item-balance``."""
    run(main)


if __name__ == "__main__":
    cli()
