import math
import re
from collections import Counter

import numpy as np
import pytest

from fairseq_item.commands import baseline as baseline_command
from fairseq_item.commands.common import run
from fairseq_item.data.image_store import ImageStore, ImageStoreWriter
from fairseq_item.data.tables import Table, write_table
from fairseq_item.evaluation import baselines
from fairseq_item.search.hits import read_hits

WORDS = ["nike", "red", "shoe", "men", "x", "Blue", "bag", "7", "CAFÉ", "sari", "watch", "t"]


def titles(count, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(0, 6))) for _ in range(count)]


def brute_tfidf(queries, items, k):
    """Dense cosines of tf * (1 + log((1 + n) / (1 + df))), written out word by word."""

    def words(title):
        return re.findall(r"\w+", title.lower())

    df = Counter(word for title in items for word in set(words(title)))
    idf = {word: 1 + math.log((1 + len(items)) / (1 + n)) for word, n in df.items()}

    def vector(title):
        counts = {word: n * idf[word] for word, n in Counter(words(title)).items() if word in idf}
        norm = math.sqrt(sum(v * v for v in counts.values())) or 1
        return {word: v / norm for word, v in counts.items()}

    vectors = [vector(title) for title in items]
    for query in map(vector, queries):
        cosines = [round(sum(v * item.get(w, 0) for w, v in query.items()), 7) for item in vectors]
        ranked = sorted((-s, i) for i, s in enumerate(cosines) if s > 0)[:k]
        yield [i for _, i in ranked], [-s for s, _ in ranked]


def test_tfidf_equals_dense_brute_force(monkeypatch):
    monkeypatch.setattr(baselines, "QUERIES_A_TIME", 3)
    queries, items = titles(10, 0) + ["unknown word", ""], titles(60, 1)
    found = list(baselines.tfidf(queries, items, 8))
    assert len(found) == 12
    for (rows, scores), (expected, cosines) in zip(found, brute_tfidf(queries, items, 8)):
        assert rows.tolist() == expected
        np.testing.assert_allclose(scores, cosines, atol=2e-7)


def test_pixels_equal_brute_force():
    rng = np.random.default_rng(0)
    queries, items = rng.random((4, 12)), rng.random((30, 12))
    items[20] = items[3]
    centred = items - items.mean(axis=0)
    for query, (rows, scores) in zip(queries, baselines.pixels(queries, items, 50)):
        q = query - items.mean(axis=0)
        cosines = [round(float(q @ i / np.linalg.norm(q) / np.linalg.norm(i)), 7) for i in centred]
        assert rows.tolist() == sorted(range(30), key=lambda i: (-cosines[i], i))
        np.testing.assert_allclose(scores, np.sort(cosines)[::-1], atol=1e-6)


@pytest.mark.parametrize("k", [1, 3, 7, 20])
def test_top_k_breaks_ties_by_position(k):
    values = np.array([0.5, 0.9, 0.5, 0.9, 0.1, 0.5, 0.5])
    assert baselines.top_k(values, k).tolist() == [1, 3, 0, 2, 5, 6, 4][:k]


def test_mean_colours_are_means_of_the_grid_cells(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    with ImageStoreWriter(tmp_path / "s", image_size=24, patch_size=8) as writer:
        writer.add(image)
    grid = baselines.mean_colours(ImageStore(tmp_path / "s"))[0].reshape(8, 8, 3)
    assert grid[2, 5] == pytest.approx(image[6:9, 15:18].reshape(-1, 3).mean(axis=0))


def data_bin(path, split, ids, seed):
    rng = np.random.default_rng(seed)
    rows = [[i, f"title {i}", f"{i}.jpg"] for i in ids]
    write_table(path / "items" / f"{split}.tsv", Table(["id", "title", "image"], rows))
    with ImageStoreWriter(path / "image" / split, image_size=16, patch_size=8) as writer:
        for _ in ids:
            writer.add(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8))
    return str(path / "items" / f"{split}.tsv")


@pytest.mark.parametrize(("method", "column"), [("tfidf", 1), ("pixels", 2)])
def test_command(tmp_path, capsys, method, column):
    train = data_bin(tmp_path, "train", ["a", "b", "c"], 0)
    test = data_bin(tmp_path, "test", ["d", "e"], 1)
    query = data_bin(tmp_path, "query", ["d", "b", "e"], 1)  # d is test's first image, too
    out = tmp_path / "hits.tsv"
    command = ["--queries", query, "--index", train, test, "-k", "3", "--out", str(out)]
    baseline_command.main([method, *command])
    hits = read_hits(out)
    assert hits["d"][0].item_id == "d"
    for answers in hits.values():
        for hit in answers:
            given = [not math.isnan(s) for s in hit.similarities]
            assert given == [i == column for i in range(3)]
    with pytest.raises(SystemExit) as stop:
        run(
            baseline_command.main,
            [method, "--queries", query, "--index", train, train, "--out", str(out)],
        )
    assert stop.value.code == 2
    assert "has the id 'a'" in capsys.readouterr().err


def test_bad_input(tmp_path, capsys):
    train = data_bin(tmp_path, "train", ["a", "b"], 0)
    write_table(tmp_path / "items" / "bare.tsv", Table(["id", "title"], [["z", ""]]))
    bare = str(tmp_path / "items" / "bare.tsv")
    for method, index, message in [
        ("pixels", bare, "image/bare.json is missing"),
        ("tfidf", bare, "no title with a word"),
        ("tfidf", str(tmp_path / "none.tsv"), "not there"),
    ]:
        command = [method, "--queries", train, "--index", index, "--out", str(tmp_path / "h.tsv")]
        with pytest.raises(SystemExit) as stop:
            run(baseline_command.main, command)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
