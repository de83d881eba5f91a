import itertools
import json

import numpy as np
import pytest

from fairseq_item.commands import evaluate as evaluate_command
from fairseq_item.errors import InputError
from fairseq_item.evaluation.compare import compare, randomisation_test
from fairseq_item.evaluation.metrics import bootstrap_interval, score_queries
from fairseq_item.search.hits import Hit, write_hits, write_truth


def exact_p(differences):
    """All 2**n swaps, one by one."""
    signs = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    means = abs(signs @ differences)
    return (means >= abs(differences.sum()) - 1e-9).mean()


@pytest.mark.parametrize("seed", range(5))
def test_close_to_all_swaps(seed):
    rng = np.random.default_rng(seed)
    differences = rng.normal(0.3, 1, 10).round(1)
    found = randomisation_test(differences, 20_000, seed)
    assert found == pytest.approx(exact_p(differences), abs=0.015)
    assert found == randomisation_test(differences, 20_000, seed)
    assert found == randomisation_test(-differences, 20_000, seed)
    # Queries on which both score the same say nothing of which is better.
    assert found == randomisation_test(np.append(differences, np.zeros(50)), 20_000, seed)


def test_small_where_one_is_better_and_even_where_none_is():
    assert randomisation_test(np.full(200, 0.1), 500) == 1 / 501
    assert randomisation_test(np.zeros(8), 500) == 1
    assert randomisation_test([0.1, 0.2, -0.3], 500) == 1
    rng = np.random.default_rng(0)
    found = [randomisation_test(rng.normal(size=30), 200, seed) for seed in range(2000)]
    for level in (0.1, 0.5):
        assert np.mean(np.array(found) <= level) == pytest.approx(level, abs=0.03)


def random_hits(seed, queries=40):
    rng = np.random.default_rng(seed)
    return {
        str(query): [Hit(str(item), -float(i)) for i, item in enumerate(rng.permutation(20)[:10])]
        for query in range(queries)
    }


TRUTH = {str(query): {"3", "7"} for query in range(40)}


def test_compare():
    one, two = (score_queries(random_hits(seed), TRUTH, 5) for seed in (0, 1))
    result = compare(one, two, 5, bootstrap=200, seed=3)
    assert list(result) == ["MAR@5", "MAP@5", "hit@1", "hit@5", "nDCG@5", "MRR@5"]
    gain = one.ndcg - two.ndcg
    row = result["nDCG@5"]
    assert row["other"] == round(100 * two.ndcg.mean(), 2)
    assert row["difference"] == round(100 * gain.mean(), 2)
    assert row["ci95"] == [round(100 * end, 2) for end in bootstrap_interval(gain, 200, 3)]
    assert row["p_value"] == round(randomisation_test(gain, seed=3), 4)
    assert "ci95" not in compare(one, two, 5, bootstrap=0)["MAP@5"]
    mirrored = compare(two, one, 5, bootstrap=0)["MAP@5"]
    assert mirrored["difference"] == -result["MAP@5"]["difference"]
    with pytest.raises(InputError, match="on other queries"):
        compare(one, score_queries(random_hits(1), {**TRUTH, "x": {"1"}}, 5), 5)


def test_command(tmp_path, capsys):
    paths = []
    for seed in (0, 1):
        paths.append(str(tmp_path / f"{seed}.tsv"))
        write_hits(paths[-1], random_hits(seed))
    write_truth(tmp_path / "t.tsv", TRUTH)
    truth = str(tmp_path / "t.tsv")
    command = ["--hits", paths[0], "--truth", truth, "--compare", paths[1], paths[0]]
    evaluate_command.main(command)
    result = json.loads(capsys.readouterr().out)
    assert list(result["compare"]) == [paths[1], paths[0]]
    ahead = result["compare"][paths[1]]["MAP@10"]
    assert ahead["other"] + ahead["difference"] == pytest.approx(result["MAP@10"], abs=0.011)
    itself = result["compare"][paths[0]]["MAP@10"]
    assert (itself["difference"], itself["ci95"], itself["p_value"]) == (0, [0, 0], 1)
