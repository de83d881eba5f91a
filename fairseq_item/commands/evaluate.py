"""``item-evaluate``: the scores of hits against the truth, as JSON, in percent."""

import json
import sys

from fairseq_item.commands.common import Parser, run
from fairseq_item.data.tables import write_table
from fairseq_item.evaluation.metrics import score_queries
from fairseq_item.evaluation.summary import logger, per_query_table, summarise
from fairseq_item.search.hits import read_hits, read_truth


def main(argv=None):
    p = Parser(__doc__)
    p.add_argument("--hits", required=True, metavar="TSV", help="what item-search wrote")
    p.add_argument("--truth", required=True, metavar="TSV", help="query_id, item_id")
    p.add_argument("-k", type=int, default=10, help="answers that count")
    p.add_argument("--per-query", metavar="TSV", help="write each query's scores here")
    p.add_argument(
        "--bootstrap", type=int, default=1000, help="samples for 95%% intervals; 0: none"
    )
    p.add_argument("--seed", type=int, default=1, help="of the bootstrap")
    args = p.parse_args(argv)
    hits = read_hits(args.hits)
    scores = score_queries(hits, read_truth(args.truth), args.k)
    if max(map(len, hits.values()), default=0) < args.k:
        logger.warning(
            "no query has %d answers in %s; searched with a smaller -k?", args.k, args.hits
        )
    if args.per_query:
        write_table(args.per_query, per_query_table(scores, args.k))
    sys.stdout.write(json.dumps(summarise(scores, args.k, args.bootstrap, args.seed)) + "\n")


def cli():
    """Console script ``item-evaluate``."""
    run(main)


if __name__ == "__main__":
    cli()
