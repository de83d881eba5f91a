import json
import math

import numpy as np
import pytest

from fairseq_item.commands import evaluate as evaluate_command
from fairseq_item.commands.common import run
from fairseq_item.errors import InputError
from fairseq_item.evaluation.metrics import (
    bootstrap_interval,
    mean_average_precision,
    mean_average_recall,
    score_queries,
)
from fairseq_item.search.hits import Hit, read_hits, read_truth, write_hits, write_truth


def brute_recall(answers, true, k):
    return len([item for item in answers[:k] if item in true]) / len(true)


def brute_precision(answers, true, k):
    precisions = []
    for rank in range(1, k + 1):
        if rank <= len(answers) and answers[rank - 1] in true:
            precisions.append(sum(a in true for a in answers[:rank]) / rank)
    return sum(precisions) / min(k, len(true))


def brute_ndcg(answers, true, k):
    def dcg(gains):
        return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains))

    gains = [item in true for item in answers[:k]]
    return dcg(gains) / dcg(sorted([True] * len(true) + [False] * k, reverse=True)[:k])


def brute_reciprocal(answers, true, k):
    return max((1 / (answers.index(item) + 1) for item in true & set(answers[:k])), default=0)


def random_case(seed):
    rng = np.random.default_rng(seed)
    hits, truth = {}, {}
    for query in range(30):
        order = rng.permutation(20)[: rng.integers(1, 20)]
        hits[str(query)] = [str(i) for i in order]
        chosen = rng.choice(20, size=rng.integers(1, 8), replace=False)
        truth[str(query)] = {str(i) for i in chosen}
    del hits["7"]
    return hits, truth


@pytest.mark.parametrize("k", [1, 3, 10, 50])
def test_equal_to_brute_force(k):
    hits, truth = random_case(k)
    recall = [brute_recall(hits.get(q, []), truth[q], k) for q in truth]
    precision = [brute_precision(hits.get(q, []), truth[q], k) for q in truth]
    assert mean_average_recall(hits, truth, k) == pytest.approx(np.mean(recall))
    assert mean_average_precision(hits, truth, k) == pytest.approx(np.mean(precision))
    scores = score_queries(hits, truth, k)
    np.testing.assert_allclose(scores.recall, recall)
    np.testing.assert_allclose(scores.precision, precision)
    assert scores.unanswered == 1
    for query, hit, ndcg, reciprocal in zip(truth, scores.hit, scores.ndcg, scores.reciprocal):
        answers = hits.get(query, [])
        assert hit == bool(truth[query] & set(answers[:k]))
        assert ndcg == pytest.approx(brute_ndcg(answers, truth[query], k))
        assert reciprocal == pytest.approx(brute_reciprocal(answers, truth[query], k))


@pytest.mark.parametrize("k", [1, 3, 10])
def test_equal_to_ir_measures(k):
    """Two programs of one opinion, where definitions agree: AP@k there divides by all matches."""
    ir_measures = pytest.importorskip("ir_measures")
    hits, truth = random_case(k)
    run = {
        query: {item: -float(rank) for rank, item in enumerate(answers)}
        for query, answers in hits.items()
    }
    qrels = {query: dict.fromkeys(items, 1) for query, items in truth.items()}
    scores = score_queries(hits, truth, k)
    shares = np.array([min(k, len(items)) / len(items) for items in truth.values()])
    for measure, values in [
        (ir_measures.R @ k, scores.recall),
        (ir_measures.AP @ k, scores.precision * shares),
        (ir_measures.Success @ 1, scores.first),
        (ir_measures.Success @ k, scores.hit),
        (ir_measures.nDCG @ k, scores.ndcg),
        (ir_measures.RR @ k, scores.reciprocal),
    ]:
        found = {m.query_id: m.value for m in ir_measures.iter_calc([measure], qrels, run)}
        expected = [found.get(query, 0) for query in truth]
        np.testing.assert_allclose(values, expected, atol=1e-6, err_msg=str(measure))


def test_by_hand():
    hits = {"q": ["a", "x", "b", "y"], "r": ["x", "c"]}
    truth = {"q": {"a", "b", "z"}, "r": {"c"}}
    # q: 2 of 3 found, (1/1 + 2/3) / 3; r: 1 of 1 found, (1/2) / 1.
    assert mean_average_recall(hits, truth, 10) == pytest.approx((2 / 3 + 1) / 2)
    assert mean_average_precision(hits, truth, 10) == pytest.approx((5 / 9 + 1 / 2) / 2)
    # At 1 the precision is divided by min(1, 3), the recall still by 3.
    assert mean_average_recall(hits, truth, 1) == pytest.approx((1 / 3 + 0) / 2)
    assert mean_average_precision(hits, truth, 1) == pytest.approx(1 / 2)
    assert score_queries(hits, truth, 1).first.tolist() == [1, 0]
    scores = score_queries(hits, truth, 10)
    assert scores.reciprocal.tolist() == [1, 1 / 2]
    assert scores.hit.tolist() == [1, 1]
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert scores.ndcg == pytest.approx([(1 + 1 / math.log2(4)) / ideal, 1 / math.log2(3)])


def test_a_query_without_answers_counts_zero():
    assert mean_average_recall({"q": ["a"]}, {"q": {"a"}, "r": {"b"}}, 10) == 0.5


def test_hits_without_truth_are_an_error():
    with pytest.raises(InputError, match="'r' has hits but no true match"):
        score_queries({"q": ["a"], "r": ["b"]}, {"q": {"a"}}, 10)
    with pytest.raises(InputError, match="k is 0"):
        score_queries({"q": ["a"]}, {"q": {"a"}}, 0)


def test_interval_is_seeded_and_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(0.5, 0.2, size=400)
    low, high = bootstrap_interval(values, 2000, seed=5)
    assert (low, high) == bootstrap_interval(values, 2000, seed=5)
    assert (low, high) != bootstrap_interval(values, 2000, seed=6)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.003)
    assert high == pytest.approx(values.mean() + half, abs=0.003)


def test_hits_and_truth_round_trip(tmp_path):
    hits = {"q": [Hit("a", 1.5, (0.25, float("nan"), 1.0)), Hit("b", -0.5)], "r": [Hit("a", 0.0)]}
    write_hits(tmp_path / "h.tsv", hits)
    read = read_hits(tmp_path / "h.tsv")
    assert list(read) == ["q", "r"]
    assert [h.item_id for h in read["q"]] == ["a", "b"]
    np.testing.assert_array_equal(read["q"][0].similarities, hits["q"][0].similarities)
    header = (tmp_path / "h.tsv").read_text().splitlines()[0]
    assert header == HEADER + "\tscore_lexical"
    write_truth(tmp_path / "t.tsv", {"q": ["a", "b"], "r": ["c"]})
    assert read_truth(tmp_path / "t.tsv") == {"q": {"a", "b"}, "r": {"c"}}


HEADER = "query_id\trank\titem_id\tscore\tscore_global\tscore_title\tscore_image"


def test_hits_without_the_lexical_column_are_read(tmp_path):
    (tmp_path / "h.tsv").write_text(HEADER + "\nq\t1\ta\t1.5\t0.25\t\t1.0\n")
    (hit,) = read_hits(tmp_path / "h.tsv")["q"]
    np.testing.assert_array_equal(hit.similarities, (0.25, np.nan, 1.0, np.nan))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "\textra\n", "unknown columns extra"),
        (HEADER[:-12] + "\n", "lacks score_image"),
        (HEADER + "\nq\t2\ta\t1\t\t\t\n", "row 2 has rank '2'"),
        (HEADER + "\nq\t1\ta\t1\t\t\t\nq\t3\tb\t1\t\t\t\n", "row 3 has rank '3'"),
        (HEADER + "\nq\t1\ta\t1\t\t\t\nq\t2\ta\t1\t\t\t\n", "row 3 answers 'a' to query 'q' again"),
        (HEADER + "\nq\t1\ta\thigh\t\t\t\n", "row 2 has the score 'high'"),
    ],
)
def test_hits_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "h.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_hits(tmp_path / "h.tsv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query_id\titem_id\n", "no true match"),
        ("query_id\titem_id\nq\t\n", "row 2 has an empty id"),
        ("query_id\titem_id\tx\n", "unknown columns x"),
    ],
)
def test_truth_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_truth(tmp_path / "t.tsv")


def test_command(tmp_path, capsys):
    hits, truth, each = tmp_path / "h.tsv", tmp_path / "t.tsv", tmp_path / "each.tsv"
    write_hits(hits, {"q": [Hit("a", 2.0), Hit("b", 1.0)], "r": [Hit("a", 1.0), Hit("c", 0.5)]})
    write_truth(truth, {"q": ["a"], "r": ["c"]})
    command = ["--hits", str(hits), "--truth", str(truth), "-k", "2", "--per-query", str(each)]
    evaluate_command.main(command)
    result = json.loads(capsys.readouterr().out)
    assert (result["MAR@2"], result["MAP@2"], result["hit@1"]) == (100.0, 75.0, 50.0)
    assert result["queries"] == 2
    assert result["MAP@2_ci95"] == [50.0, 100.0]
    assert (result["hit@2"], result["nDCG@2"], result["MRR@2"]) == (100.0, 81.55, 75.0)
    assert "compare" not in result
    header, _, last = each.read_text().splitlines()
    assert header == "query_id\trecall@2\tAP@2\thit@1\thit@2\tnDCG@2\tRR@2"
    assert last == "r\t100.0\t50.0\t0.0\t100.0\t63.09\t50.0"
    with pytest.raises(SystemExit) as stop:
        run(evaluate_command.main, ["--hits", str(tmp_path / "none.tsv"), "--truth", str(truth)])
    assert stop.value.code == 2
