"""The study of whitening's shrinkage finds what an index built by item-index finds."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from fairseq_item.evaluation.metrics import mean_average_precision
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import Embeddings, EmbeddingWriter
from fairseq_item.search.hits import write_truth
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import search

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "real_catalog" / "shrinkage.py"
SPEC = importlib.util.spec_from_file_location("shrinkage", SCRIPT)
shrinkage = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(shrinkage)
DIM, ITEMS, QUERIES = 24, 40, 12


def write(folder, prefix, rows, titles):
    items = [{"id": f"{prefix}{i}", "title": title} for i, title in enumerate(titles)]
    writer = EmbeddingWriter(folder, items, DIM, meta={"features": None})
    writer.write(0, *rows)
    writer.finish()


def test_a_whole_index_is_searched_as_by_item_index(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3, ITEMS, DIM)) + 3 * rng.normal(size=(3, 1, DIM))
    titles = [" ".join(rng.choice(["red", "mug", "acme", "x1", "pan"], 3)) for _ in range(ITEMS)]
    noisy = rows[:, :QUERIES] + 1.5 * rng.normal(size=(3, QUERIES, DIM))
    write(tmp_path / "index", "p", rows, titles)
    write(tmp_path / "query", "q", noisy, titles[3 : QUERIES + 3])
    truth = {f"q{i}": [f"p{i}"] for i in range(QUERIES)}
    write_truth(tmp_path / "truth.tsv", truth)
    argv = [str(tmp_path), str(tmp_path / "truth.tsv"), "--all-queries", "--sizes", "20", "40"]
    shrinkage.main([*argv, "--draws", "2", "--out", str(tmp_path / "found.csv")])
    with open(tmp_path / "found.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["items"] for row in found].count("20") == 2 * len(shrinkage.RULES)
    assert {row["queries"] for row in found if row["items"] == "20"} == {"10"}
    printed = capsys.readouterr().out
    asked = Embeddings.load(tmp_path / "query")
    for rule, given in (("(d/n)^2", None), ("0.3", 0.3)):
        build_index([tmp_path / "index"], tmp_path / "built", whiten_shrinkage=given)
        index = ItemIndex.load(tmp_path / "built")
        (row,) = [row for row in found if (row["items"], row["rule"]) == ("40", rule)]
        ways = {"title": {"similarity": "title"}, "default": {}}
        for name, how in ways.items():
            hits = search(index, asked.queries(), asked.ids, 10, **how)
            expected = 100 * mean_average_precision(hits, truth, 10)
            assert float(row[name]) == pytest.approx(expected, abs=1e-6)
            assert f"{expected:.1f}" in printed
