"""Fused search against a twin that scores every pair."""

import math
from collections import Counter

import numpy as np
import pytest

import fairseq_item
from fairseq_item.commands import index as index_command
from fairseq_item.commands import search as search_command
from fairseq_item.commands.common import run
from fairseq_item.errors import InputError
from fairseq_item.search import build, exact
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter
from fairseq_item.search.fusion import DECIMALS
from fairseq_item.search.hits import SIMILARITIES, read_hits
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.lexical import K1, B, terms
from fairseq_item.search.search import embed_query, fused_search, search

DIM = 6
WORDS = ["red", "blue", "shoe", "FTM-663", "ftm663", "shirt", "靴下", "the", "the", "the", "a"]
PAPER = {"transform": "none", "calibrate": "none", "fusion": "max", "weights": (1, 1, 1)}


def build_index(*args, **changes):
    """The paper's index, but for what a test changes."""
    return build.build_index(*args, **{**PAPER, **changes})


def make(path, count, seed, prefix="i", absent=0.25, copies=1):
    """A folder of random embeddings, some parts absent, some rows copies of others."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(count, DIM)).astype(np.float32) + 0.5 for _ in EMBEDDINGS]
    for array in arrays:
        array[rng.random(count) < absent] = 0
    titles = [" ".join(rng.choice(WORDS, size=rng.integers(6))) for _ in range(count)]
    if copies > 1:
        for array in arrays:
            array[:] = array[rng.integers(0, count // copies, size=count)]
        titles = [titles[i] for i in rng.integers(0, count // copies, size=count)]
    items = [{"id": f"{prefix}{i}", "title": title} for i, title in enumerate(titles)]
    writer = EmbeddingWriter(path, items, DIM)
    writer.write(0, *arrays)
    writer.finish()
    return Embeddings.load(path)


def bm25(titles, queries):
    """(q, n) similarities, weights stored in float32; NaN where a title has no terms."""
    counts = [Counter(terms(title)) for title in titles]
    having = Counter(term for count in counts for term in count)
    mean = max(1, sum(count.total() for count in counts) / len(counts))
    found = np.full((len(queries), len(titles)), np.nan)
    for q, query in enumerate(Counter(terms(query)) for query in queries):
        for i, count in enumerate(counts):
            norm, total = K1 * (1 - B + B * count.total() / mean), 0.0
            for term, times in query.items():
                rarity = np.log1p((len(counts) - having[term] + 0.5) / (having[term] + 0.5))
                f = count[term]
                total += times * float(np.float32(f * (K1 + 1) / (f + norm) * rarity))
            if count and query:
                found[q, i] = total
    return found


def brute_force(index, queries, k, kind, weights, exclude=None):
    """Ranked storage positions and scores, one pair at a time."""
    answers = []
    items = {name: np.asarray(index.vectors[name], np.float64) for name in EMBEDDINGS}
    lexical = bm25(index.items.column("title"), queries["lexical"])
    for q in range(len(queries["global"])):
        transformed = {n: index.transforms[n](queries[n][q : q + 1])[0] for n in EMBEDDINGS}
        scored = []
        for i in range(len(index)):
            if exclude is not None and exclude[q] == i:
                continue
            found = []
            for name, weight in zip(SIMILARITIES, weights):
                if name == "lexical":
                    similarity = lexical[q, i]
                else:
                    ours, theirs = transformed[name], items[name][i]
                    both = ours.any() and theirs.any()
                    similarity = np.dot(ours.astype(np.float64), theirs) if both else math.nan
                if weight and not math.isnan(similarity):
                    similarity = np.round(similarity, DECIMALS)
                    found.append(weight * float(index.calibrations[name](similarity)))
            if found:
                scored.append((-(max(found) if kind == "max" else sum(found)), i))
        answers.append([(i, -negative) for negative, i in sorted(scored)[:k]])
    return answers


def assert_same(results, expected):
    for q, answers in enumerate(expected):
        found = results.rows[q][results.rows[q] >= 0].tolist()
        assert found == [i for i, _ in answers], f"query {q}"
        scores = results.scores[q][: len(found)]
        np.testing.assert_allclose(scores, [score for _, score in answers], atol=1e-9)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("embeddings")
    return {
        "items": make(base / "items", 100, seed=1),
        "copies": make(base / "copies", 100, seed=2, copies=5),
        "queries": make(base / "queries", 12, seed=3, prefix="q"),
    }


@pytest.mark.parametrize("calibrate", ["none", "zscore"])
@pytest.mark.parametrize("kind", ["max", "sum"])
@pytest.mark.parametrize("items", ["items", "copies"])
def test_equal_to_brute_force(tmp_path, folders, calibrate, kind, items):
    build_index(
        [folders[items].path], tmp_path / "x", transform="center", calibrate=calibrate, fusion=kind
    )
    index = ItemIndex.load(tmp_path / "x")
    for weights in [(1, 1, 1), (0.5, 2, 0), (0, 0, 1), (0.5, 0, 0.5, 1), (0, 0, 0, 1)]:
        for k in (1, 7):
            found = fused_search(index, folders["queries"].queries(), k, weights=weights, block=5)
            assert_same(found, brute_force(index, folders["queries"].queries(), k, kind, weights))


@pytest.mark.parametrize("kind", ["max", "sum"])
def test_many_stretches_of_the_index(tmp_path, folders, kind, monkeypatch):
    monkeypatch.setitem(exact.ROWS_A_TIME, "cpu", 16)
    monkeypatch.setattr("fairseq_item.search.fusion.PAIRS_A_TIME", 10)
    build_index([folders["copies"].path], tmp_path / "x", transform="whiten", calibrate="zscore")
    index = ItemIndex.load(tmp_path / "x")
    queries = folders["queries"].queries()
    for k in (4, 40):
        for weights in [(1, 1, 1), (1, 2, 3, 0.5)]:
            found = fused_search(index, queries, k, kind, weights, block=5)
            assert_same(found, brute_force(index, queries, k, kind, weights))


@pytest.mark.parametrize("most", [1 << 20, 8])
@pytest.mark.parametrize("kind", ["max", "sum"])
def test_many_equal_items(tmp_path, kind, most, monkeypatch):
    """More of them than answers, in many stretches: whether or not there is room to hold them."""
    monkeypatch.setitem(exact.ROWS_A_TIME, "cpu", 16)
    monkeypatch.setattr(exact, "MOST_PAIRS", most)
    items = make(tmp_path / "e", 90, seed=5, copies=30)
    build_index([items.path], tmp_path / "x", calibrate="zscore")
    index = ItemIndex.load(tmp_path / "x")
    titles = items.rows("title")
    copies = [int((titles @ row > 0.999).sum()) for row in titles if row.any()]
    # As many answers as there are copies of the query itself, which is not to be answered, too.
    for weights, k in [
        ((1, 1, 1), 9),
        ((0, 1, 0), 1),
        ((0, 1, 0), copies[9]),
        ((0, 0, 0, 1), 20),
        ((0, 1, 0, 1), 9),
    ]:
        for exclude in (np.full(15, -1), np.arange(15)):
            queries = items.queries(0, 15)
            found = fused_search(index, queries, k, kind, weights, exclude=exclude)
            assert_same(found, brute_force(index, queries, k, kind, weights, exclude))


@pytest.mark.parametrize("calibrate", ["none", "zscore"])
@pytest.mark.parametrize("kind", ["max", "sum"])
@pytest.mark.parametrize("spread", [0.05, 3e-4])
def test_rounding_changes_no_answer(tmp_path, kind, calibrate, spread, monkeypatch):
    """In a narrow cone, where float32 cannot tell one cosine from the next."""
    rng = np.random.default_rng(4)
    rows = [rng.normal(size=(300, DIM)) * spread + 1 for _ in EMBEDDINGS]
    rows[2][rng.random(300) < 0.3] = 0
    writer = EmbeddingWriter(tmp_path / "e", [{"id": f"i{i}"} for i in range(300)], DIM)
    writer.write(0, *rows)
    writer.finish()
    build_index([tmp_path / "e"], tmp_path / "x", calibrate=calibrate, fusion=kind)
    index, items = ItemIndex.load(tmp_path / "x"), Embeddings.load(tmp_path / "e")
    queries = items.queries(0, 15)
    monkeypatch.setitem(exact.ROWS_A_TIME, "cpu", 32)
    expected = brute_force(index, queries, 2, kind, (1, 1, 1))
    assert_same(fused_search(index, queries, 2), expected)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize("kind", ["max", "sum"])
def test_exact_with_respect_to_what_is_stored(tmp_path, folders, dtype, kind):
    build_index([folders["items"].path], tmp_path / "x", dtype=dtype, fusion=kind)
    index = ItemIndex.load(tmp_path / "x")
    queries = folders["queries"].queries()
    assert_same(fused_search(index, queries, 7), brute_force(index, queries, 7, kind, (1, 1, 1)))


def test_exact_index_holds_its_vectors_once(tmp_path, folders):
    build_index([folders["items"].path], tmp_path / "x", factory="IVF4,Flat")
    assert len(list((tmp_path / "x").glob("*.faiss"))) == 3
    build_index([folders["items"].path], tmp_path / "x")  # over an index of another kind
    names = {path.name for path in (tmp_path / "x").iterdir()}
    parts = {f"{part}.{end}" for part in EMBEDDINGS for end in ("npy", "transform.npz")}
    lexical = {f"lexical.{name}" for name in ("starts.npy", "columns", "weights")}
    assert names == parts | lexical | {"items.tsv", "meta.json", "present.npy"}
    # Folders written when exact search took faiss lists hold these, too: they do no harm.
    (tmp_path / "x" / "title.faiss").write_bytes(b"as it was")
    assert len(ItemIndex.load(tmp_path / "x")) == 100


@pytest.mark.parametrize("kind", ["max", "sum"])
def test_all_items_alike_are_ranked_by_storage_order(tmp_path, kind):
    rows = np.ones((60, DIM), np.float32)
    writer = EmbeddingWriter(tmp_path / "e", [{"id": f"i{i}"} for i in range(60)], DIM)
    writer.write(0, rows, rows, rows)
    writer.finish()
    build_index([tmp_path / "e"], tmp_path / "x", transform="center", calibrate="zscore")
    index = ItemIndex.load(tmp_path / "x")
    found = fused_search(index, dict.fromkeys(EMBEDDINGS, rows[:2]), 5, fusion=kind)
    assert found.rows.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_k_beyond_the_index(tmp_path, folders):
    build_index([folders["items"].path], tmp_path / "x")
    index = ItemIndex.load(tmp_path / "x")
    queries = folders["queries"].queries()
    found = fused_search(index, queries, 1000)
    assert found.rows.shape == (12, 100)
    assert_same(found, brute_force(index, queries, 1000, "max", (1, 1, 1)))


def test_nothing_in_common_is_no_answer(tmp_path):
    items = np.eye(DIM, dtype=np.float32)[:3]
    none = np.zeros_like(items)
    writer = EmbeddingWriter(tmp_path / "e", [{"id": f"i{i}"} for i in range(3)], DIM)
    writer.write(0, none, items, none)
    writer.finish()
    build_index([tmp_path / "e"], tmp_path / "x", calibrate="zscore")
    index = ItemIndex.load(tmp_path / "x")
    for kind in ("max", "sum"):
        image_only = {"global": none, "title": none, "image": items}
        assert (fused_search(index, image_only, 2, fusion=kind).rows == -1).all()
        title_only = {"global": items, "title": items, "image": none}
        found = fused_search(index, title_only, 2, fusion=kind)
        assert found.rows[:, 0].tolist() == [0, 1, 2]
        assert np.isnan(found.similarities[:, :, [0, 2]]).all()


@pytest.mark.parametrize("part", EMBEDDINGS)
def test_single_part_ranks_by_plain_cosine(tmp_path, folders, part):
    build_index([folders["items"].path], tmp_path / "x", weights=(1, 2, 3))
    index = ItemIndex.load(tmp_path / "x")
    found = fused_search(index, folders["queries"].queries(), 5, similarity=part)
    column = EMBEDDINGS.index(part)
    cosines = folders["queries"].rows(part) @ folders["items"].rows(part).T
    for q in range(12):
        here = found.rows[q] >= 0
        np.testing.assert_array_equal(found.scores[q][here], found.similarities[q][here][:, column])
        present = folders["items"].arrays[part].any(axis=1)
        best = np.sort(cosines[q][present])[::-1][:5]
        if here.any():
            np.testing.assert_allclose(found.scores[q], best, atol=1e-5)


def test_words_alone_need_no_embeddings_and_a_title(tmp_path, folders):
    build_index([folders["items"].path], tmp_path / "x")
    index, queries = ItemIndex.load(tmp_path / "x"), folders["queries"].queries()
    found = fused_search(index, queries, 5, similarity="lexical")
    assert_same(
        fused_search(index, queries, 5, "sum", (0, 0, 0, 1)),
        brute_force(index, queries, 5, "sum", (0, 0, 0, 1)),
    )
    np.testing.assert_array_equal(
        found.scores[found.rows >= 0], found.similarities[..., 3][found.rows >= 0]
    )
    without = {name: queries[name] for name in EMBEDDINGS}
    assert (fused_search(index, without, 5, similarity="lexical").rows == -1).all()
    assert np.isnan(fused_search(index, without, 5).similarities[..., 3]).all()


def test_folders_without_a_lexical_part_search_without(tmp_path, folders, change_meta):
    """As made before there was one: three columns of presence, three weights."""
    path = tmp_path / "x"
    build_index([folders["items"].path], path)
    index, queries = ItemIndex.load(path), folders["queries"].queries()
    expected = fused_search(index, queries, 5)
    for file in path.glob("lexical.*"):
        file.unlink()
    np.save(path / "present.npy", index.present[:, :3])
    change_meta(path, lambda meta: [meta["calibrations"].pop("lexical"), meta.pop("list_scales")])
    old = ItemIndex.load(path)
    np.testing.assert_array_equal(fused_search(old, queries, 5).rows, expected.rows)
    with pytest.raises(InputError, match="no lexical similarity; run item-index again"):
        fused_search(old, queries, 5, similarity="lexical")


def test_exclude_self(tmp_path, folders):
    items = folders["copies"]
    build_index([items.path], tmp_path / "x")
    index = ItemIndex.load(tmp_path / "x")
    for kind in ("max", "sum"):
        hits = search(index, items.queries(), items.ids, 4, exclude_self=True, fusion=kind)
        expected = brute_force(
            index, items.queries(), 4, kind, (1, 1, 1), exclude=range(len(items))
        )
        for query, answers in zip(items.ids, expected):
            assert [hit.item_id for hit in hits[query]] == [items.ids[i] for i, _ in answers]
        assert all(hit.item_id != name for name in items.ids for hit in hits[name])


def test_several_folders_are_one_index(tmp_path, folders):
    more = make(tmp_path / "more", 20, seed=9, prefix="m")
    build_index([folders["items"].path, more.path], tmp_path / "x", transform="center")
    index = ItemIndex.load(tmp_path / "x")
    assert index.ids == folders["items"].ids + more.ids
    np.testing.assert_allclose(
        index.vectors["image"][100:], index.transforms["image"](more.rows("image")), atol=1e-6
    )
    with pytest.raises(InputError, match="has the id 'i0' of row 2"):
        build_index([folders["items"].path, folders["copies"].path], tmp_path / "y")


def test_approximate_factories_give_well_scored_answers(tmp_path, folders):
    build_index([folders["items"].path], tmp_path / "ivf", factory="IVF4,Flat", dtype="float16")
    build_index([folders["items"].path], tmp_path / "flat", dtype="float16")
    ivf, flat = ItemIndex.load(tmp_path / "ivf"), ItemIndex.load(tmp_path / "flat")
    queries = folders["queries"].queries()
    for kind in ("max", "sum"):
        ivf.set_nprobe(4)  # all lists: no longer an approximation
        for weights in [(1, 1, 1), (1, 0, 1, 1)]:
            exact = fused_search(flat, queries, 5, kind, weights)
            found = fused_search(ivf, queries, 5, kind, weights)
            np.testing.assert_array_equal(found.rows, exact.rows)
            np.testing.assert_allclose(found.scores, exact.scores)
    with pytest.raises(InputError, match="--nprobe needs an inverted file"):
        flat.set_nprobe(4)


def test_commands(tmp_path, folders, capsys):
    items, queries = str(folders["items"].path), str(folders["queries"].path)
    out, hits = str(tmp_path / "x"), tmp_path / "hits.tsv"
    index_command.main([items, "--out", out])
    search_command.main([out, "--queries", queries, "-k", "3", "--out", str(hits)])
    assert "100 items indexed" in capsys.readouterr().out
    read = read_hits(hits)
    index = ItemIndex.load(out)
    assert (index.meta["fusion"], index.meta["weights"]) == ("sum", [0.5, 0.0, 0.5, 1.0])
    assert {name: c.kind for name, c in index.calibrations.items()} == dict.fromkeys(
        SIMILARITIES, "zscore"
    )
    assert {t.kind for t in index.transforms.values()} == {"whiten"}
    expected = brute_force(index, folders["queries"].queries(), 3, "sum", (0.5, 0, 0.5, 1))
    for query, answers in zip(folders["queries"].ids, expected):
        assert [hit.item_id for hit in read.get(query, [])] == [f"i{i}" for i, _ in answers]
    search_command.main([out, "--queries", queries, "-k", "3"])
    assert capsys.readouterr().out.count("\n") == 1 + sum(map(len, read.values()))


def refused(main, argv, capsys):
    with pytest.raises(SystemExit) as stop:
        run(main, argv)
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()
    return [line for line in error if "error:" in line][-1]


def test_bad_input_ends_with_one_line(tmp_path, folders, capsys):
    items, queries = str(folders["items"].path), str(folders["queries"].path)
    out = str(tmp_path / "x")
    build = index_command.main
    assert "meta.json is missing" in refused(build, [str(tmp_path), "--out", out], capsys)
    assert "--factory Nope" in refused(build, [items, "--out", out, "--factory", "Nope"], capsys)
    fine = [items, "--out", out, "--factory", "IVF5000,Flat"]
    assert "--factory IVF5000" in refused(build, fine, capsys)
    weights = [items, "--out", out, "--weights", "0", "0", "0"]
    assert "--weights" in refused(build, weights, capsys)
    assert "holds the embeddings" in refused(build, [items, "--out", items], capsys)
    find = search_command.main
    assert "holds no whole index" in refused(find, [out, "--queries", queries], capsys)
    assert "not an index" in refused(find, [items, "--queries", queries], capsys)
    build([items, "--out", out])
    assert "--queries, or --title" in refused(find, [out], capsys)
    assert "checkpoint" in refused(find, [out, "--title", "shoe"], capsys)
    assert "-k: '0' is not" in refused(find, [out, "--queries", queries, "-k", "0"], capsys)


def test_direct_query(tmp_path, folders, capsys, monkeypatch):
    build_index([folders["items"].path], tmp_path / "x")
    position = int(np.flatnonzero(folders["items"].arrays["title"].any(axis=1))[3])
    asked = {}

    def embed(checkpoint, title, image, digest, features):
        assert features is None
        asked.update(title=title, image=image)
        none = np.zeros((1, DIM), np.float32)
        row = folders["items"].rows("title", position, position + 1)
        return {"global": none, "title": row, "image": none}

    monkeypatch.setattr(search_command, "embed_query", embed)
    model = tmp_path / "model.pt"
    model.write_bytes(b"")
    search_command.main(
        [str(tmp_path / "x"), "--checkpoint", str(model), "--title", "red shoe", "-k", "2"]
    )
    assert asked == {"title": "red shoe", "image": None}
    first = capsys.readouterr().out.splitlines()[1].split()
    assert first[:7] == ["1", "1.0000", "-", "1.00000", "-", "0.00000", f"i{position}"]


class FakeModel:
    """Stands for ``fairseq_item.ItemModel``: remembers what it was given."""

    digest = "abc"
    asked = ()

    @classmethod
    def from_pretrained(cls, checkpoint, device):
        return cls()

    def encode(self, titles, images, features):
        assert features is None
        FakeModel.asked = (titles, images)
        return np.ones((1, 4)), np.zeros((1, 4)), np.full((1, 4), 2.0)


def test_embedding_a_query(tmp_path, monkeypatch):
    monkeypatch.setitem(vars(fairseq_item), "ItemModel", FakeModel)
    image = tmp_path / "shoe.jpg"
    image.write_bytes(b"")
    parts = embed_query("model", image=str(image), digest="abc")
    assert FakeModel.asked == ([None], [str(image)])
    assert [parts[part].tolist() for part in EMBEDDINGS] == [[[1] * 4], [[0] * 4], [[2] * 4]]
    with pytest.raises(InputError, match="not the checkpoint"):
        embed_query("model", title="shoe", digest="xyz")
    with pytest.raises(InputError, match=r"none\.jpg is not there"):
        embed_query("model", image=str(tmp_path / "none.jpg"))
