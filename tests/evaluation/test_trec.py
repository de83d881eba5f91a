import json

import numpy as np
import pytest

from fairseq_item.commands import evaluate as evaluate_command
from fairseq_item.errors import InputError
from fairseq_item.evaluation.trec import read_qrels, read_run, write_qrels, write_run
from fairseq_item.search.hits import Hit, read_hits, write_hits, write_truth

TIED = {"q": [Hit("b", 0.5), Hit("a", 0.5), Hit("c", 0.5)], "r": [Hit("a", -2.0), Hit("b", -2.25)]}


def ids(hits):
    return {query: [hit.item_id for hit in answers] for query, answers in hits.items()}


def test_a_run_keeps_the_order_of_hits_with_equal_scores(tmp_path):
    path = tmp_path / "h.run"
    write_run(path, TIED)
    assert path.read_text().splitlines()[0] == "q Q0 b 1 0.5 fairseq-item"
    read = read_run(path)
    assert ids(read) == ids(TIED)
    scores = np.array([hit.score for hit in read["q"]], np.float32)
    assert (np.diff(scores) < 0).all()
    assert scores == pytest.approx(0.5)
    assert [hit.score for hit in read["r"]] == [-2.0, -2.25]


def test_other_programs_see_the_same_order(tmp_path):
    ir_measures = pytest.importorskip("ir_measures")
    write_run(tmp_path / "h.run", TIED)
    write_qrels(tmp_path / "t.qrels", {"q": {"a"}, "r": {"b"}})
    run = list(ir_measures.read_trec_run(str(tmp_path / "h.run")))
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "t.qrels")))
    found = {m.query_id: m.value for m in ir_measures.iter_calc([ir_measures.RR], qrels, run)}
    assert found == {"q": 0.5, "r": 0.5}


def test_a_run_is_ordered_by_score_and_then_by_rank(tmp_path):
    lines = ["q Q0 a 1 0.1 x", "q\tQ0\tb 2 3e-1 x", "", "r Q0 z 9 1 x", "q Q0 c 4 0.1 x"]
    (tmp_path / "h.run").write_text("\n".join(lines))
    assert ids(read_run(tmp_path / "h.run")) == {"q": ["b", "a", "c"], "r": ["z"]}


def test_qrels(tmp_path):
    (tmp_path / "t.qrels").write_text("q 0 a 2\nq 0 b 0\nq 0 c 1\nr 0 a 0\ns 0 a -1\n")
    assert read_qrels(tmp_path / "t.qrels") == {"q": {"a", "c"}}
    truth = {"q": {"b", "a"}, "r": {"c"}}
    write_qrels(tmp_path / "u.qrels", truth)
    assert (tmp_path / "u.qrels").read_text() == "q 0 a 1\nq 0 b 1\nr 0 c 1\n"
    assert read_qrels(tmp_path / "u.qrels") == truth


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_run, "q Q0 a 1 0.5\n", "row 1 has 5 fields; it must be: query Q0 item rank score"),
        (read_run, "q Q0 a 1 0.5 x\nq Q0 b 2 high x\n", "row 2 has the score 'high'"),
        (read_run, "q Q0 a first 0.5 x\n", "row 1 has the rank 'first'"),
        (read_run, "q Q0 a 1 nan x\n", "row 1 has the score 'nan'"),
        (read_run, "q Q0 a 1 1 x\nq Q0 a 2 0 x\n", "row 2 answers 'a' to query 'q' again"),
        (read_qrels, "q a\n", "row 1 has 2 fields"),
        (read_qrels, "q 0 a 0\n", "no true match"),
        (read_qrels, "q 0 a yes\n", "row 1 has the relevance 'yes'"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, read, text, message):
    (tmp_path / "file").write_text(text)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "file")


def test_missing_files_and_ids_with_spaces(tmp_path):
    with pytest.raises(InputError, match="not there"):
        read_run(tmp_path / "none.run")
    with pytest.raises(InputError, match="'a b' cannot be part of a TREC file"):
        write_qrels(tmp_path / "t.qrels", {"q": {"a b"}})
    with pytest.raises(InputError, match="'a b' cannot be part of a TREC file"):
        write_run(tmp_path / "t.run", {"a b": [Hit("c", 1.0)]})
    assert not list(tmp_path.iterdir())


def test_command_reads_and_writes_trec_files(tmp_path, capsys):
    hits, truth = tmp_path / "h.tsv", tmp_path / "t.tsv"
    run, qrels = tmp_path / "h.run", tmp_path / "t.qrels"
    write_hits(hits, TIED)
    write_truth(truth, {"q": ["a"], "r": ["a"], "s": ["c"]})
    files = ["--write-run", str(run), "--write-qrels", str(qrels)]
    evaluate_command.main(["--hits", str(hits), "--truth", str(truth), "-k", "2", *files])
    evaluate_command.main(["--hits", str(run), "--truth", str(qrels), "-k", "2"])
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == second
    assert first["MRR@2"] == 50.0
    assert ids(read_hits(hits)) == ids(read_run(run))
