"""Whether one search is better than another: paired comparisons over the same queries.

Which queries were drawn matters less to the difference of two searches than to the scores of each:
a hard query is hard for both. Smucker, Allan and Carterette (CIKM 2007) compare such tests and
recommend the randomisation test.
"""

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.evaluation.metrics import bootstrap_interval
from fairseq_item.evaluation.summary import columns, percent

PERMUTATIONS = 10_000
BLOCK = 2**22  # swaps drawn at once


def randomisation_test(differences, permutations=PERMUTATIONS, seed=1):
    """Two-sided p-value of paired differences, by Fisher's randomisation test.

    Were both searches equally good, each query's two scores could as well be swapped. The p-value
    is the share of random swaps whose mean difference is at least as large as the one observed;
    the observed one counts among them, so that it is never 0.

    Args:
        differences: (n,) score of one search less that of the other, a query each.
        permutations: how many random swaps.
        seed: of the swaps.
    """
    differences = np.asarray(differences, np.float64)
    differences = differences[differences != 0]  # swapped or not, these change nothing
    total = differences.sum()
    # Equal sums may differ in their last bits by the order in which they were added.
    observed = abs(total) - 1e-12 * abs(differences).sum()
    rng = np.random.default_rng(seed)
    as_large = 0
    rows = max(1, BLOCK // max(1, len(differences)))
    for start in range(0, permutations, rows):
        count = min(rows, permutations - start)
        kept = rng.random((count, len(differences)), np.float32) < 0.5
        as_large += int((abs(2 * (kept @ differences) - total) >= observed).sum())
    return (as_large + 1) / (permutations + 1)


def compare(scores, other, k, bootstrap=1000, seed=1):
    """How far ``scores`` are ahead of ``other``.

    Args:
        scores, other: ``metrics.Scores`` of the same truth.
        k: at which they were taken.
        bootstrap: samples of the confidence intervals; 0 leaves these out.
        seed: of all that is drawn.

    Returns:
        dict: by name of the score ``other`` (its mean) and ``difference`` in percent, ``p_value``
        of the randomisation test, and ``ci95``, the paired bootstrap interval of the difference.

    Raises:
        InputError: the two have other queries.
    """
    if scores.queries != other.queries:
        raise InputError("the two searches are scored on other queries; compare them on one truth")
    result = {}
    left, right = columns(scores, k), columns(other, k)
    for name, values in left.items():
        gain = values - right[name]
        result[name] = {
            "other": percent(right[name].mean()),
            "difference": percent(gain.mean()),
            "p_value": round(randomisation_test(gain, seed=seed), 4),
        }
        if bootstrap:
            interval = bootstrap_interval(gain, bootstrap, seed)
            result[name]["ci95"] = [percent(end) for end in interval]
    return result
