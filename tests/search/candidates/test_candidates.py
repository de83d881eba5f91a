"""Approximate search: candidates scored exactly, settings by measured recall, refusals."""

import shutil

import numpy as np
import pytest

from fairseq_item.commands import index as index_command
from fairseq_item.commands import search as search_command
from fairseq_item.errors import InputError
from fairseq_item.search.build import build_index
from fairseq_item.search.candidates import lists as candidate_lists
from fairseq_item.search.candidates import recall
from fairseq_item.search.candidates.lists import KINDS, bytes_of, default_lists
from fairseq_item.search.candidates.postings import Postings, write_postings
from fairseq_item.search.candidates.search import Setting
from fairseq_item.search.change import change_index
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter
from fairseq_item.search.filters import narrowed
from fairseq_item.search.hits import read_hits
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.lexical import LexicalIndex, count_terms
from fairseq_item.search.search import fused_search
from fairseq_item.verify import verify

DIMS = (16, 16, 24)
ITEMS = 600
WORDS = ["red", "blue", "shoe", "shirt", "mug", "the", "of", "hat", "lamp", "靴下"]
ASKED = {"lists": 8, "on_disk": False}


def embeddings(path, count, seed):
    """Products in clusters, titles of a few words and a number; some lack an image or a title."""
    rng, kinds = np.random.default_rng(seed), np.random.default_rng(9)
    drawn = rng.integers(40, size=count)
    arrays = [kinds.normal(size=(40, d))[drawn] + 0.7 * rng.normal(size=(count, d)) for d in DIMS]
    arrays[2][rng.random(count) < 0.1] = 0
    titles = [f"{' '.join(rng.choice(WORDS, 3))} x-{number}" for number in drawn]
    titles = ["" if rng.random() < 0.05 else title for title in titles]
    items = [{"id": f"{path.name}{i}", "title": title, "even": str(i % 2)}
             for i, title in enumerate(titles)]  # fmt: skip
    with EmbeddingWriter(path, items, dict(zip(EMBEDDINGS, DIMS))) as writer:
        writer.write(0, *arrays)
        writer.finish()
    return path


@pytest.fixture(scope="module", autouse=True)
def _few_queries():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall, "QUERIES", 40)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory, _few_queries):
    """Folder with embeddings, queries, and an index for each kind of approximate search."""
    folder = tmp_path_factory.mktemp("candidates")
    embeddings(folder / "i", ITEMS, 0)
    embeddings(folder / "q", 50, 1)
    for kind in KINDS:
        asked = {**ASKED, "kind": kind, "lists": None if kind == "hnsw" else 8}
        build_index([folder / "i"], folder / kind, approximate=asked)
    return folder


def share(found, right):
    shares = [np.isin(best[best >= 0], ours).mean() for ours, best in zip(found.rows, right.rows)]
    return float(np.mean(shares))


@pytest.mark.parametrize("kind", KINDS)
def test_candidates_are_scored_exactly_and_enough_are_found(made, kind):
    queries = Embeddings.load(made / "q").queries()
    exact = fused_search(ItemIndex.load(made / kind), queries, 10)
    found = {}
    for asked in (0.5, 0.9):
        index = ItemIndex.load(made / kind, recall=asked)
        assert index.exact  # the rest of the folder is as ever
        found[asked] = fused_search(index, queries, 10)
        # Queries are others than those it was measured with.
        assert share(found[asked], exact) >= asked - 0.05
    whole = fused_search(ItemIndex.load(made / kind), queries, ITEMS)
    for query, rows in enumerate(found[0.9].rows):
        right = dict(zip(whole.rows[query], zip(whole.scores[query], whole.similarities[query])))
        for row, score, values in zip(
            rows, found[0.9].scores[query], found[0.9].similarities[query]
        ):
            assert score == right[row][0]
            np.testing.assert_array_equal(values, right[row][1])
        assert (np.diff(found[0.9].scores[query]) <= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_settings_that_no_cheaper_one_beats(made, kind):
    built = ItemIndex.load(made / kind).meta["approximate"]
    recalls = [one["recall"] for one in built["settings"]]
    assert recalls == sorted(set(recalls))
    assert recalls[-1] >= 0.95
    assert all(0 <= one["error"] < 0.1 for one in built["settings"])
    for one in built["settings"]:
        sure = one["recall"] - one["error"]
        setting = ItemIndex.load(made / kind, recall=sure).candidates.setting
        assert setting.scored <= one["scored"]  # that one, or a cheaper one as sure


def test_visiting_all_is_exact(made):
    """With every list, every posting and every candidate scored nothing is lost."""
    index = ItemIndex.load(made / "flat", recall=0.5)
    index.candidates.setting = type(index.candidates.setting)(8, ITEMS, 10**9, ITEMS, ITEMS)
    queries = Embeddings.load(made / "q").queries()
    exact = fused_search(ItemIndex.load(made / "flat"), queries, 10)
    found = fused_search(index, queries, 10)
    np.testing.assert_array_equal(found.rows, exact.rows)
    np.testing.assert_array_equal(found.scores, exact.scores)


def test_made_in_processes_and_left_on_disk_it_is_the_same(made, tmp_path, monkeypatch):
    monkeypatch.setattr(candidate_lists, "LEAST_PIECE", 100)
    asked = {"kind": "ivf-pq", "lists": 8, "on_disk": False}
    build_index([made / "i"], tmp_path / "two", approximate=asked, workers=2)
    for name in ("candidates.lists", "candidates.codes.npy", "postings.rows.npy"):
        assert (tmp_path / "two" / name).read_bytes() == (made / "ivf-pq" / name).read_bytes()
    build_index([made / "i"], tmp_path / "disk", approximate={**asked, "on_disk": True})
    shutil.move(tmp_path / "disk", tmp_path / "moved")
    one, other = (
        fused_search(ItemIndex.load(path, recall=0.9), Embeddings.load(made / "q").queries(), 10)
        for path in (made / "ivf-pq", tmp_path / "moved")
    )
    np.testing.assert_array_equal(one.rows, other.rows)


def test_a_changed_index_is_prepared_anew(made, tmp_path):
    shutil.copytree(made / "opq", tmp_path / "index")
    embeddings(tmp_path / "new", 30, 2)
    change_index(tmp_path / "index", add=[tmp_path / "new"])
    index = ItemIndex.load(tmp_path / "index", recall=0.9)
    asked = Embeddings.load(tmp_path / "new").queries()
    found = fused_search(index, asked, 1)
    assert (found.rows[:, 0] >= ITEMS).mean() > 0.9  # they find themselves
    assert index.meta["approximate"]["kind"] == "opq"
    exact = fused_search(ItemIndex.load(tmp_path / "index"), asked, 10)
    assert share(fused_search(index, asked, 10), exact) >= 0.85


def test_queries_without_words_are_searched_exactly(made):
    queries = Embeddings.load(made / "q").queries()
    queries["lexical"] = [title * (i % 3 > 0) for i, title in enumerate(queries["lexical"])]
    without = [not title for title in queries["lexical"]]
    exact, near = ItemIndex.load(made / "opq"), ItemIndex.load(made / "opq", recall=0)
    near.candidates.setting = Setting(1, 1, 1, 1, 1)
    right, found = (fused_search(index, queries, 5) for index in (exact, near))
    np.testing.assert_array_equal(found.rows[without], right.rows[without])
    np.testing.assert_array_equal(found.scores[without], right.scores[without])
    rest = [not one for one in without]
    assert (found.rows[rest] != right.rows[rest]).any()
    assert (found.rows[rest, 0] >= 0).all()


def test_a_catalogue_without_titles(made, tmp_path):
    source = Embeddings.load(made / "i")
    items = [{"id": name} for name in source.ids]
    with EmbeddingWriter(tmp_path / "bare", items, source.dims) as writer:
        writer.write(0, *(source.rows(name) for name in EMBEDDINGS))
        writer.finish()
    build_index([tmp_path / "bare"], tmp_path / "index", approximate={**ASKED, "kind": "ivf-pq"})
    assert not (tmp_path / "index" / "postings.rows.npy").exists()
    queries = Embeddings.load(made / "q").queries()
    exact, near = (
        fused_search(ItemIndex.load(tmp_path / "index", recall=asked), queries, 10)
        for asked in (None, 0.9)
    )
    assert share(near, exact) >= 0.85


def test_other_weights_and_filters_search_exactly(made):
    queries = Embeddings.load(made / "q").queries()
    exact, near = ItemIndex.load(made / "ivf-pq"), ItemIndex.load(made / "ivf-pq", recall=0)
    near.candidates.search = None  # would fail if it were called
    mask = np.arange(ITEMS) % 2 == 0
    for one, other, how in (
        (exact, near, {"weights": (1, 0, 0, 0)}),
        (exact, near, {"similarity": "title"}),
        (exact, near, {"fusion": "max"}),
        (narrowed(exact, mask), narrowed(near, mask), {}),
    ):
        right, found = (fused_search(index, queries, 5, **how) for index in (one, other))
        np.testing.assert_array_equal(found.rows, right.rows)


def test_commands(made, tmp_path, capsys):
    out, hits = tmp_path / "index", tmp_path / "hits.tsv"
    how = ["--approximate", "ivf-pq", "--lists", "8", "--fit-groups", "title"]
    index_command.main([str(made / "i"), "--out", str(out), *how])
    assert "item-search --recall of up to" in capsys.readouterr().out
    asked = [str(out), "--queries", str(made / "q"), "--out", str(hits)]
    search_command.main([*asked, "--recall", "0.8"])
    found = read_hits(hits)
    assert all(0 <= hit.score <= 1 for answers in found.values() for hit in answers)  # fitted
    search_command.main([*asked, "--recall", "0.8", "--where", "even=1"])
    assert {int(hit.item_id[1:]) % 2 for some in read_hits(hits).values() for hit in some} == {1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--recall", "0.9", "--weights", "1", "1", "1"], "leave --weights out"),
        (["--recall", "0.9", "--similarity", "title"], "--similarity title is exact"),
    ],
)
def test_searches_that_are_refused(made, tmp_path, arguments, said):
    asked = [str(made / "ivf-pq"), "--queries", str(made / "q"), "--out", str(tmp_path / "hits")]
    with pytest.raises(InputError, match=said):
        search_command.main([*asked, *arguments])


def test_the_cheapest_setting_that_is_sure_to_reach_a_recall():
    table = [
        {"visits": v, "near": 1, "postings": 1, "wordy": 1, "scored": 1, "recall": r, "error": 0.01}
        for v, r in ((1, 0.5), (2, 0.9), (4, 0.95))
    ]
    meta = {"approximate": {"settings": table}}
    for asked, visits in ((0, 1), (0.49, 1), (0.5, 2), (0.89, 2), (0.9, 4)):
        assert recall.choose(meta, asked, "INDEX").visits == visits
    with pytest.raises(InputError, match="INDEX is sure to reach 0.940 only"):
        recall.choose(meta, 0.95, "INDEX")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lists", "4"], "need --approximate"),
        (["--approximate", "hnsw", "--on-disk"], "without --lists"),
        (["--approximate", "flat", "--fusion", "max"], "needs --fusion sum"),
        (["--approximate", "flat", "--factory", "IVF4,Flat"], "either --approximate or"),
        (["--approximate", "flat", "--weights", "0", "0", "0", "1"], "leave out all embeddings"),
        (["--approximate", "ivf-pq"], "needs 256 items"),
    ],
)
def test_indexes_that_are_refused(made, tmp_path, arguments, said):
    with pytest.raises(InputError, match=said):
        index_command.main([str(made / "q"), "--out", str(tmp_path / "index"), *arguments])
    assert not (tmp_path / "index").exists()


def test_an_index_without_lists(made, tmp_path):
    build_index([made / "q"], tmp_path / "index")
    with pytest.raises(InputError, match="was not built for --recall"):
        ItemIndex.load(tmp_path / "index", recall=0.9)


@pytest.mark.parametrize(
    "name", ["candidates.lists", "candidates.codes.npy", "postings.rows.npy", "postings.starts.npy"]
)
def test_damage_is_noticed(made, tmp_path, name):
    copy = tmp_path / "copy"
    shutil.copytree(made / "ivf-pq", copy)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (copy / name).write_bytes(data)
    assert any(wrong and name in wrong for _, wrong in verify(copy))
    (copy / name).unlink()
    with pytest.raises(InputError, match=name):
        ItemIndex.load(copy, recall=0.5)


def test_postings_against_the_rows(tmp_path):
    rng = np.random.default_rng(3)
    titles = [" ".join(rng.choice(WORDS, rng.integers(6))) for _ in range(300)]
    lexical = LexicalIndex.build(titles, tmp_path)
    write_postings(lexical, tmp_path)
    postings = Postings.open(tmp_path, 300)
    counts = count_terms(["red red hat", "the", "靴下 lamp", "unheard"])
    whole = lexical[np.arange(300)]
    for query in range(counts.shape[0]):
        row = counts[query]
        right = np.asarray((whole @ row.T).todense()).ravel()
        everything = postings.best(row.indices, row.data, 10**9, 300)
        np.testing.assert_array_equal(everything, np.flatnonzero(right > 0))
        some = postings.best(row.indices, row.data, 10**9, 20)
        assert len(some) == min(20, (right > 0).sum())
        if len(some):
            assert right[some].min() >= np.sort(right)[-len(some)] * 0.999
        rarest = postings.best(row.indices, row.data, 0, 300)
        assert set(rarest) <= set(everything)
        assert (len(rarest) > 0) == (len(everything) > 0)


def test_sizes():
    assert [bytes_of(dim) for dim in (512, 40, 9, 7)] == [64, 5, 1, 1]
    assert [default_lists(n) for n in (1, 1000, 1_100_000)] == [2, 64, 2048]
