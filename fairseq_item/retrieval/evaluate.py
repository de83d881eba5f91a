"""``item-evaluate``: the scores of hits against the truth, as JSON, in percent."""

import json
import logging
import sys

from fairseq_item.cli import arguments, run
from fairseq_item.retrieval.hits import read_hits, read_truth
from fairseq_item.retrieval.metrics import bootstrap_interval, score_queries
from fairseq_item.retrieval.tables import Table, write_table

logger = logging.getLogger(__name__)


def summarise(scores, k, bootstrap=1000, seed=1):
    """The scores of all queries together.

    Args:
        scores: ``metrics.Scores``.
        k: at which they were taken.
        bootstrap: samples of the confidence intervals; 0 leaves these out.
        seed: of the samples.

    Returns:
        dict: ``MAR@k``, ``MAP@k`` and ``hit@1`` (queries whose first answer is a true match) in
        percent, to two decimals; ``queries``, ``unanswered``; 95% intervals of the first two.
    """
    result = {
        f"MAR@{k}": percent(scores.recall.mean()),
        f"MAP@{k}": percent(scores.precision.mean()),
        "hit@1": percent(scores.first.mean()),
        "queries": len(scores.queries),
        "unanswered": scores.unanswered,
    }
    if bootstrap:
        for name, values in ((f"MAR@{k}", scores.recall), (f"MAP@{k}", scores.precision)):
            interval = bootstrap_interval(values, bootstrap, seed)
            result[f"{name}_ci95"] = [percent(end) for end in interval]
    return result


def percent(fraction):
    """A fraction in percent, to two decimals."""
    return round(100 * float(fraction), 2)


def main(argv=None):
    p = arguments(__doc__)
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


def per_query_table(scores, k):
    """Scores of each query, in percent, as a ``Table``."""
    columns = (scores.recall, scores.precision, scores.first)
    rows = [
        [query, *(str(percent(value)) for value in values)]
        for query, *values in zip(scores.queries, *columns)
    ]
    return Table(["query_id", f"recall@{k}", f"AP@{k}", "hit@1"], rows)


def cli():
    """Console script ``item-evaluate``."""
    run(main)


if __name__ == "__main__":
    cli()
