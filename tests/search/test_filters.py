"""Conditions on columns, and searches under them, against twins that look at one item at a time."""

import numpy as np
import pytest

from fairseq_item.commands import search as search_command
from fairseq_item.data.tsv import Table
from fairseq_item.errors import InputError
from fairseq_item.search.build import build_index
from fairseq_item.search.collapse import products_of
from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter
from fairseq_item.search.filters import Filters, narrowed, split_conditions
from fairseq_item.search.hits import read_hits
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import open_queries, search

BRANDS = ("New Balance", "Levi's", "a=b", "")
COUNT = 2500  # beyond the first blocks of an exact search


def items(prefix, count):
    return [
        {
            "id": f"{prefix}{i}",
            "title": f"w{i % 7} v{i % 11}" if i % 5 else "",
            "brand": BRANDS[i % 4],
            "price": "" if i % 6 == 5 else f"{(i * 37) % 100}{'.50' if i % 2 else ''}",
            "product": f"p{i % 40}",
        }
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("filters")
    for name, prefix, count, seed in (("items", "i", COUNT, 1), ("queries", "q", 7, 2)):
        rng = np.random.default_rng(seed)
        arrays = [rng.normal(size=(count, 5)).astype(np.float32) for _ in EMBEDDINGS]
        arrays[2][::3] = 0
        with EmbeddingWriter(base / name, items(prefix, count), 5) as writer:
            writer.write(0, *arrays)
            writer.finish()
    for name, factory in (("index", "Flat"), ("lists", "IVF16,Flat")):
        build_index([base / "items"], base / name, factory=factory, weights=(1, 1, 1, 1))
    return base


def price(item):
    return float(item["price"] or "nan")


TWINS = {
    "brand='New Balance'": lambda item: item["brand"] == "New Balance",
    r"brand=Levi\'s price<50": lambda item: item["brand"] == "Levi's" and price(item) < 50,
    "brand=a=b": lambda item: item["brand"] == "a=b",
    "brand=": lambda item: not item["brand"],
    "brand!= price!=''": lambda item: bool(item["brand"] and item["price"]),
    "brand!=a=b": lambda item: item["brand"] != "a=b",
    "price<=37 price>0": lambda item: 0 < price(item) <= 37,
    "price>=37.0": lambda item: price(item) >= 37,
    "price<+1e1": lambda item: price(item) < 10,
    "price=74": lambda item: item["price"] == "74",
    "id=i2321": lambda item: item["id"] == "i2321",
}


@pytest.mark.parametrize("where", TWINS)
def test_conditions(where):
    table = items("i", COUNT)
    mask = Filters(Table.of(table)).mask(split_conditions(where))
    assert mask.tolist() == [TWINS[where](item) for item in table]
    assert mask.any()


def test_columns_whose_names_are_like_conditions():
    table = Table(["id", "size", "size<", "item size"], [["a", "1", "x", "5"], ["b", "2", "y", ""]])
    filters = Filters(table)
    assert filters.mask(["size<=x"]).tolist() == [True, False]  # the column "size<"
    assert filters.mask(["size>1"]).tolist() == [False, True]
    assert filters.mask(split_conditions("'item size=5'")).tolist() == [True, False]
    assert filters.mask([]).all()


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("colour=red", "the columns are id, title, brand, price, product"),
        ("price", "write it as column=value"),
        ("price < 50", "without blanks around ="),
        ("price<cheap", "< takes a number"),
        ("price<nan", "< takes a number"),
        ("price<1_0", "< takes a number"),
        ("price>", "> takes a number"),
        ("brand<5", "tale.tsv row 2 has 'New Balance' for brand"),
        ("brand=Levi's", "no closing quotation"),
        (" ", "no condition"),
    ],
)
def test_a_condition_that_cannot_be(where, told):
    with pytest.raises(InputError, match=told) as error:
        Filters(Table.of(items("i", 9)), "tale.tsv").mask(split_conditions(where))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["index", "lists"])
@pytest.mark.parametrize("settings", [{}, {"fusion": "max"}, {"similarity": "image"}])
@pytest.mark.parametrize("where", list(TWINS)[1:3] + list(TWINS)[-1:])
def test_the_best_of_the_items_that_fulfil_them(folder, name, settings, where):
    """The same as all answers of an exact search, and of these the ones that fulfil them."""
    index, table = ItemIndex.load(folder / name), items("i", COUNT)
    queries = open_queries(index, folder / name, folder / "queries")
    fulfil = {item["id"] for item in table if TWINS[where](item)}
    exact = narrowed(index, np.ones(COUNT, bool))
    everything = search(exact, queries.queries(), queries.ids, COUNT, **settings)
    some = narrowed(index, Filters(index.items).mask(split_conditions(where)))
    for k in (1, 30):
        found = search(some, queries.queries(), queries.ids, k, **settings)
        for query, hits in everything.items():
            expected = [hit[:2] for hit in hits if hit.item_id in fulfil]
            assert [hit[:2] for hit in found[query]] == expected[:k]
    assert any(everything.values())


def test_the_command_finds_the_best_products_under_conditions(folder, tmp_path):
    out = tmp_path / "hits.tsv"
    search_command.main(
        [str(folder / "lists"), "--queries", str(folder / "queries"), "-k", "4", "--collapse",
         "product", "--where", "brand='New Balance' price<50", "--out", str(out)]
    )  # fmt: skip
    index = ItemIndex.load(folder / "index")
    queries = open_queries(index, folder / "index", folder / "queries")
    everything = search(index, queries.queries(), queries.ids, COUNT)
    products, table = products_of(index, "index", "product"), items("i", COUNT)
    for query, hits in read_hits(out).items():
        expected = {}
        for hit in everything[query]:
            row = int(hit.item_id[1:])
            if table[row]["brand"] == "New Balance" and price(table[row]) < 50:
                expected.setdefault(products[row], hit.item_id)
        assert [hit.item_id for hit in hits] == list(expected.values())[:4]
