"""The benchmark of approximate search and the catalogue that it is run on, in small."""

import json
from pathlib import Path

import numpy as np
import pytest

from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings

BENCHMARK = Path(__file__).parents[2] / "examples/benchmark"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARK))


def test_approximate(tmp_path, capsys):
    import approximate

    approximate.main(["--out", str(tmp_path), "--quick", "--kinds", "flat", "--recall", "0.9"])
    assert "| flat, IVF128,SQfp16 |" in capsys.readouterr().out
    result = json.loads((tmp_path / "approximate.json").read_text())
    exact, flat = (result["searches"][name] for name in ("exact", "flat"))
    assert exact["recall"] == 1
    assert flat["recall"] >= 0.85
    for row in (exact, flat):
        assert row["queries_per_second"][0] > 0
        assert row["own_mib"] > 10
    assert flat["build_cpu_seconds"] > 0
    assert not any(path.is_dir() for path in tmp_path.iterdir())


def test_million(tmp_path, model_folder):
    import million

    def make(out, products):
        how = ["--products", str(products), "--images", "30", "--queries", "5"]
        million.main(["--checkpoint", str(model_folder), "--out", str(out), *how])
        return [Embeddings.load(out / name) for name in ("items", "queries")]

    items, queries = make(tmp_path / "a", 40)
    assert len(items) == 40
    assert len(set(items.titles())) == 40
    assert set(queries.ids) <= set(items.ids)  # other listings of some of the products
    assert not set(queries.titles()) & set(items.titles())
    again, _ = make(tmp_path / "b", 40)
    parts = tmp_path / "b" / "items.parts"
    assert len(list(parts.iterdir())) == 1
    for name in EMBEDDINGS:
        np.testing.assert_array_equal(again.rows(name), items.rows(name))
        assert (np.linalg.norm(items.rows(name), axis=1) > 0.99).all()
    written = (parts / "0.npy").stat().st_mtime_ns
    make(tmp_path / "b", 40)  # goes on where it was
    assert (parts / "0.npy").stat().st_mtime_ns == written


def test_near_duplicates(tmp_path, model_folder):
    import million
    import near_duplicates

    made = ["--products", "400", "--images", "30", "--queries", "120"]
    million.main(["--checkpoint", str(model_folder), "--out", str(tmp_path / "a"), *made])
    read = ["--items", tmp_path / "a/items", "--queries", tmp_path / "a/queries"]
    out = ["--out", tmp_path / "out", "--sampled", "100", "--workers", "1"]
    near_duplicates.main([str(word) for word in (*read, *out)])
    result = json.loads((tmp_path / "out/near-duplicates.json").read_text())
    assert result["items"] == 460
    assert result["second_listings"] == 60
    assert 0 < result["second_listings_found"] <= 60
    # So few items are all in lists that are visited.
    assert result["sampled_found"] == result["sampled_pairs"] > 0
