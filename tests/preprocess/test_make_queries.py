"""Queries, their index and their truth are a partition of a labelled catalogue."""

import random
from collections import Counter

import numpy as np
import pytest

from fairseq_item.commands import index as index_command
from fairseq_item.commands import queries as queries_command
from fairseq_item.commands import search as search_command
from fairseq_item.data.tsv import read_table, write_tsv
from fairseq_item.errors import InputError
from fairseq_item.evaluation.metrics import mean_average_recall
from fairseq_item.search.embeddings import EmbeddingWriter
from fairseq_item.search.hits import read_hits, read_truth

SIZES = [1] * 10 + [2] * 10 + [3] * 10


def rows_of(path):
    return list(read_table(path).dicts())


def write_catalog(path, shuffled=False):
    rows = [
        {"id": f"p{p}-{n}", "title": f"product {p}", "image": f"{p}-{n}.jpg", "product": f"p{p}"}
        for p, size in enumerate(SIZES)
        for n in range(size)
    ]
    rows += [{"id": f"x{i}", "title": "alone", "image": "", "product": ""} for i in range(3)]
    if shuffled:
        random.Random(1).shuffle(rows)
    write_tsv(path, list(rows[0]), rows)
    return rows


def make(path, out, *args):
    queries_command.main([str(path), "--out", str(out), *map(str, args)])
    return [rows_of(out / f"{name}.tsv") for name in ("query", "index", "truth")]


def test_files_agree(tmp_path):
    rows = write_catalog(tmp_path / "c.tsv")
    query, index, truth = make(tmp_path / "c.tsv", tmp_path / "out", "--products", 12)
    assert len({row["product"] for row in query}) == len(query) == 12
    assert sorted(row["id"] for row in query + index) == sorted(row["id"] for row in rows)
    expected = {(q["id"], i["id"]) for q in query for i in index if q["product"] == i["product"]}
    assert {(row["query_id"], row["item_id"]) for row in truth} == expected
    assert {row["query_id"] for row in truth} == {row["id"] for row in query}


def test_seeded_and_independent_of_order(tmp_path):
    write_catalog(tmp_path / "a.tsv")
    write_catalog(tmp_path / "b.tsv", shuffled=True)

    def queries(name, *args):
        query, _, _ = make(tmp_path / name, tmp_path / "out", "--fraction", 0.5, *args)
        return {row["id"] for row in query}

    first = queries("a.tsv")
    assert len(first) == 10
    assert queries("b.tsv") == first
    assert queries("a.tsv", "--seed", 2) != first
    # Any listing of a product may be its query, not only the first.
    assert {row_id.split("-")[1] for row_id in queries("a.tsv", "--seed", 3)} > {"0"}


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        (["--products", 21], "has 20 products with two rows"),
        (["--fraction", 0.01], "has 20 products with two rows"),
        (["--products", 0], "--products: '0' is not"),
        (["--fraction", 1.5], "--fraction: '1.5' is not"),
        (["--fraction", "nan"], "--fraction: 'nan' is not"),
        (["--fraction", "inf"], "--fraction: 'inf' is not"),
    ],
)
def test_impossible_amounts(tmp_path, amount, message):
    write_catalog(tmp_path / "c.tsv")
    with pytest.raises(InputError, match=message):
        make(tmp_path / "c.tsv", tmp_path / "out", *amount)


@pytest.mark.parametrize("name", ["query", "index"])
def test_what_is_read_is_not_overwritten(tmp_path, name):
    rows = write_catalog(tmp_path / f"{name}.tsv")
    with pytest.raises(InputError, match=rf"{name}\.tsv would overwrite"):
        make(tmp_path / f"{name}.tsv", tmp_path, "--products", 3)
    assert rows_of(tmp_path / f"{name}.tsv") == rows


def test_without_products(tmp_path):
    rows = [{"id": "1", "title": "x", "image": "y"}]
    write_tsv(tmp_path / "c.tsv", ["id", "title", "image"], rows)
    with pytest.raises(InputError, match="no column 'product'"):
        make(tmp_path / "c.tsv", tmp_path / "out", "--products", 1)
    write_tsv(tmp_path / "c.tsv", ["id", "title", "image", "product"], rows)
    with pytest.raises(InputError, match="no product with two rows"):
        make(tmp_path / "c.tsv", tmp_path / "out", "--products", 1)


def leave_one_out(tmp_path, *args):
    return make(tmp_path / "c.tsv", tmp_path / "out", "--leave-one-out", *args)


def test_leave_one_out_makes_every_listing_a_query_of_all_others(tmp_path):
    rows = write_catalog(tmp_path / "c.tsv")
    query, index, truth = leave_one_out(tmp_path)
    assert index == rows
    assert query == [row for row in rows if row["product"] and int(row["product"][1:]) >= 10]
    pairs = [(row["query_id"], row["item_id"]) for row in truth]
    expected = {
        (a["id"], b["id"])
        for a in rows
        for b in rows
        if a["product"] and a["product"] == b["product"] and a["id"] != b["id"]
    }
    assert set(pairs) == expected
    assert len(pairs) == len(expected)


@pytest.mark.parametrize(
    ("args", "most", "total"),
    [
        (["--max-per-product", 1], 1, 20),
        (["--max-per-product", 2], 2, 40),
        (["--num-queries", 30], 2, 30),
        (["--num-queries", 45], 3, 45),
        (["--num-queries", 25, "--max-per-product", 2], 2, 25),
    ],
)
def test_leave_one_out_draws_evenly_over_products(tmp_path, args, most, total):
    write_catalog(tmp_path / "c.tsv")
    query, index, truth = leave_one_out(tmp_path, *args)
    counts = Counter(row["product"] for row in query)
    assert len(query) == total
    assert len(index) == 63
    assert max(counts.values()) == most
    assert len(counts) == 20
    assert min(counts.values()) >= min(2, total // 20)
    assert {row["query_id"] for row in truth} == {row["id"] for row in query}


def test_leave_one_out_is_seeded_and_independent_of_order(tmp_path):
    write_catalog(tmp_path / "a.tsv")
    write_catalog(tmp_path / "b.tsv", shuffled=True)

    def queries(name, *args):
        args = ("--leave-one-out", "--num-queries", 13, *args)
        return {row["id"] for row in make(tmp_path / name, tmp_path / "out", *args)[0]}

    assert queries("a.tsv") == queries("b.tsv")
    assert queries("a.tsv") != queries("a.tsv", "--seed", 2)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--leave-one-out", "--num-queries", 51], "50 such listings, of which 51"),
        (["--leave-one-out", "--num-queries", 21, "--max-per-product", 1], "20 such listings"),
        (["--products", 3, "--num-queries", 3], "belong to --leave-one-out"),
        (["--products", 3, "--leave-one-out"], "not allowed with"),
    ],
)
def test_impossible_leave_one_out(tmp_path, args, message):
    write_catalog(tmp_path / "c.tsv")
    with pytest.raises(InputError, match=message):
        make(tmp_path / "c.tsv", tmp_path / "out", *args)


def test_a_search_without_the_query_itself_equals_a_twin(tmp_path):
    """From item-queries through item-index and item-search to the score, beside plain NumPy."""
    rows = write_catalog(tmp_path / "c.tsv")
    query, _, truth = leave_one_out(tmp_path, "--num-queries", 30)
    vectors = embed(tmp_path, rows, query)
    index_command.main(
        [str(tmp_path / "index-emb"), "--out", str(tmp_path / "index"), "--transform", "none",
         "--calibration", "none", "--fusion", "max", "--weights", "1", "1", "1"]
    )  # fmt: skip
    search_command.main(
        [str(tmp_path / "index"), "--queries", str(tmp_path / "query-emb"), "--exclude-self",
         "-k", "5", "--out", str(tmp_path / "hits.tsv")]
    )  # fmt: skip
    hits = read_hits(tmp_path / "hits.tsv")
    expected = {}
    for row in query:
        similarities = {other: float(vectors[row["id"]] @ vectors[other]) for other in vectors}
        del similarities[row["id"]]
        expected[row["id"]] = sorted(similarities, key=similarities.get, reverse=True)[:5]
    assert {q: [hit.item_id for hit in answers] for q, answers in hits.items()} == expected
    matches = read_truth(tmp_path / "out" / "truth.tsv")
    true = {(row["query_id"], row["item_id"]) for row in truth}
    recall = [len([i for i in expected[q] if (q, i) in true]) / len(matches[q]) for q in expected]
    assert mean_average_recall(hits, matches, 5) == pytest.approx(np.mean(recall))


def embed(folder, rows, query):
    """Random directions of all rows, in folders as item-embed writes them: id -> (d,) float32."""
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(len(rows), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = dict(zip([row["id"] for row in rows], vectors))
    for name, some in (("index-emb", rows), ("query-emb", query)):
        writer = EmbeddingWriter(folder / name, some, 8)
        writer.write(0, *[np.stack([vectors[row["id"]] for row in some])] * 3)
        writer.finish()
    return vectors
