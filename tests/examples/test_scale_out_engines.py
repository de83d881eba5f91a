"""The comparison of engines: what it measures, and that it ends with 1 where bytes differ."""

import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "scale_out"


@pytest.fixture
def engines(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    import engines

    # Both are compared in tests/test_engines.py; here Ray would take half a minute.
    monkeypatch.setattr(engines, "engines", lambda: ["local"])
    return engines


def test_what_is_measured(engines, model_folder, data_bin, tmp_path):
    options = ["--photos", "70", "--workers", "1", "2", "--out", str(tmp_path)]
    model = ["--checkpoint", str(model_folder), "--data", str(data_bin), "--batch-size", "1"]
    engines.main([*options, *model])
    found = json.loads((tmp_path / "engines.json").read_text())
    assert found["pack"]["products"] == 70
    assert found["embed"]["products"] == 68
    for task in ("pack", "embed"):
        results = [found[task][name] for name in ("local-1", "local-2")]
        assert results[0]["digest"] == results[1]["digest"]
        assert results[0]["seconds"] > 0
        assert all(result["worker_cpu_ms"] > 0 for result in results)
        assert all(result["writer_cpu_ms"] >= 0 for result in results)
        assert all(20 < result["worker_mib"] < 20_000 for result in results)
    assert found["embed"]["local-1"]["products_per_second"] > 0  # of 17 parts
    assert found["pack"]["local-2"]["products_per_second"] is None
    assert found["map_us"].keys() == {"local-1", "local-2"}


def test_other_bytes_are_no_success(engines, monkeypatch, tmp_path):
    digests = iter("ab")
    monkeypatch.setattr(engines, "digest_of", lambda paths: next(digests))
    with pytest.raises(SystemExit, match="pack: the engines wrote different bytes"):
        engines.main(["--photos", "40", "--workers", "1", "2", "--out", str(tmp_path)])
