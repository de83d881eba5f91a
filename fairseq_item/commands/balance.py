"""``item-balance``: do both modalities count, and what if one is missing or wrong?

Attribution: which similarity (global, title, image) wins the answers, and how often it is right:
under the index's own fusion, and under the paper's, the plain maximum with weights 1 1 1. Under the
maximum the similarity that attains it wins, under the sum the one that gives most, weighted and
calibrated; those that tie share the win.

Robustness, with --checkpoint: how the scores change when the title or the photo of each query is
taken away, or replaced by that of a query for another product.

DIR/balance.json has all of it, DIR/balance.md two tables, DIR/balance.png a plot of them.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from fairseq_item.commands.common import (
    Parser,
    add_answers,
    add_bootstrap,
    add_computing,
    add_seed,
    add_splits,
    add_verify,
    run,
    say,
)
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path, check_output
from fairseq_item.reports.balance import report
from fairseq_item.reports.balance_page import markdown
from fairseq_item.reports.balance_plot import plot
from fairseq_item.search.hits import read_truth
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import open_queries

FILES = ("balance.json", "balance.md", "balance.png")
logger = logging.getLogger(__name__)


def parser() -> Parser:
    """The options of ``item-balance``."""
    p = Parser(__doc__)
    p.add_argument("index", metavar="INDEX", help="folder that item-index wrote")
    p.add_argument("--queries", required=True, metavar="DIR", help="embeddings of the queries")
    p.add_argument("--truth", required=True, metavar="TSV", help="query_id, item_id")
    p.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    add_answers(p, help="answers that count")
    p.add_argument("--exclude-self", action="store_true", help="drop the item with the query's id")
    p.add_argument(
        "--checkpoint", metavar="MODEL", help="model of the queries; needed for robustness"
    )
    p.add_argument("--data", metavar="DATA_BIN", help="data-bin of the queries, with --checkpoint")
    add_splits(p, "query", "splits of the queries", "--query-splits")
    add_computing(p)
    add_bootstrap(p)
    add_seed(p, "of the exchanges and of the bootstrap")
    add_verify(p)
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of ``item-balance``."""
    p = parser()
    args = p.parse_args(argv)
    if (args.checkpoint is None) != (args.data is None):
        p.error("--checkpoint and --data go together")
    for name in FILES:
        check_output(Path(args.out, name))
    index = ItemIndex.load(args.index, args.verify)
    queries = open_queries(index, args.index, args.queries, args.verify)
    truth = read_truth(args.truth)
    changes = () if args.checkpoint is None else _changes(args, queries, truth)
    found = report(
        index, queries, truth, args.k, changes, args.exclude_self, args.bootstrap, args.seed
    )
    if args.checkpoint is None:
        logger.warning("without --checkpoint and --data only the attribution is reported")
    written = _write(found, Path(args.out))
    say(f"balance of {len(queries)} queries written to {args.out}: {', '.join(written)}")


def _changes(args, queries, truth):
    from fairseq_item import ItemModel
    from fairseq_item.evaluation.changed_queries import ChangedQueries
    from fairseq_item.search.embed import choose_device

    hub = ItemModel.from_pretrained(args.checkpoint, device=choose_device(args.device))
    return ChangedQueries(
        hub,
        args.data,
        args.query_splits,
        queries,
        truth,
        args.seed,
        args.batch_size,
        args.num_workers,
    )


def _write(found, out):
    """Write the report into the folder ``out``; returns the names of its files."""
    texts = {
        "balance.json": json.dumps(found, indent=2, ensure_ascii=False) + "\n",
        "balance.md": markdown(found),
    }
    for name, text in texts.items():
        with atomic_path(out / name) as path:
            path.write_text(text, encoding="utf-8")
    try:
        plot(found, out / "balance.png")
    except InputError as error:  # matplotlib is missing
        logger.warning("%s", error)
        return list(texts)
    return [*texts, "balance.png"]


def cli():
    """Console script ``item-balance``."""
    run(main)


if __name__ == "__main__":
    cli()
