import pickle
from functools import partial

import numpy as np
import pytest

from fairseq_item.errors import InputError
from fairseq_item.parallel import map_in_order
from fairseq_item.search.build import build_index
from fairseq_item.search.duplicates import likely_pairs
from fairseq_item.search.embeddings import EmbeddingWriter
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.near import comparison, rare_words
from fairseq_item.search.near import lists as near_lists
from fairseq_item.search.near.lists import Lists, list_centres, list_count, nearest
from fairseq_item.search.near.pairs import near_pairs
from fairseq_item.search.near.rare_words import RareWords

COUNT, PRODUCTS, DIM = 600, 200, 8
FIT = {"weights": [0.4, 0.0, 0.5, 0.4], "intercept": -3.0}


def write_index(folder, titled=True, dtype="float32", fit=FIT):
    """Three listings a product, some of which lack a title or an image: a fitted index."""
    rng = np.random.default_rng(4)
    product = rng.permutation(np.repeat(np.arange(PRODUCTS), COUNT // PRODUCTS))
    titles = [
        f"thing {p % 5} brand{p % 40} code{p}" if i % 9 else "" for i, p in enumerate(product)
    ]
    items = [{"id": f"i{i}", "title": title * titled} for i, title in enumerate(titles)]
    centres = rng.normal(size=(PRODUCTS, DIM))
    parts = [centres[product] + 0.6 * rng.normal(size=(COUNT, DIM)) for _ in range(3)]
    parts[2][::23] = 0
    writer = EmbeddingWriter(folder / "embeddings", items, DIM)
    writer.write(0, *(part.astype(np.float32) for part in parts))
    writer.finish()
    build_index([folder / "embeddings"], folder / "index", dtype=dtype, fit=lambda index: fit)
    return folder / "index"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_index(tmp_path_factory.mktemp("near"))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Many parts, blocks and lists of these few items."""
    monkeypatch.setattr(near_lists, "ITEMS_A_LIST", 10)
    monkeypatch.setattr("fairseq_item.search.near.pairs.ITEMS_A_PART", 128)
    for name, value in (("ITEMS_A_PART", 128), ("QUERIES_A_TIME", 7), ("PAIRS_A_TIME", 50)):
        monkeypatch.setattr(comparison, name, value)


def near(folder, parts, workers=1, **settings):
    do = partial(map_in_order, workers=workers)
    return near_pairs(ItemIndex.load(folder), folder, 0.5, parts, do, **settings)


def known(pairs):
    return dict(zip(map(tuple, pairs.rows.tolist()), pairs.probability.tolist()))


def test_pairs_that_are_found_are_those_of_all_pairs(folder, tmp_path):
    every = known(likely_pairs(ItemIndex.load(folder), 0.5))
    found = near(folder, tmp_path / "few", visits=4)
    assert (np.diff(found.probability) <= 0).all()
    for pair, probability in known(found).items():
        assert every[pair] == probability
    assert len(every) > 400
    assert len(found) > 0.95 * len(every)


def test_who_visits_all_lists_finds_all_pairs(tmp_path):
    for titled, dtype, intercept in ((True, "int8", -3.0), (False, "float16", -1.5)):
        fit = {**FIT, "intercept": intercept}
        folder = write_index(tmp_path / dtype, titled, dtype, fit)
        every = likely_pairs(ItemIndex.load(folder), 0.5)
        found = near(folder, tmp_path / dtype / "parts", visits=COUNT)
        assert known(found) == known(every)
        assert len(every) > 100


def test_words_find_what_lies_far(folder, tmp_path, monkeypatch):
    every = known(likely_pairs(ItemIndex.load(folder), 0.5))
    both = known(near(folder, tmp_path / "both", visits=1))
    monkeypatch.setattr(rare_words, "MOST_PAIRS", 0)
    lists = known(near(folder, tmp_path / "lists", visits=1))
    assert lists.items() < both.items() <= every.items()


def test_workers_change_nothing(folder, tmp_path):
    one = near(folder, tmp_path / "one")
    two = near(folder, tmp_path / "two", workers=2)
    assert one.rows.tolist() == two.rows.tolist()
    assert one.probability.tolist() == two.probability.tolist()
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_parts_may_be_done_elsewhere(folder, tmp_path):
    """What is sent to another machine holds no index, and does the same there."""
    here = near(folder, tmp_path / "here")
    sent = []

    def elsewhere(function, inputs):
        sent.append(pickle.dumps(function))
        return [pickle.loads(sent[-1])(value) for value in inputs]

    there = near_pairs(ItemIndex.load(folder), folder, 0.5, tmp_path / "there", elsewhere)
    assert there.rows.tolist() == here.rows.tolist()
    assert max(map(len, sent)) < 2000


def test_a_stopped_run_goes_on(folder, tmp_path):
    whole = near(folder, tmp_path / "whole")
    done = []

    def until_the_ninth(function, inputs):
        for value in inputs:
            if len(done) == 9:
                raise KeyboardInterrupt
            done.append(value)
            yield function(value)

    index = ItemIndex.load(folder)
    with pytest.raises(KeyboardInterrupt):
        near_pairs(index, folder, 0.5, tmp_path / "parts", until_the_ninth)
    parts = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "parts").glob("*-*.npy")}
    assert len(parts) == 9
    again = near(folder, tmp_path / "parts")
    assert again.rows.tolist() == whole.rows.tolist()
    for name, time in parts.items():
        assert (tmp_path / "parts" / name).stat().st_mtime_ns == time


def test_parts_of_another_run_are_refused(folder, tmp_path):
    near(folder, tmp_path / "parts")
    with pytest.raises(InputError, match="other things than the parts of this run"):
        near(folder, tmp_path / "parts", seed=2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="other things"):
        near(folder, tmp_path / "mine")


def test_every_item_is_at_home_once_and_visits_others():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(500, 6)).astype(np.float32)
    lists = list_count(500, 3)
    centres = list_centres(vectors, 500, lists, seed=1)
    visits = nearest(vectors, centres, 3)
    assert np.linalg.norm(centres, axis=1) == pytest.approx(1, abs=1e-6)
    assert visits.tolist() == np.argsort(-(vectors @ centres.T), axis=1)[:, :3].tolist()
    parts = Lists(visits, lists, 100)
    cut = [pair for part in parts for pair in part]
    assert len(cut) == lists
    assert 4 <= len(parts) <= 6
    for number, (home, away) in enumerate(cut):
        assert home.tolist() == np.flatnonzero(visits[:, 0] == number).tolist()
        assert away.tolist() == np.flatnonzero((visits[:, 1:] == number).any(axis=1)).tolist()


def test_rare_words_beside_a_plain_twin(folder, monkeypatch):
    lexical = ItemIndex.load(folder).lexical
    columns = np.unique(lexical.columns)
    dense = lexical[np.arange(COUNT)][:, columns].toarray()
    titles = (dense > 0).sum(axis=0)
    dense[:, (titles < 2) | (titles > 16)] = 0
    shared = dense @ dense.T
    np.fill_diagonal(shared, 0)
    monkeypatch.setattr(rare_words, "MOST_PAIRS", COUNT)
    monkeypatch.setattr("fairseq_item.search.lexical.ENTRIES_A_TIME", 100)
    pairs = RareWords.of(lexical, most=16).pairs(lexical, 100, 300)
    wanted = {tuple(sorted(pair)) for pair in np.argwhere(shared > 0) if 100 <= pair[0] < 300}
    assert {tuple(pair) for pair in pairs.tolist()} == wanted
    monkeypatch.setattr(rare_words, "MOST_PAIRS", 1)
    (pair,) = RareWords.of(lexical, most=16).pairs(lexical, 1, 2).tolist()
    assert sum(pair) - 1 == int(np.argmax(shared[1]))
