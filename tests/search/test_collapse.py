"""One answer a product, against a twin that ranks all items and takes each product's first."""

import json

import numpy as np
import pytest

from fairseq_item.commands import evaluate as evaluate_command
from fairseq_item.commands import search as search_command
from fairseq_item.errors import InputError
from fairseq_item.evaluation.metrics import score_queries
from fairseq_item.evaluation.products import by_product
from fairseq_item.search.build import build_index
from fairseq_item.search.collapse import products_of
from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter
from fairseq_item.search.hits import Hit, read_hits
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import open_queries, search

# One product has most rows and looks like most queries; every fifth row is on its own.
PRODUCTS = ["" if i % 5 == 4 else "big" if i % 5 < 2 else f"p{i % 17}" for i in range(120)]


def make(path, count, seed, prefix, products=None):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(count, 6)).astype(np.float32) for _ in EMBEDDINGS]
    items = [{"id": f"{prefix}{i}", "title": f"w{i % 3}"} for i in range(count)]
    for i, product in enumerate(products or ()):
        items[i]["product"] = product
        for array in arrays if product == "big" else ():
            array[i] = 1 + 0.1 * array[i]
    for array in arrays if products is None else ():
        array += 1
    writer = EmbeddingWriter(path, items, 6)
    writer.write(0, *arrays)
    writer.finish()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("collapse")
    make(base / "queries", 9, 1, "q")
    for name, factory in (("index", "Flat"), ("lists", "IVF4,Flat")):
        items = make(base / f"{name}-items", 120, 2, "i", PRODUCTS)
        build_index([items], base / name, transform="none", factory=factory)
    return base


def found_by(folder, k, collapse, index="index", **settings):
    opened = ItemIndex.load(folder / index)
    queries = open_queries(opened, folder / index, folder / "queries")
    if collapse:
        settings["products"] = products_of(opened, folder / index, "product")
    return search(opened, queries.queries(), queries.ids, k, **settings)


def twin(everything, k):
    answers = {}
    for query, hits in everything.items():
        taken = {}
        for hit in hits:
            name = PRODUCTS[int(hit.item_id[1:])] or hit.item_id
            taken.setdefault(name, hit)
        answers[query] = list(taken.values())[:k]
    return answers


@pytest.mark.parametrize("settings", [{}, {"fusion": "max"}, {"similarity": "image"}])
@pytest.mark.parametrize("index", ["index", "lists"])
def test_each_product_answers_once_by_its_best_row(folder, settings, index):
    everything = found_by(folder, 120, False, index, **settings)
    for k in (1, 4, 25, 200):
        assert found_by(folder, k, True, index, **settings) == twin(everything, k)
    if "similarity" in settings:  # one product fills what is asked for at first
        firsts = [{PRODUCTS[int(h.item_id[1:])] for h in hits[:8]} for hits in everything.values()]
        assert any(len(first) < 4 for first in firsts)


def test_the_query_s_own_row_is_left_out_and_not_its_product(folder, tmp_path):
    index = ItemIndex.load(folder / "index")
    products = products_of(index, folder / "index", "product")
    own = {name: np.asarray(index.vectors[name], np.float32)[:1] for name in EMBEDDINGS}
    own["lexical"] = index.items.column("title")[:1]
    settings = {"products": products}
    with_it = search(index, own, ["i0"], 3, exclude_self=False, **settings)["i0"]
    without = search(index, own, ["i0"], 3, exclude_self=True, **settings)["i0"]
    assert with_it[0].item_id == "i0"
    assert "i0" not in [hit.item_id for hit in without]
    assert sum(PRODUCTS[int(hit.item_id[1:])] == "big" for hit in without) == 1


def test_commands(folder, tmp_path, capsys):
    hits, truth = tmp_path / "hits.tsv", tmp_path / "truth.tsv"
    search_command.main(
        [str(folder / "index"), "--queries", str(folder / "queries"), "-k", "5", "--out", str(hits),
         "--collapse", "product"]
    )  # fmt: skip
    read = read_hits(hits)
    expected = twin(found_by(folder, 120, False), 5)
    assert {q: [h.item_id for h in a] for q, a in read.items()} == {
        q: [h.item_id for h in a] for q, a in expected.items()
    }
    big = [i for i, product in enumerate(PRODUCTS) if product == "big"]
    rows = [f"q{q}\ti{i}" for q in range(9) for i in big]
    truth.write_text("\n".join(["query_id\titem_id", *rows, ""]))
    items = ["--items", str(folder / "index" / "items.tsv")]
    capsys.readouterr()
    scores = []
    for more in ([], items):
        evaluate_command.main(["--hits", str(hits), "--truth", str(truth), "-k", "5", *more])
        scores.append(json.loads(capsys.readouterr().out))
    assert scores[0]["MAR@5"] <= 100 / len(big) < scores[1]["MAR@5"] == 100


def test_a_column_that_is_not_there(folder):
    index = ItemIndex.load(folder / "index")
    with pytest.raises(InputError, match="no column 'brand'"):
        products_of(index, "x", "brand")


def test_scores_by_product_by_hand():
    hits = {"q": [Hit("b2", 0.9), Hit("x", 0.8), Hit("a1", 0.7), Hit("a2", 0.6), Hit("c", 0.5)]}
    truth = {"q": {"a1", "a2", "c"}}
    products = {"a1": "a", "a2": "a", "b1": "b", "b2": "b", "x": "x"}
    found, true = by_product(hits, truth, products)
    assert [(hit.item_id, hit.score) for hit in found["q"]] == [
        ("b", 0.9), ("x", 0.8), ("a", 0.7), ("c", 0.5)
    ]  # fmt: skip
    assert true == {"q": {"a", "c"}}
    scores = score_queries(found, true, 10)
    assert scores.recall.tolist() == [1.0]
    assert scores.precision.tolist() == [pytest.approx((1 / 3 + 2 / 4) / 2)]
