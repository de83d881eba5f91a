"""Scores of all queries together or of each, in percent, to be printed or written."""

from fairseq_item.data.tsv import Table
from fairseq_item.evaluation.metrics import bootstrap_interval

# Which of the means have a confidence interval.
WITH_INTERVAL = ("MAR", "MAP", "nDCG", "MRR")


def columns(scores, k):
    """Scores by name: dict of (n,) arrays, fractions.

    Args:
        scores: ``metrics.Scores``.
        k: at which they were taken.
    """
    return {
        f"MAR@{k}": scores.recall,
        f"MAP@{k}": scores.precision,
        "hit@1": scores.first,
        f"hit@{k}": scores.hit,
        f"nDCG@{k}": scores.ndcg,
        f"MRR@{k}": scores.reciprocal,
    }


def summarise(scores, k, bootstrap=1000, seed=1):
    """The scores of all queries together.

    Args:
        scores: ``metrics.Scores``.
        k: at which they were taken.
        bootstrap: samples of the confidence intervals; 0 leaves these out.
        seed: of the samples.

    Returns:
        dict: ``MAR@k``, ``MAP@k``, ``hit@1``, ``hit@k`` (queries with a true match as the first,
        or among the first k answers), ``nDCG@k`` and ``MRR@k`` in percent, to two decimals;
        ``queries``, ``unanswered``; 95% intervals of those in ``WITH_INTERVAL``.
    """
    values = columns(scores, k)
    result = {name: percent(value.mean()) for name, value in values.items()}
    result |= {"queries": len(scores.queries), "unanswered": scores.unanswered}
    if bootstrap:
        for name, value in values.items():
            if name.split("@")[0] in WITH_INTERVAL:
                interval = bootstrap_interval(value, bootstrap, seed)
                result[f"{name}_ci95"] = [percent(end) for end in interval]
    return result


def percent(fraction):
    """A fraction in percent, to two decimals."""
    return round(100 * float(fraction), 2)


def per_query_table(scores, k):
    """Scores of each query, in percent, as a ``Table``."""
    # Of one query, a mean average precision is no mean.
    single = {f"MAR@{k}": f"recall@{k}", f"MAP@{k}": f"AP@{k}", f"MRR@{k}": f"RR@{k}"}
    values = columns(scores, k)
    rows = [
        [query, *(str(percent(value)) for value in row)]
        for query, *row in zip(scores.queries, *values.values())
    ]
    return Table(["query_id", *(single.get(name, name) for name in values)], rows)
