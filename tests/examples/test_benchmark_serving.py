"""The load on item-serve, in its quick form: every request is answered."""

import json
import shutil
from pathlib import Path

import pytest

from fairseq_item.commands import embed, index

pytest.importorskip("fastapi")
BENCHMARK = Path(__file__).parents[2] / "examples/benchmark"


def test_serving(model_folder, data_bin, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARK))
    import serving

    shop = tmp_path / "quickstart"
    embed.main(
        ["--checkpoint", str(model_folder), "--data", str(data_bin), "--splits", "train",
         "--out", str(shop / "embeddings"), "--device", "cpu"]
    )  # fmt: skip
    index.main([str(shop / "embeddings"), "--out", str(shop / "index" / "features")])
    shutil.copytree(model_folder, shop / "model")
    shutil.copytree(data_bin.parent / "images", shop / "catalog" / "images")
    shutil.copytree(data_bin.parent / "splits", shop / "splits")
    shutil.copy(shop / "splits" / "test.tsv", shop / "splits" / "query.tsv")
    serving.main(["--out", str(tmp_path), "--quickstart", str(shop), "--quick"])
    assert "| queries | requests |" in capsys.readouterr().out
    rows = json.loads((tmp_path / "serving.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["title", "photo", "item", "mixed"]
    for row in rows:
        assert (row["requests"], row["failures"]) == (60, 0)
        assert row["p50 ms"] <= row["p99 ms"]
