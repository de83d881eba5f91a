"""Splits are exact, seeded, independent of row order, and keep a product's rows together."""

import random
from collections import Counter
from pathlib import Path

import pytest

from fairseq_item.commands import split as split_command
from fairseq_item.data.tsv import read_table, write_tsv
from fairseq_item.errors import InputError

SPLITS = ("train", "valid", "test")
SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def rows_of(path):
    return list(read_table(path).dicts())


def write_catalog(path, count, **columns):
    """``count`` rows; each of ``columns`` is a function of the row's number."""
    rows = [
        {"id": f"r{i}", "title": f"title {i}", "image": f"{i}.jpg", "colour": "red"}
        | {name: value(i) for name, value in columns.items()}
        for i in range(count)
    ]
    write_tsv(path, list(rows[0]), rows)
    return rows


def split(catalog, *args):
    out = catalog.parent / "out"
    split_command.main([str(catalog), "--out", str(out), *map(str, args)])
    return {path.stem: rows_of(path) for path in out.glob("*.tsv")}


def assignment(splits):
    return {row["id"]: name for name, rows in splits.items() for row in rows}


@pytest.fixture
def catalog(tmp_path):
    return tmp_path / "catalog.tsv"


def test_every_row_goes_to_one_split_unchanged_and_in_order(catalog):
    rows = write_catalog(catalog, 1000)
    splits = split(catalog)
    assert {name: len(splits[name]) for name in SPLITS} == {"train": 900, "valid": 50, "test": 50}
    names = assignment(splits)
    for name in SPLITS:
        assert splits[name] == [row for row in rows if names[row["id"]] == name]


def test_the_draw_is_random_seeded_and_independent_of_order(catalog):
    rows = write_catalog(catalog, 400)
    first = assignment(split(catalog, "--ratios", 50, 25, 25))
    # Not by position: the first half of the rows has its share of each split, give or take.
    early = Counter(first[row["id"]] for row in rows[:200])
    assert 70 < early["train"] < 130
    assert 30 < early["valid"] < 70
    random.Random(1).shuffle(rows)
    write_tsv(catalog, list(rows[0]), rows)
    assert assignment(split(catalog, "--ratios", 50, 25, 25)) == first
    assert assignment(split(catalog, "--ratios", 50, 25, 25, "--seed", 2)) != first


def test_the_draw_is_the_same_on_every_machine(catalog):
    write_catalog(catalog, 10)
    splits = split(catalog, "--ratios", 8, 1, 1)
    assert [row["id"] for row in splits["valid"]] == ["r8"]
    assert [row["id"] for row in splits["test"]] == ["r6"]


def test_products_stay_together(catalog):
    write_catalog(catalog, 900, product=lambda i: f"p{i % 300}" if i < 600 else "")
    splits = split(catalog, "--ratios", 60, 20, 20)
    names = assignment(splits)
    for i in range(300):
        assert names[f"r{i}"] == names[f"r{i + 300}"]
    assert {name: len(splits[name]) for name in SPLITS} == pytest.approx(
        {"train": 540, "valid": 180, "test": 180}, abs=2
    )


def test_spaces_around_a_product_do_not_make_another_one(catalog):
    write_catalog(catalog, 100, product=lambda i: f"p{i // 2}" + " " * (i % 2))
    names = assignment(split(catalog, "--ratios", 1, 1, 1))
    assert all(names[f"r{2 * i}"] == names[f"r{2 * i + 1}"] for i in range(50))


def test_a_product_may_be_called_like_a_row(catalog):
    write_catalog(catalog, 200, product=lambda i: "r150" if i < 2 else "")
    first = assignment(split(catalog, "--ratios", 1, 1, 1))
    assert first["r0"] == first["r1"]


def test_stratified(catalog):
    sizes = {"big": 500, "middle": 97, "small": 10, **{f"single{i}": 1 for i in range(20)}}
    kinds = [kind for kind, size in sizes.items() for _ in range(size)]
    write_catalog(catalog, len(kinds), leaf_category=lambda i: kinds[i])
    splits = split(catalog, "--stratify", "--ratios", 80, 10, 10)
    counts = {name: Counter(row["leaf_category"] for row in splits[name]) for name in SPLITS}
    assert set(counts["train"]) == set(sizes)
    for name in ("valid", "test"):
        assert counts[name].total() == pytest.approx(len(kinds) / 10, abs=1)
        # Singles cannot go here, so that the larger ones make good for their share.
        assert counts[name]["big"] == pytest.approx(50, abs=4)
        assert counts[name]["middle"] == pytest.approx(9.7, abs=4)


def test_stratified_by_an_uneven_product(catalog):
    write_catalog(
        catalog, 100, leaf_category=lambda i: "a", product=lambda i: "huge" if i < 90 else ""
    )
    splits = split(catalog, "--stratify", "--ratios", 80, 10, 10)
    assert len(splits["train"]) >= 80
    assert sum(map(len, splits.values())) == 100


def test_split_column_is_honoured(catalog):
    given = {0: "Train", 1: "val", 2: "dev", 3: "testing", 4: "query"}
    write_catalog(
        catalog, 205,
        split=lambda i: given.get(i, ""),
        product=lambda i: "p" if i in (3, 100) else "",
    )  # fmt: skip
    splits = split(catalog, "--ratios", 50, 25, 25)
    names = assignment(splits)
    assert [names[f"r{i}"] for i in range(5)] == ["train", "valid", "valid", "test", "query"]
    assert names["r100"] == "test"
    assert len(splits["train"]) == pytest.approx(101, abs=2)
    assert all(row["split"] == name for name in splits for row in splits[name])


def test_split_column_can_be_ignored(catalog):
    write_catalog(catalog, 100, split=lambda i: "test")
    splits = split(catalog, "--ignore-split-column")
    assert len(splits["train"]) == 90
    assert {row["split"] for row in splits["train"]} == {"train"}


def test_nothing_is_left_of_an_earlier_run(catalog):
    write_catalog(catalog, 100)
    assert set(split(catalog)) == set(SPLITS)
    assert set(split(catalog, "--ratios", 90, 10, 0)) == {"train", "valid"}


def test_too_few_rows_for_a_split_are_reported(catalog, caplog):
    write_catalog(catalog, 3)
    assert set(split(catalog)) == {"train"}
    assert "too few rows for any in test" in caplog.text


@pytest.mark.parametrize(
    ("columns", "args", "expected"),
    [
        ({}, ["--stratify"], "no column 'leaf_category'"),
        ({}, ["--ratios", "0", "0", "0"], "--ratios"),
        ({}, ["--ratios", "-1", "2", "1"], "--ratios"),
        ({}, ["--ratios", "nan", "5", "5"], "--ratios: 'nan' is not"),
        ({}, ["--ratios", "90", "inf", "5"], "--ratios: 'inf' is not"),
        ({"split": lambda i: "fold7"}, [], "line 2 has the split 'fold7'"),
        (
            {"split": lambda i: "train" if i else "test", "product": lambda i: "p"},
            [],
            "line 3 puts product 'p' into train, an earlier row into test",
        ),
    ],
)
def test_bad_input(catalog, columns, args, expected):
    write_catalog(catalog, 5, **columns)
    with pytest.raises(InputError, match=expected):
        split(catalog, *args)


def test_the_catalogue_itself_is_not_overwritten(tmp_path):
    write_catalog(tmp_path / "train.tsv", 5)
    with pytest.raises(InputError, match="would overwrite"):
        split_command.main([str(tmp_path / "train.tsv"), "--out", str(tmp_path)])


@pytest.mark.skipif(not SHARED.exists(), reason="the real catalogues are not here")
def test_real_catalogue(tmp_path):
    catalog = SHARED / "fashion-60x80" / "products.tsv"
    split_command.main([str(catalog), "--out", str(tmp_path), "--stratify"])
    splits = {name: rows_of(tmp_path / f"{name}.tsv") for name in SPLITS}
    assert {name: len(rows) for name, rows in splits.items()} == {
        "train": 8677, "valid": 482, "test": 482,
    }  # fmt: skip
    kinds = {row["leaf_category"] for rows in splits.values() for row in rows}
    assert {row["leaf_category"] for row in splits["train"]} == kinds
