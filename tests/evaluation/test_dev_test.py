"""Dev and test queries are a seeded partition by id, in the library and in item-evaluate."""

import json
import random

import pytest

from fairseq_item.commands import evaluate as evaluate_command
from fairseq_item.errors import InputError
from fairseq_item.evaluation.dev_test import dev_and_test
from fairseq_item.search.hits import Hit, write_hits, write_truth

QUERIES = [f"q{i}" for i in range(50)]


def test_two_to_three_whatever_the_order():
    parts = dev_and_test(QUERIES)
    assert (len(parts["dev"]), len(parts["test"])) == (20, 30)
    assert sorted(parts["dev"] + parts["test"]) == sorted(QUERIES)
    shuffled = random.Random(1).sample(QUERIES, 50)
    assert dev_and_test(shuffled) == parts
    assert dev_and_test(QUERIES, seed=2) != parts


def evaluate(folder, capsys, *more):
    files = ["--hits", folder / "hits.tsv", "--truth", folder / "truth.tsv"]
    evaluate_command.main([str(a) for a in [*files, "--bootstrap", 0, *more]])
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def files(tmp_path):
    """Odd queries are answered rightly in hits.tsv, and all of them in right.tsv."""
    truth = {query: {f"i{query}"} for query in QUERIES}
    right = {query: [Hit(f"i{query}", 1.0), Hit("other", 0.5)] for query in QUERIES}
    hits = {q: found if int(q[1:]) % 2 else found[1:] for q, found in right.items()}
    write_truth(tmp_path / "truth.tsv", truth)
    write_hits(tmp_path / "hits.tsv", hits)
    write_hits(tmp_path / "right.tsv", right)
    return tmp_path


@pytest.mark.parametrize("part", ["dev", "test"])
@pytest.mark.parametrize("seed", [1, 7])
def test_item_evaluate_scores_one_part(files, capsys, part, seed):
    ids = dev_and_test(QUERIES, seed)[part]
    share = 100 * sum(int(query[1:]) % 2 for query in ids) / len(ids)
    flags = ["--queries", part, "--split-seed", seed, "--compare", files / "right.tsv"]
    scores = evaluate(files, capsys, *flags, "--seed", 3, "--per-query", files / "each.tsv")
    assert scores["queries"] == len(ids)
    assert scores["MAP@10"] == pytest.approx(share, abs=0.01)
    compared = scores["compare"][str(files / "right.tsv")]["MAP@10"]
    assert compared["difference"] == pytest.approx(share - 100, abs=0.01)
    lines = (files / "each.tsv").read_text().splitlines()[1:]
    assert {line.split("\t")[0] for line in lines} == set(ids)


def test_without_the_flag_all_queries_count(files, capsys):
    assert evaluate(files, capsys)["queries"] == 50


def test_hits_without_truth_are_refused_all_the_same(files, capsys):
    write_hits(files / "hits.tsv", {"unknown": [Hit("a", 1.0)]})
    with pytest.raises(InputError, match="'unknown' has hits but no true match"):
        evaluate(files, capsys, "--queries", "dev")
