"""The benchmarks of packing and loading in small, and that all contestants load the same thing."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "examples" / "benchmark"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARK))


def rows(path):
    report = json.loads(path.read_text())
    assert report["machine"]["cores"] >= 1
    assert all(row["rate"] > 0 for row in report["rows"])
    return {row["name"]: row for row in report["rows"]}


def test_packing(tmp_path, capsys):
    import packing

    packing.main(["--out", str(tmp_path), "--quick"])
    printed, packed = capsys.readouterr().out, rows(tmp_path / "packing.json")
    assert all(name in printed for name in packed)
    assert len(packed) == 7
    size = "bytes an image"
    # 256 x 256 x 3, and 12 bytes of index and a description for each of 24 images
    for workers in ("1 worker", "2 workers"):
        assert 196_608 + 12 < packed[f"patches, {workers}"][size] < 196_608 + 60
        assert packed[f"jpeg, {workers}"][size] < 196_608 / 4
    assert packed["jpeg, 1 worker"][size] == packed["jpeg, 2 workers"][size]


def test_loading(tmp_path, capsys):
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
    opened = rows(tmp_path / "opening.json")
    assert list(opened) == ["1,000 products", "10,000 products"]
    assert all(row["open (ms)"] > 0 for row in opened.values())


def test_all_ways_load_every_image(tmp_path):
    import loading

    count = 10
    loading.write_data(tmp_path, count)
    for name, (make, files) in loading.loaders(tmp_path).items():
        assert all(path.exists() for path in files)
        loaded = 0
        for batch in make(2, 1):
            images = batch["net_input"]["patches"] if isinstance(batch, dict) else batch[0]
            assert str(images.dtype).endswith("uint8"), name
            assert int(np.prod(images.shape[1:])) == 224 * 224 * 3
            loaded += len(images)
        assert loaded == 2 * count, name


def test_a_missing_library_is_one_line(tmp_path, monkeypatch, capsys):
    import loading

    monkeypatch.setitem(sys.modules, "webdataset", None)
    monkeypatch.setattr(loading, "optional", loading.optional.__wrapped__)
    (tmp_path / "folder" / "all").mkdir(parents=True)
    assert "webdataset" not in loading.loaders(tmp_path)
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("webdataset is left out: ")
