"""``item-evaluate``: the scores of hits against the truth, as JSON, in percent.

MAR@k, MAP@k, hit@1, hit@k, nDCG@k and MRR@k. ``--hits`` may be a TREC run (FILE.run, FILE.trec),
``--truth`` TREC qrels (FILE.qrels). ``--compare`` says how far the hits are ahead of others, with
a paired bootstrap interval and the p-value of a paired randomisation test. ``--reliability`` says
whether scores that are probabilities, of an index made with ``item-index --fit``, can be believed.
"""

import json
import logging
import sys

from fairseq_item.commands.common import Parser, add_answers, add_seed, not_negative, run
from fairseq_item.data.tsv import write_table
from fairseq_item.evaluation.compare import compare
from fairseq_item.evaluation.dev_test import PARTS, keep
from fairseq_item.evaluation.metrics import score_queries
from fairseq_item.evaluation.products import by_product, read_products
from fairseq_item.evaluation.reliability import reliability
from fairseq_item.evaluation.summary import per_query_table, summarise
from fairseq_item.evaluation.trec import read_any_hits, read_any_truth, write_qrels, write_run
from fairseq_item.files import check_output
from fairseq_item.reports.reliability_plot import plot

logger = logging.getLogger(__name__)


def parser():
    p = Parser(__doc__)
    p.add_argument("--hits", required=True, metavar="TSV", help="what item-search wrote, or a run")
    p.add_argument("--truth", required=True, metavar="TSV", help="query_id, item_id, or qrels")
    add_answers(p, help="answers that count")
    p.add_argument(
        "--queries", choices=PARTS, help="score 2 of 5 queries, to choose by, or the other 3 of 5"
    )
    p.add_argument(
        "--split-seed", type=not_negative, default=1, metavar="N", help="of that split by id"
    )
    p.add_argument(
        "--items",
        metavar="TSV",
        help="the index's items.tsv, to count rows of one product as one answer, in hits and truth",
    )
    p.add_argument(
        "--collapse", default="product", metavar="COLUMN", help="what is equal for such rows"
    )
    p.add_argument("--compare", nargs="+", default=[], metavar="TSV", help="hits of other searches")
    p.add_argument(
        "--reliability",
        metavar="PNG",
        help="draw how often answers are right by their probability; needs matplotlib",
    )
    p.add_argument("--per-query", metavar="TSV", help="write each query's scores here")
    p.add_argument("--write-run", metavar="FILE", help="write the hits here as a TREC run")
    p.add_argument("--write-qrels", metavar="FILE", help="write the truth here as TREC qrels")
    p.add_argument(
        "--bootstrap", type=not_negative, default=1000, help="samples for 95%% intervals; 0: none"
    )
    add_seed(p)
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    for out in (args.reliability, args.per_query, args.write_run, args.write_qrels):
        if out is not None:
            check_output(out)
    all_truth = read_any_truth(args.truth)
    products = read_products(args.items, args.collapse) if args.items else None

    def read(path):
        found = read_any_hits(path), all_truth
        if products is not None:
            found = by_product(*found, products)
        return keep(*found, args.queries, args.split_seed) if args.queries else found

    hits, truth = read(args.hits)
    scores = score_queries(hits, truth, args.k)
    if max(map(len, hits.values()), default=0) < args.k:
        logger.warning(
            "no query has %d answers in %s; searched with a smaller -k?", args.k, args.hits
        )
    result = summarise(scores, args.k, args.bootstrap, args.seed)
    if args.compare:
        result["compare"] = {
            path: compare(
                scores,
                score_queries(read(path)[0], truth, args.k),
                args.k,
                args.bootstrap,
                args.seed,
            )
            for path in args.compare
        }
    if args.reliability:
        result["reliability"] = reliability(hits, truth, args.k)
        plot(result["reliability"], args.reliability)
    if args.per_query:
        write_table(args.per_query, per_query_table(scores, args.k))
    if args.write_run:
        write_run(args.write_run, hits)
    if args.write_qrels:
        write_qrels(args.write_qrels, truth)
    sys.stdout.write(json.dumps(result) + "\n")


def cli():
    """Console script ``item-evaluate``."""
    run(main)


if __name__ == "__main__":
    cli()
