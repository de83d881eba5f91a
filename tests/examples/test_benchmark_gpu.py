"""The GPU benchmark in small, on the CPU."""

import json
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples/benchmark"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import gpu

    return gpu


def rows(folder, stage):
    return json.loads((folder / f"gpu-{stage}.json").read_text())["rows"]


def test_every_stage_measures(tmp_path, gpu, capsys):
    gpu.main(["--out", str(tmp_path), "--quick", "--device", "cpu"])
    printed = capsys.readouterr().out
    for stage in gpu.STAGES:
        found = rows(tmp_path, stage)
        assert found
        assert all(row["rate"] > 0 for row in found)
        assert all(f"| {row['name']} |" in printed for row in found)
    first = rows(tmp_path, "train")[0]
    hours = gpu.PAPER_PRODUCTS / first["rate"] / 3600
    assert first["hours of the paper's updates"] == pytest.approx(hours)


def test_a_batch_that_does_not_fit_is_a_row(tmp_path, gpu, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(gpu, "updates_of", full)
    gpu.main(["--out", str(tmp_path), "--quick", "--device", "cpu", "--stages", "train"])
    assert {(row["rate"], row["GiB"]) for row in rows(tmp_path, "train")} == {(0, "does not fit")}


def test_nothing_is_begun_late(tmp_path, gpu, monkeypatch):
    monkeypatch.setattr(gpu.time, "monotonic", iter([0, 60 * 10 + 1]).__next__)
    options = ["--out", str(tmp_path), "--quick", "--device", "cpu", "--stages", "train"]
    gpu.main([*options, "--minutes", "10"])
    assert rows(tmp_path, "train") == []
