"""``item-evaluate``: the scores of hits against the truth, as JSON, in percent."""

import logging

from fairseq_item.data.tables import Table
from fairseq_item.evaluation.metrics import bootstrap_interval

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


def per_query_table(scores, k):
    """Scores of each query, in percent, as a ``Table``."""
    columns = (scores.recall, scores.precision, scores.first)
    rows = [
        [query, *(str(percent(value)) for value in values)]
        for query, *values in zip(scores.queries, *columns)
    ]
    return Table(["query_id", f"recall@{k}", f"AP@{k}", "hit@1"], rows)
