"""What is written is read back: hits, truth, TREC files, embeddings and indexes of any content."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest

from fairseq_item.data.text import clean_field
from fairseq_item.evaluation.trec import read_qrels, read_run, write_qrels, write_run
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter, normalise
from fairseq_item.search.hits import (
    SIMILARITIES,
    Hit,
    read_hits,
    read_truth,
    write_hits,
    write_truth,
)
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.lexical import LexicalIndex, count_terms
from fairseq_item.search.search import fused_search

hypothesis = pytest.importorskip("hypothesis")
given, st = hypothesis.given, hypothesis.strategies
settings = hypothesis.settings(max_examples=30, deadline=None, derandomize=True)

# What ids may be: whatever a table holds as it is.
ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
    lambda text: clean_field(text) == text and text.strip("\ufeff") == text
)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=6)
words = words.filter(lambda text: len(text.split()) == 1)
scores = st.floats(-1e6, 1e6, allow_nan=False)
similarities = st.tuples(*[st.one_of(scores, st.just(math.nan))] * len(SIMILARITIES))


def hits_of(names, values):
    """Query id -> hits, whose items differ."""
    answers = st.lists(st.tuples(names, scores, values), max_size=4, unique_by=lambda one: one[0])
    return st.dictionaries(names, answers.map(lambda found: [Hit(*one) for one in found]))


def same(one, other):
    return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, abs_tol=6e-8)


@settings
@given(hits_of(ids, similarities))
def test_hits(hits):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "h.tsv")
        assert write_hits(path, hits) == sum(map(len, hits.values()))
        read = read_hits(path)
    assert list(read) == [query for query, answers in hits.items() if answers]
    for query, answers in read.items():
        assert [hit.item_id for hit in answers] == [hit.item_id for hit in hits[query]]
        for ours, theirs in zip(answers, hits[query]):
            pairs = zip((ours.score, *ours.similarities), (theirs.score, *theirs.similarities))
            assert all(same(*pair) for pair in pairs)


@settings
@given(st.dictionaries(ids, st.sets(ids, min_size=1, max_size=4), min_size=1))
def test_truth(truth):
    with tempfile.TemporaryDirectory() as folder:
        write_truth(Path(folder, "t.tsv"), truth)
        assert read_truth(Path(folder, "t.tsv")) == truth


@settings
@given(hits_of(words, st.just(())))
def test_runs(hits):
    hits = {query: sorted(found, key=lambda hit: -hit.score) for query, found in hits.items()}
    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder, "h.run"), hits)
        read = read_run(Path(folder, "h.run"))
    expected = {q: [hit.item_id for hit in found] for q, found in hits.items() if found}
    assert {q: [hit.item_id for hit in found] for q, found in read.items()} == expected


@settings
@given(st.dictionaries(words, st.sets(words, min_size=1, max_size=4), min_size=1))
def test_qrels(truth):
    with tempfile.TemporaryDirectory() as folder:
        write_qrels(Path(folder, "t.qrels"), truth)
        assert read_qrels(Path(folder, "t.qrels")) == truth


@st.composite
def products(draw, least=0):
    """Items, and their embeddings: of any length, some absent."""
    names = draw(st.lists(ids, min_size=least, max_size=9, unique=True))
    titles = [draw(st.text(st.characters(codec="utf-8"), max_size=12)) for _ in names]
    dims = {name: draw(st.integers(1, 5)) for name in EMBEDDINGS}
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    arrays = []
    for dim in dims.values():
        rows = rng.normal(size=(len(names), dim)) * 10.0 ** rng.integers(-30, 30, (len(names), 1))
        arrays.append(rows * (rng.random((len(names), 1)) < 0.8))
    return [{"id": name, "title": title} for name, title in zip(names, titles)], dims, arrays


def write(folder, items, dims, arrays, dtype="float32", cut=0):
    with EmbeddingWriter(folder, items, dims, dtype) as writer:
        cut = min(cut, len(items))
        writer.write(0, *(array[:cut] for array in arrays))
        writer.write(cut, *(array[cut:] for array in arrays))
        writer.finish()


@settings
@given(products(), st.sampled_from(["float32", "float16"]), st.integers(0, 9))
def test_embeddings(made, dtype, cut):
    items, dims, arrays = made
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "e"), items, dims, arrays, dtype, cut)
        read = Embeddings.load(Path(folder, "e"), verify=True)
        assert read.ids == [item["id"] for item in items]
        assert read.titles() == [clean_field(item["title"]) for item in items]
        assert read.dims == dims
        for name, array in zip(EMBEDDINGS, arrays):
            expected = normalise(array.astype(np.float32))
            np.testing.assert_allclose(read.rows(name), expected, atol=1e-3)
            np.testing.assert_array_equal(read.rows(name).any(axis=1), expected.any(axis=1))


@settings
@given(
    products(least=1),
    st.sampled_from(["float32", "float16", "int8"]),
    st.sampled_from(["none", "center", "whiten"]),
    st.sampled_from(["max", "sum"]),
)
def test_indexes(made, dtype, transform, fusion):
    """Opened again an index answers as before, whatever lies in it, and finds what is asked for."""
    items, dims, arrays = made
    hypothesis.assume(any(array.any() for array in arrays))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "e"), items, dims, arrays)
        settings = {"dtype": dtype, "transform": transform, "fusion": fusion}
        meta = build_index([Path(folder, "e")], Path(folder, "x"), **settings)
        index = ItemIndex.load(Path(folder, "x"), verify=True)
        queries = Embeddings.load(Path(folder, "e")).queries()
        assert {**index.meta, "files": None} == {**meta, "files": None}
        assert index.ids == [item["id"] for item in items]
        found = fused_search(index, queries, len(items))
        for row, rows in enumerate(found.rows):
            shared = (index.present & index.present[row])[:, np.array(meta["weights"]) > 0]
            assert sorted(rows[rows >= 0]) == np.flatnonzero(shared.any(axis=1)).tolist()
        assert (found.scores[:, :-1] >= found.scores[:, 1:]).all()


@settings
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=1, max_size=9))
def test_lexical_indexes(titles):
    with tempfile.TemporaryDirectory() as folder:
        built = LexicalIndex.build(titles, folder)
        read, counts = LexicalIndex.open(folder, len(titles)), count_terms(titles)
        assert (np.diff(counts.indptr) > 0).tolist() == read.present.tolist()
        np.testing.assert_array_equal(read.columns, counts.indices)
        rows = np.arange(len(titles))
        np.testing.assert_array_equal(
            read.similarities(counts, rows), built.similarities(counts, rows)
        )
        assert (read.weights >= 0).all()
        assert (read.weights <= read.most).all()
