"""The bound of rough scores holds, whatever the sizes, and is not so wide that it says nothing."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fairseq_item.search.calibration import Affine
from fairseq_item.search.embeddings import EMBEDDINGS, normalise
from fairseq_item.search.exact import Cpu, Gpu, RoughScores, _prune, rough_error, search_exactly
from fairseq_item.search.fusion import Batch, Fuser
from fairseq_item.search.lexical import LexicalIndex, count_terms
from fairseq_item.search.lexical_scores import LexicalScores
from fairseq_item.search.transforms import Identity
from fairseq_item.search.vectors import Vectors, to_int8

DEVICES = ["cpu", "cuda" if torch.cuda.is_available() else "torch on the cpu"]


def arithmetic(device):
    return Cpu(device) if device == "cpu" else Gpu(device.split()[-1])


def stored(dtype, rows):
    return Vectors(*to_int8(rows)) if dtype == "int8" else Vectors(rows.astype(dtype))


class Index(SimpleNamespace):
    def __len__(self):
        return len(self.present)


def made(widths, dtype, kind, seed=0):
    """A batch of 40 queries of an index of 90 items, in a cone, some embeddings absent."""
    rng = np.random.default_rng(seed)
    items = [normalise(rng.normal(size=(90, d)) + 0.5) for d in widths]
    queries = [normalise(rng.normal(size=(40, d)) + 0.5) for d in widths]
    for rows in (*items, *queries):
        rows[rng.random(len(rows)) < 0.1] = 0
    index = Index(
        vectors={name: stored(dtype, rows) for name, rows in zip(EMBEDDINGS, items)},
        present=np.stack([*(rows.any(axis=1) for rows in items), np.zeros(90, bool)], axis=1),
        lexical=None,
        transforms=dict.fromkeys(EMBEDDINGS, Identity()),
    )
    calibrations = {name: Affine(0.3 * i, 7.0**-i) for i, name in enumerate(EMBEDDINGS)}
    fuser = Fuser(kind, (0.5, 1, 2), calibrations)
    return Batch(index, fuser, dict(zip(EMBEDDINGS, queries)), 3, np.full(40, -1))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["max", "sum"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("widths", [(5, 3, 2), (33, 64, 2), (256, 256, 256)])
def test_error_is_within_its_bound(widths, dtype, kind, device):
    batch = made(widths, dtype, kind)
    rough, error = RoughScores(batch, arithmetic(device)), rough_error(batch)
    assert (error > 0).all()
    assert (error < 0.01).all()
    for start, stop in [(0, 64), (64, 90), (89, 90), (0, 90)]:
        row, query = (a.ravel() for a in np.mgrid[start:stop, 0:40])
        exact = batch.fuser(batch.similarities(query, row))
        values = np.asarray(rough(start, stop).tolist()).ravel()
        allowed = batch.allowed(query, row)
        assert 0 < allowed.sum() < len(allowed) or stop == 90
        assert (np.abs(values - exact) <= error[query])[allowed].all()


@pytest.mark.parametrize("kind", ["max", "sum"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("left", [90, 40, 2])
def test_torch_gives_the_same_answers(kind, dtype, left):
    """Where some items are ruled out, too; the first block has none then."""
    batch = made((33, 64, 20), dtype, kind)
    batch.index.present[: 90 - left] = False
    expected, found = search_exactly(batch), search_exactly(batch, DEVICES[1].split()[-1] + ":0")
    np.testing.assert_array_equal(found.row, expected.row)
    np.testing.assert_array_equal(found.score, expected.score)
    every = [batch.best(np.full(90, query), np.arange(90)).row for query in range(40)]
    np.testing.assert_array_equal(found.row, np.concatenate(every))


def test_prune_keeps_what_may_be_among_the_first():
    rng = np.random.default_rng(0)
    query = rng.integers(0, 20, 400)
    score = rng.normal(size=400).round(1).astype(np.float32)  # of either sign, with zeros and ties
    score[::50] *= -0.0
    error, floor = np.full(20, 0.1), np.full(20, -np.inf)
    floor[0] = np.inf
    found, row, values = _prune(query, np.arange(400), score, floor, error, 5)
    expected = []
    for q in range(1, 20):
        rows = np.flatnonzero(query == q)
        least = np.sort(score[rows].astype(float))[-5] - 0.2
        assert floor[q] == pytest.approx(least)
        expected += rows[score[rows] >= floor[q]].tolist()
    assert sorted(row) == sorted(expected)
    np.testing.assert_array_equal(found, query[row])
    np.testing.assert_array_equal(values, score[row])


WORDS = ["red", "blue", "shoe", "hat", "ab-12", "靴下", *(f"word{i}" for i in range(60))]


def with_titles(batch, folder, most=9):
    """The batch, compared by words as well; some titles are empty."""
    rng = np.random.default_rng(5)
    items, asked = (
        [" ".join(rng.choice(WORDS, size=rng.integers(most))) for _ in range(count)]
        for count in (90, 40)
    )
    index, fuser = batch.index, batch.fuser
    index.lexical = LexicalIndex.build(items, folder)
    index.present[:, -1] = index.lexical.present
    calibrations = {**fuser.calibrations, "lexical": Affine(0.4, 3.0)}
    fuser = Fuser(fuser.kind, (*fuser.weights[:3], 1.5), calibrations)
    queries = {**batch.queries, "lexical": asked}
    return Batch(index, fuser, queries, batch.width, batch.exclude)


@pytest.mark.parametrize("most", [9, 60])
@pytest.mark.parametrize("at_once", [1 << 24, 300])
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["max", "sum"])
def test_error_is_within_its_bound_with_words(kind, device, at_once, most, tmp_path, monkeypatch):
    monkeypatch.setattr("fairseq_item.search.lexical_scores.MOST_VALUES", at_once)
    batch = with_titles(made((33, 64, 2), "float32", kind), tmp_path, most)
    rough, error = RoughScores(batch, arithmetic(device)), rough_error(batch)
    assert (error < 0.02).all()
    for start, stop in [(0, 64), (64, 90), (89, 90)]:
        row, query = (a.ravel() for a in np.mgrid[start:stop, 0:40])
        similarities = batch.similarities(query, row)
        assert (similarities[:, -1] > 0).any()
        values = np.asarray(rough(start, stop).tolist()).ravel()
        allowed = batch.allowed(query, row)
        close = np.abs(values - batch.fuser(similarities)) <= error[query]
        assert close[allowed].all()


def test_words_that_no_query_has_and_queries_without_words(tmp_path):
    index = LexicalIndex.build(["red shoe", "", "blue hat"], tmp_path)
    for titles in (["green", ""], ["", ""], ["red hat", "shoe"]):
        counts = count_terms(titles)
        expected = [
            index.similarities(counts[[q] * 3], np.arange(3)).tolist() for q in range(len(titles))
        ]
        found = LexicalScores(counts)(index, 0, 3)
        np.testing.assert_allclose(found.T, expected, rtol=1e-6)
        assert LexicalScores(counts)(index, 1, 2).shape == (1, 2)
