"""Queries, their index and their truth are a partition of a labelled catalogue."""

import random

import pytest

from fairseq_item.commands import queries as queries_command
from fairseq_item.data.tsv import read_table, write_tsv
from fairseq_item.errors import InputError

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
