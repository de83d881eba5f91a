"""Joined image embeddings, and that whatever takes them refuses those that do not go together."""

import json
import shutil

import numpy as np
import pytest
import torch

from fairseq_item import ItemModel
from fairseq_item.commands import embed, index, search
from fairseq_item.commands.common import run
from fairseq_item.data import frozen
from fairseq_item.data.features import Features, FeaturesMeta
from fairseq_item.data.image_root import ImageRoot
from fairseq_item.errors import InputError
from fairseq_item.evaluation.changed_queries import ChangedQueries
from fairseq_item.preprocess.features import compute_features
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings
from fairseq_item.search.image_features import join
from fairseq_item.search.index import ItemIndex


def test_join_by_hand():
    features = np.array([[3.0, 4], [0, 0], [0, 2]])
    image = np.array([[0.0, 5, 0], [0, 0, 0], [1, 0, 0]])
    two, one = (2 / 3) ** 0.5, (1 / 3) ** 0.5
    expected = [[0.6 * two, 0.8 * two, 0, one, 0], [0] * 5, [0, two, one, 0, 0]]
    np.testing.assert_allclose(join(features, image), expected, atol=1e-7)


class Grid(torch.nn.Module):
    """Stands for a network: the colours of a 7 x 7 grid, in a random base of 5 values."""

    def __init__(self, seed=0):
        super().__init__()
        drawn = torch.randn(3, 5, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("base", drawn)

    def forward(self, pixels):
        grid = torch.nn.functional.adaptive_avg_pool2d(pixels.float(), 7)
        return grid.flatten(2).transpose(1, 2) @ self.base.float()


@pytest.fixture(autouse=True)
def network(monkeypatch):
    """A quick network in the place of ``resnet50``; a weights file gives the seed of another."""

    def build(file):
        return Grid(int(open(file).read()) if file else 0)

    quick = frozen.NETWORKS["resnet50"]._replace(build=build, rows=7, dim=5)
    monkeypatch.setitem(frozen.NETWORKS, "resnet50", quick)
    return frozen.load_network("resnet50")


@pytest.fixture
def data(data_bin, tmp_path, network):
    """A data-bin with features of train and test, none of valid."""
    data = tmp_path / "data"
    shutil.copytree(data_bin, data)
    for shard in ("train", "test"):
        compute_features(data, shard, ImageRoot(data_bin.parent / "images"), network)
    return data


def embedded(model_folder, data, out, split, *options):
    embed.main(
        ["--checkpoint", str(model_folder), "--data", str(data), "--splits", split]
        + ["--out", str(out), "--device", "cpu", *options]
    )
    return Embeddings.load(out)


def message(command, argv, capsys):
    """The one line that a command ends with."""
    with pytest.raises(SystemExit) as stop:
        run(command.main, [str(word) for word in argv])
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    return line


def test_image_embeddings_are_joined(model_folder, data, tmp_path, network):
    joined = embedded(model_folder, data, tmp_path / "j", "test,train")
    plain = embedded(model_folder, data, tmp_path / "p", "test,train", "--features", "none")
    assert joined.dims == {"global": 32, "title": 32, "image": 37}
    assert joined.meta["dims"] == joined.dims
    assert plain.dims == dict.fromkeys(EMBEDDINGS, 32)
    assert joined.meta["features"] == {
        "network": "resnet50", "weights": network.digest, "dim": 5, "weights_file": None,
    }  # fmt: skip
    assert plain.meta["features"] is None
    features = Features.open(data, ["test", "train"])[:]
    expected = join(features, plain.arrays["image"])
    np.testing.assert_allclose(joined.arrays["image"], expected, atol=1e-6)
    for name in ("global", "title"):
        np.testing.assert_array_equal(joined.arrays[name], plain.arrays[name])


def test_only_what_has_its_image_has_features(model_folder, data, tmp_path):
    also = [f"--also=test:{name}={tmp_path / name}" for name in ("image", "title")]
    embedded(model_folder, data, tmp_path / "whole", "test", *also)
    image, title = (Embeddings.load(tmp_path / name) for name in ("image", "title"))
    features = Features.open(data, ["test"])[:]
    own = image.arrays["image"][:, 5:]
    np.testing.assert_allclose(image.arrays["image"], join(features, own), atol=1e-6)
    assert not title.arrays["image"].any()
    assert title.dims == image.dims == {"global": 32, "title": 32, "image": 37}


def test_splits_without_features_have_none_joined(model_folder, data, tmp_path):
    found = embedded(model_folder, data, tmp_path / "e", "train,valid")
    assert found.dims["image"] == 32
    (data / "features" / "test.json").unlink()  # as of a run that was cut off
    assert embedded(model_folder, data, tmp_path / "e", "test").dims["image"] == 32


def test_the_hub_gives_what_the_command_does(model_folder, data, data_bin, tmp_path, network):
    rows = embedded(model_folder, data, tmp_path / "e", "test")
    hub = ItemModel.from_pretrained(model_folder)
    titles = rows.items.column("title")
    images = [data_bin.parent / "images" / name for name in rows.items.column("image")]
    found = hub.encode(titles, images, batch_size=5, features=network)
    for name, array in zip(EMBEDDINGS, found):
        np.testing.assert_allclose(array, rows.arrays[name], atol=1e-5)
    mixed = hub.encode(titles[:2], [None, images[1]], features=network)
    assert mixed[2].shape == (2, 37)
    assert not mixed[2][0].any()
    np.testing.assert_allclose(mixed[2][1], rows.arrays["image"][1], atol=1e-5)


@pytest.fixture
def indexed(model_folder, data, tmp_path):
    embedded(model_folder, data, tmp_path / "items", "train")
    embedded(model_folder, data, tmp_path / "queries", "test")
    embedded(model_folder, data, tmp_path / "bare", "test", "--features", "none")
    index.main([str(tmp_path / "items"), "--out", str(tmp_path / "index")])
    index.main([str(tmp_path / "bare"), "--out", str(tmp_path / "plain")])
    return tmp_path


def test_an_index_of_them(indexed, data, data_bin, capsys):
    meta = ItemIndex.load(indexed / "index").meta
    assert meta["weights"] == [0, 0, 0.5, 1]
    assert ItemIndex.load(indexed / "plain").meta["weights"] == [0.5, 0, 0.5, 1]
    assert meta["embedding_dims"] == {"global": 32, "title": 32, "image": 37}
    assert meta["features"]["network"] == "resnet50"
    search.main([str(indexed / "index"), "--queries", str(indexed / "queries")])
    capsys.readouterr()
    row = next(Embeddings.load(indexed / "items").items.dicts())
    image = data_bin.parent / "images" / row["image"]
    ask = [str(indexed / "index"), "--title", row["title"]]
    search.main([*ask, "--image", str(image), "-k", "1"])
    first = capsys.readouterr().out.splitlines()[1].split()
    assert first[6] == row["id"]
    assert float(first[4]) == pytest.approx(1, abs=1e-3)
    search.main([*ask, "-k", "1"])  # no image: no network is loaded, the similarity is absent
    assert capsys.readouterr().out.splitlines()[1].split()[4] == "-"


def test_embeddings_that_do_not_go_together(indexed, data, data_bin, capsys, change_meta):
    ask = [indexed / "index", "--queries", indexed / "bare"]
    assert "has no image features; embed both alike" in message(search, ask, capsys)
    ask = [indexed / "plain", "--queries", indexed / "queries"]
    assert "has features of resnet50 (weights" in message(search, ask, capsys)
    both = [indexed / "items", indexed / "bare", "--out", indexed / "i"]
    assert "has no image features; embed both alike" in message(index, both, capsys)
    # Queries of the same network with other weights.
    other = {"weights": "f" * 64}
    change_meta(indexed / "queries", lambda meta: meta["features"].update(other))
    ask = [indexed / "index", "--queries", indexed / "queries"]
    assert "resnet50 (weights ffffffff); embed both alike" in message(search, ask, capsys)


def test_a_query_needs_the_same_network(indexed, data_bin, tmp_path, capsys):
    (tmp_path / "other").write_text("7")
    image = next((data_bin.parent / "images").iterdir())
    ask = [indexed / "index", "--image", image, "--weights-file", tmp_path / "other"]
    assert "weights of resnet50 here are not those" in message(search, ask, capsys)


def test_features_that_do_not_fit(model_folder, data, tmp_path):
    def refused(words, *splits):
        with pytest.raises(InputError, match=words):
            embedded(model_folder, data, tmp_path / "e", *splits or ["test"])

    path = data / "features" / "test.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "count": 13}))
    refused("test.json was changed after it was written; run item-features again")
    del whole["seal"], whole["array"]  # as older versions wrote it
    assert FeaturesMeta(**whole).count == 14
    for change, words in [
        ({"version": 9}, "test.json has version 9, this program reads 1; run item-features again"),
        ({"count": 13}, r"test.npy is float16 of shape \(14, 5\) where \(13, 5\)"),
        ({"items": "0"}, "test.json belongs to another items/test.tsv"),
        ({"more": 1}, "test.json is damaged"),
    ]:
        path.write_text(json.dumps({**whole, **change}))
        refused(words)
    path.write_text(json.dumps({**whole, "network": "vit-b-16"}))
    refused("train.json has features of resnet50 .*, .*test.json has features of vit", "train,test")
    path.write_text(json.dumps(whole))
    (data / "features" / "test.npy").write_bytes(b"")
    refused("test.npy is damaged")


def test_changed_queries_have_features_of_the_images_that_they_have(
    model_folder, data, data_bin, tmp_path, network
):
    hub = ItemModel.from_pretrained(model_folder)
    queries = embedded(model_folder, data, tmp_path / "e", "test")
    titles = queries.items.column("title")
    images = [data_bin.parent / "images" / name for name in queries.items.column("image")]
    truth = {query: {query} for query in queries.ids}
    changes = {c.name: c for c in ChangedQueries(hub, data, ["test"], queries, truth)}
    assert not changes["image_removed"].embeddings["image"].any()
    donors = changes["image_replaced"].donors
    expected = hub.encode(titles, [images[i] for i in donors], features=network)
    for name, rows in zip(EMBEDDINGS, expected):
        given = changes["image_replaced"].embeddings[name]
        np.testing.assert_allclose(given, rows, atol=1e-5)
    (data / "features" / "test.json").unlink()
    with pytest.raises(InputError, match="test.json is missing"):
        ChangedQueries(hub, data, ["test"], queries, truth)
