import json
import re

import numpy as np
import pytest

from fairseq_item.commands import evaluate
from fairseq_item.errors import InputError
from fairseq_item.evaluation.reliability import calibration_error, reliability
from fairseq_item.reports.reliability_plot import plot
from fairseq_item.search.hits import Hit, write_hits, write_truth

HITS = {
    "a": [Hit("1", 0.9), Hit("2", 0.25), Hit("3", 0.25)],
    "b": [Hit("1", 1.0), Hit("2", 0.25), Hit("3", 0.05)],
}
TRUTH = {"a": {"1", "2"}, "b": {"1"}}


def test_error_by_hand():
    found = reliability(HITS, TRUTH, k=3)
    assert found["answers"] == 6
    # 2 of [0.9, 1], mean 0.95, both right; 3 at 0.25, a third right; 1 at 0.05, wrong.
    expected = (2 * 0.05 + 3 * (1 / 3 - 0.25) + 0.05) / 6
    assert found["ece"] == pytest.approx(100 * expected, abs=0.01)
    assert [(entry["from"], entry["count"]) for entry in found["bins"]] == [
        (0, 1), (0.2, 3), (0.9, 2),
    ]  # fmt: skip
    assert found["bins"][1]["true"] == pytest.approx(1 / 3, abs=1e-4)
    # Wilson's interval of 1 in 3.
    assert found["bins"][1]["true_ci95"] == pytest.approx([0.0615, 0.7923], abs=1e-3)
    assert reliability(HITS, TRUTH, k=1)["answers"] == 2


def test_true_probabilities_have_no_error_and_others_have():
    rng = np.random.default_rng(0)
    probability = rng.random(50_000)
    true = rng.random(50_000) < probability
    assert calibration_error(probability, true) < 0.01
    assert calibration_error(probability**2, true) > 0.1
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) == 0


def test_scores_that_are_no_probabilities_are_refused():
    for score in (1.5, -0.1, float("nan")):
        with pytest.raises(InputError, match="is no probability"):
            reliability({"a": [Hit("1", score)]}, TRUTH, 3)
    with pytest.raises(InputError, match="no hits"):
        reliability({}, TRUTH, 3)


def test_command_and_plot(tmp_path, capsys):
    write_hits(tmp_path / "hits.tsv", HITS)
    write_truth(tmp_path / "truth.tsv", TRUTH)
    argv = ["--hits", str(tmp_path / "hits.tsv"), "--truth", str(tmp_path / "truth.tsv"), "-k", "3"]
    evaluate.main([*argv, "--reliability", str(tmp_path / "plot.svg")])
    found = json.loads(capsys.readouterr().out)["reliability"]
    assert found == reliability(HITS, TRUTH, 3)
    text = (tmp_path / "plot.svg").read_text()
    assert f"<!-- 6 answers, expected calibration error {found['ece']:.1f}% -->" in text
    assert re.findall(r"<!-- (\d) -->", text) == ["1", "3", "2"]  # the bars' counts
    with pytest.raises(InputError, match="matplotlib writes no such file"):
        plot(found, tmp_path / "plot.xyz")


def test_without_matplotlib_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match="matplotlib is missing"):
        plot(reliability(HITS, TRUTH, 3), tmp_path / "plot.png")
