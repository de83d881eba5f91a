"""The data benchmarks run from end to end in small, and their contestants load the same thing."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "examples" / "benchmark"


def rows(path):
    report = json.loads(path.read_text())
    assert report["machine"]["cores"] >= 1
    assert all(row["rate"] > 0 for row in report["rows"])
    return {row["name"]: row for row in report["rows"]}


def test_packing(tmp_path):
    # A process of its own: what preprocess/ calls its modules is no name for the tests.
    done = subprocess.run(
        [sys.executable, BENCHMARK / "packing.py", "--out", tmp_path, "--quick"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    packed = rows(tmp_path / "packing.json")
    assert all(name in done.stdout for name in packed)
    assert len(packed) == 7
    size = "bytes an image"
    # 256 x 256 x 3, and 12 bytes of index and a description for each of 24 images
    for workers in ("1 worker", "2 workers"):
        assert 196_608 + 12 < packed[f"patches, {workers}"][size] < 196_608 + 60
        assert packed[f"jpeg, {workers}"][size] < 196_608 / 4
    assert packed["jpeg, 1 worker"][size] == packed["jpeg, 2 workers"][size]


@pytest.fixture
def loaders(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARK))
    import loaders

    return loaders


def test_loading(tmp_path, loaders, capsys):
    import loading

    loading.main(["--out", str(tmp_path), "--quick"])
    printed = capsys.readouterr().out
    warm = rows(tmp_path / "loading.json")
    assert all(name in printed for name in warm)
    for name in ("ours, patches", "ours, jpeg", "ImageFolder"):
        assert {f"{name}, 1 worker", f"{name}, 2 workers"} <= warm.keys()
    assert "lower bound: copying the stored bytes" in warm
    if sys.platform == "linux":
        cold = rows(tmp_path / "loading-cold.json")
        assert {"ours, patches, warm", "ours, patches, cold"} <= cold.keys()
    assert list(rows(tmp_path / "loading-steps.json"))[-1] == "collate"
    opened = rows(tmp_path / "opening.json")
    assert list(opened) == ["1,000 products", "10,000 products"]
    assert all(row["open (ms)"] > 0 for row in opened.values())


def test_all_ways_load_every_image(tmp_path, loaders):
    count = 10
    loaders.write_data(tmp_path, count)
    for name, (make, files) in loaders.loaders(tmp_path).items():
        assert all(path.exists() for path in files)
        loaded = 0
        for batch in make(2, 1):
            images = batch["net_input"]["patches"] if isinstance(batch, dict) else batch[0]
            assert str(images.dtype).endswith("uint8"), name
            assert int(np.prod(images.shape[1:])) == 224 * 224 * 3
            loaded += len(images)
        assert loaded == 2 * count, name


def test_a_missing_library_is_one_line(tmp_path, loaders, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    (tmp_path / "folder" / "all").mkdir(parents=True)
    assert "webdataset" not in loaders.loaders(tmp_path)
    assert capsys.readouterr().err == "webdataset is not installed; its rows are left out\n"
