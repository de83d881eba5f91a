"""Several indexes searched as one, the later ones made like the first."""

import shutil

import numpy as np
import pytest

from fairseq_item.commands import index as index_command
from fairseq_item.commands import search as search_command
from fairseq_item.errors import InputError
from fairseq_item.search.build import build_index
from fairseq_item.search.change import change_index
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter
from fairseq_item.search.filters import narrowed
from fairseq_item.search.hits import read_hits
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.item_queries import as_queries
from fairseq_item.search.joined import open_indexes
from fairseq_item.search.like import build_like
from fairseq_item.search.search import fused_search
from fairseq_item.verify import verify

WORDS = ["red", "blue", "shoe", "shirt", "mug", "the", "of", "hat"]
DENSE = (0.5, 0, 0.5, 0)


def embeddings(path, count, seed, prefix=None):
    """Random embeddings, some absent; titles of a few words."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(count, 8)) + 0.3 for _ in EMBEDDINGS]
    for array in arrays:
        array[rng.random(count) < 0.1] = 0
    items = [{"id": f"{prefix or path.name}{i}", "title": " ".join(rng.choice(WORDS, 3)),
              "even": str(i % 2)} for i in range(count)]  # fmt: skip
    with EmbeddingWriter(path, items, 8) as writer:
        writer.write(0, *arrays)
        writer.finish()
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of embeddings a, b and q, the index of a, and two parts of b made like it."""
    folder = tmp_path_factory.mktemp("joined")
    for seed, (name, count) in enumerate({"a": 80, "b": 50, "c": 30, "q": 20}.items()):
        embeddings(folder / name, count, seed)
    build_index([folder / "a"], folder / "first")
    build_like([folder / "b"], folder / "first", folder / "second")
    build_like([folder / "c"], folder / "second", folder / "third")  # like a part: the same
    return folder


def all_of(made):
    return open_indexes([made / name for name in ("first", "second", "third")])


def same(one, other, decimals=7):
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_allclose(one.scores, other.scores, atol=10.0**-decimals)


def test_it_answers_as_the_whole(made, tmp_path):
    """By embeddings: the first index grown by the other items answers alike."""
    shutil.copytree(made / "first", tmp_path / "whole")
    change_index(tmp_path / "whole", add=[made / "b", made / "c"])
    whole, joined = ItemIndex.load(tmp_path / "whole"), all_of(made)
    queries = Embeddings.load(made / "q").queries()
    exclude = np.arange(20) * 7  # of all three parts
    for k in (1, 10, 200):
        one, other = (
            fused_search(index, queries, k, weights=DENSE, exclude=exclude)
            for index in (whole, joined)
        )
        same(one, other)
    assert joined.ids == whole.ids
    mask = np.arange(160) % 3 == 0
    one, other = (
        fused_search(narrowed(i, mask), queries, 10, weights=DENSE) for i in (whole, joined)
    )
    same(one, other)
    rows = np.array([3, 85, 140])
    one, other = (
        fused_search(index, asked, 5, weights=DENSE, exclude=rows)
        for index, asked in (as_queries(index, rows) for index in (whole, joined))
    )
    same(one, other)


def test_words_weigh_the_same_in_every_part(made, tmp_path):
    """The first index's own items as a part: each scores as it does there."""
    twin = embeddings(tmp_path / "twin", 80, 0, prefix="twin")
    build_like([twin], made / "first", tmp_path / "part")
    first, part = (ItemIndex.load(path) for path in (made / "first", tmp_path / "part"))
    np.testing.assert_array_equal(first.lexical.weights, part.lexical.weights)
    joined = open_indexes([made / "first", tmp_path / "part"])
    found = fused_search(joined, Embeddings.load(made / "q").queries(), 160)
    for rows, scores in zip(found.rows, found.scores):
        known = dict(zip(rows.tolist(), scores))
        for row in range(80):
            assert known.get(row) == known.get(row + 80)


def test_a_part_may_grow(made, tmp_path):
    shutil.copytree(made / "second", tmp_path / "second")
    change_index(tmp_path / "second", add=[made / "c"])
    one = open_indexes([made / "first", tmp_path / "second"])
    queries = Embeddings.load(made / "q").queries()
    same(fused_search(one, queries, 10), fused_search(all_of(made), queries, 10))
    assert all(wrong is None for _, wrong in verify(tmp_path / "second"))


def test_commands(made, tmp_path, capsys):
    part, hits = tmp_path / "part", tmp_path / "hits.tsv"
    index_command.main([str(made / "b"), "--like", str(made / "first"), "--out", str(part)])
    assert "50 items indexed" in capsys.readouterr().out
    asked = [str(made / "first"), str(part), "--queries", str(made / "b"), "--out", str(hits)]
    search_command.main(asked)
    found = read_hits(hits)
    assert [some[0].item_id for some in found.values()] == list(found)  # each finds itself
    search_command.main([*asked, "--exclude-self", "--collapse", "even", "--where", "even=1"])
    for query, answers in read_hits(hits).items():
        assert query not in [hit.item_id for hit in answers]
        assert len(answers) == 1


def test_approximate_parts(made, tmp_path):
    how = {"kind": "flat", "lists": 4, "on_disk": False}
    build_index([made / "a"], tmp_path / "first", approximate=how)
    build_like([made / "b"], tmp_path / "first", tmp_path / "second", approximate=how)
    folders = [tmp_path / "first", tmp_path / "second"]
    queries = Embeddings.load(made / "q").queries()
    exact = fused_search(open_indexes(folders), queries, 10)
    found = fused_search(open_indexes(folders, recall=0.9), queries, 10)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(exact.rows, found.rows)]) >= 0.85
    build_like([made / "c"], tmp_path / "first", tmp_path / "third")
    with pytest.raises(InputError, match="third was not built for --recall"):
        open_indexes([*folders, tmp_path / "third"], recall=0.9)


def test_parts_that_do_not_go_together(made, tmp_path):
    build_index([made / "b"], tmp_path / "own")
    with pytest.raises(InputError, match="own was not made like .*first as it is now; run item-in"):
        open_indexes([made / "first", tmp_path / "own"])
    shutil.copytree(made / "first", tmp_path / "changed")
    change_index(tmp_path / "changed", add=[made / "c"])
    with pytest.raises(InputError, match="second was not made like .*changed as it is now"):
        open_indexes([tmp_path / "changed", made / "second"])
    with pytest.raises(InputError, match="has the id 'b0' of row"):
        open_indexes([made / "first", made / "second", made / "second"])
    build_index([made / "a"], tmp_path / "lists", factory="IVF4,Flat")
    with pytest.raises(InputError, match="was built with --factory"):
        open_indexes([tmp_path / "lists", made / "second"])
    with pytest.raises(InputError, match="was built with --factory"):
        build_like([made / "b"], tmp_path / "lists", tmp_path / "part")


def test_what_a_part_takes_from_the_first_is_not_asked_for(made, tmp_path):
    how = [str(made / "b"), "--like", str(made / "first"), "--out", str(tmp_path / "part")]
    with pytest.raises(InputError, match="--dtype is as --like INDEX has it"):
        index_command.main([*how, "--dtype", "int8"])
