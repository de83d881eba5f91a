"""Queries without their title or image, or with another's, against the model's plain interface."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_item import ItemModel
from fairseq_item.commands import balance as balance_command
from fairseq_item.commands import embed, evaluate, index, search
from fairseq_item.commands.common import run
from fairseq_item.data.image_store import ImageStore, ImageStoreWriter
from fairseq_item.errors import InputError
from fairseq_item.evaluation.changed_queries import (
    NONE,
    ChangedQueries,
    Composed,
    components,
    derangement,
)
from fairseq_item.search.embed import open_products
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings
from fairseq_item.search.hits import read_truth, write_truth

ROOT = Path(__file__).parents[2]
INPUT = ["--image-size", 32, "--patch-size", 8, "--max-title-length", 8]
TOWER = [
    "--encoder-layers", 1, "--encoder-embed-dim", 32, "--encoder-ffn-embed-dim", 64,
    "--encoder-attention-heads", 2, *INPUT,
]  # fmt: skip
BASELINES = {
    "clip": ["--task", "clip_pretraining", "--criterion", "clip", "--arch", "item_clip_tiny"]
    + ["--joint-dim", 16, *TOWER],
    "roberta": ["--task", "title_pretraining", "--criterion", "masked_lm"]
    + ["--arch", "item_roberta_tiny", *TOWER],
    "resnet": ["--task", "item_classification", "--criterion", "item_classification"]
    + ["--arch", "item_resnet_tiny", "--width", 8, *INPUT],
}


# Who gives to whom.


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [2, 3, 10, 101])
def test_a_derangement_leaves_nobody_their_own(count, seed):
    donors = derangement(np.arange(count), seed)
    assert sorted(donors) == list(range(count))
    assert (donors != np.arange(count)).all()


@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_given_something_of_the_same_label(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 8, size=rng.integers(20, 60)) * 7
    labels[: len(labels) // 2] = labels[0]  # half of all, and more where drawn as well
    size = (labels == labels[0]).sum()
    labels = np.append(labels, 100 + np.arange(max(0, 2 * size - len(labels))))
    assert 2 * (labels == labels[0]).sum() == len(labels)  # the hardest case that can be done
    labels = rng.permutation(labels)
    donors = derangement(labels, seed)
    assert sorted(donors) == list(range(len(labels)))
    assert (labels[donors] != labels).all()


def test_a_derangement_comes_from_its_seed():
    one, same, other = (derangement(np.arange(50), seed).tolist() for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_more_than_half_alike_cannot_be_exchanged():
    with pytest.raises(InputError, match="3 of 5 queries are alike"):
        derangement(np.array([1, 0, 1, 2, 1]), 1)


def test_components_join_those_that_share_a_key():
    labels = components([{"a"}, {"b"}, {"c", "a"}, {"d"}, {"b", "c"}, set(), set()])
    assert labels[0] == labels[1] == labels[2] == labels[4]
    assert len(set(labels)) == 4


# What the model is given.


@pytest.fixture(scope="module")
def hub(model_folder):
    return ItemModel.from_pretrained(str(model_folder))


def test_products_are_composed_of_rows(hub, data_bin):
    _, dataset = open_products(data_bin, ["test"], hub)
    composed = Composed(dataset, np.array([3, 5, NONE, 2]), np.array([3, 4, 6, NONE]))
    assert len(composed) == 4
    samples = [composed[i] for i in range(4)]
    for sample, title in zip(samples, (3, 5, None, 2)):
        expected = [] if title is None else dataset[title]["title"]
        assert np.array_equal(sample["title"], expected)
    for sample, image in zip(samples, (3, 4, 6, None)):
        expected = 0 if image is None else dataset[image]["patches"]
        assert (sample["patches"] == expected).all()
    inputs = composed.collater(samples)["net_input"]
    assert inputs["has_image"].tolist() == [True, True, True, False]
    empty = inputs["title"][2]
    assert empty[:2].tolist() == [dataset.cls, dataset.sep]
    assert (empty[2:] == dataset.pad).all()
    assert "has_image" not in composed.collater(samples[:3])["net_input"]


def command(module, *argv):
    module.main([str(value) for value in argv])


def searchable(checkpoint, data, out, *options):
    """Embeddings, index (with ``options``) and truth in ``out``.

    The queries are the items of test. Each matches itself and an item of train; the first two share
    theirs, and so are one product.
    """
    for split in ("train", "test"):
        some = ["--splits", split, "--device", "cpu", "--out", out / split]
        command(embed, "--checkpoint", checkpoint, "--data", data, *some)
    command(index, out / "test", out / "train", "--out", out / "index", *options)
    items, queries = (Embeddings.load(out / split).ids for split in ("train", "test"))
    write_truth(out / "truth.tsv", {q: {q, items[max(1, i)]} for i, q in enumerate(queries)})
    return out


def options(checkpoint, data, folder, out):
    return [
        folder / "index", "--queries", folder / "test", "--truth", folder / "truth.tsv",
        "--checkpoint", checkpoint, "--data", data, "--query-splits", "test", "--device", "cpu",
        "--bootstrap", 50, "--out", out,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(model_folder, data_bin, tmp_path_factory):
    return searchable(model_folder, data_bin, tmp_path_factory.mktemp("balance"))


@pytest.fixture(scope="module")
def changed(hub, data_bin, folder):
    """The queries, and the changes by name."""
    queries, truth = Embeddings.load(folder / "test"), read_truth(folder / "truth.tsv")
    changes = ChangedQueries(hub, data_bin, ["test"], queries, truth, seed=3, batch_size=5)
    return queries, {change.name: change for change in changes}


def test_changed_queries_are_what_the_model_gives_to_changed_products(hub, data_bin, changed):
    queries, changes = changed
    titles = queries.items.column("title")
    images = [data_bin.parent / "images" / name for name in queries.items.column("image")]
    assert len(changes) == 4
    for name, change in changes.items():
        donors = change.donors
        asked = {
            "title_removed": lambda d: (None, images),
            "image_removed": lambda d: (titles, None),
            "title_replaced": lambda d: ([titles[i] for i in d], images),
            "image_replaced": lambda d: (titles, [images[i] for i in d]),
        }[name](donors)
        for embedding, expected in zip(EMBEDDINGS, hub.encode(*asked)):
            np.testing.assert_allclose(
                change.embeddings[embedding], expected, atol=2e-6, err_msg=name
            )


def test_what_is_removed_is_absent(changed):
    queries, changes = changed
    for name, gone in (("title_removed", "title"), ("image_removed", "image")):
        assert not changes[name].embeddings[gone].any()
        for other in set(EMBEDDINGS) - {gone}:
            assert changes[name].embeddings[other].any(axis=1).all()
            # Not only is it missing: the others no longer see it.
            assert not np.allclose(changes[name].embeddings[other], queries.rows(other), atol=1e-3)


def test_nobody_is_given_the_title_or_image_of_the_same_product(changed):
    queries, changes = changed
    for name in ("title_replaced", "image_replaced"):
        donors = changes[name].donors
        assert sorted(donors) == list(range(len(queries)))
        assert donors[0] not in (0, 1)
        assert donors[1] not in (0, 1)
    assert changes["title_replaced"].donors.tolist() != changes["image_replaced"].donors.tolist()


def test_titles_that_read_the_same_are_not_exchanged(hub, data_bin, folder):
    queries, truth = Embeddings.load(folder / "test"), read_truth(folder / "truth.tsv")
    changes = ChangedQueries(hub, data_bin, ["test"], queries, truth)
    titles = list(changes.dataset.titles)
    titles[5:9] = [titles[4]] * 4
    changes.dataset.titles = titles
    labels = changes._same("title_replaced")
    assert len(set(labels[4:9])) == 1
    assert len(set(changes._same("image_replaced")[4:9])) == 5


def test_an_exchange_that_cannot_be_made_is_left_out(hub, data_bin, folder):
    queries, truth = Embeddings.load(folder / "test"), read_truth(folder / "truth.tsv")
    truth = {query: {"one"} for query in truth}
    changes = ChangedQueries(hub, data_bin, ["test"], queries, truth)
    assert [change.name for change in changes] == ["title_removed", "image_removed"]
    assert set(changes.left_out) == {"title_replaced", "image_replaced"}
    assert "14 of 14 queries are alike" in changes.left_out["image_replaced"]


# The whole command.


def test_command(model_folder, data_bin, folder, tmp_path, capsys):
    command(balance_command, *options(model_folder, data_bin, folder, tmp_path))
    found = json.loads((tmp_path / "balance.json").read_text())
    hits = tmp_path / "hits.tsv"
    command(search, folder / "index", "--queries", folder / "test", "--out", hits)
    capsys.readouterr()
    command(evaluate, "--hits", hits, "--truth", folder / "truth.tsv", "--bootstrap", 50)
    assert json.loads(capsys.readouterr().out) == found["fusions"]["index"]["scores"]
    assert list(found["changes"]) == [
        "title_removed", "image_removed", "title_replaced", "image_replaced"
    ]  # fmt: skip
    for name, entry in found["changes"].items():
        assert entry["queries"] == 14
        assert entry["unanswered"] == 0
        assert ("others" in entry["under_paper"]) == name.endswith("replaced")
        assert len(entry["MAP@10_ci95"]) == 2
    assert found["left_out"] == {}
    text = (tmp_path / "balance.md").read_text()
    for label in ("whole", "title removed", "another product's image"):
        assert f"| {label} |" in text
    assert (tmp_path / "balance.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", BASELINES)
def test_command_on_baselines(commands, data_bin, tmp_path, name):
    """A model of one modality neither misses the other nor is misled by it."""
    argv = [
        data_bin, "--user-dir", ROOT / "fairseq_item", "--save-dir", tmp_path / "model",
        "--batch-size", 16, "--required-batch-size-multiple", 1, "--max-update", 1, "--cpu",
        "--num-workers", 0, "--optimizer", "fused_adamw", "--lr-scheduler", "fixed", "--lr", 1e-3,
        "--disable-validation", "--no-epoch-checkpoints", *BASELINES[name],
    ]  # fmt: skip
    commands.run("fairseq_cli.train", *argv)
    checkpoint = tmp_path / "model" / "checkpoint_last.pt"
    # Without the lexical similarity, which sees titles whatever the model sees.
    searchable(checkpoint, data_bin, tmp_path, "--weights", 0.5, 1, 0.5)
    command(balance_command, *options(checkpoint, data_bin, tmp_path, tmp_path / "out"))
    found = json.loads((tmp_path / "out" / "balance.json").read_text())
    assert found["alone"]["title"] is found["alone"]["image"] is None
    assert found["fusions"]["paper"]["first"]["global"]["share"] == 100
    whole, changes = found["fusions"]["index"]["scores"], found["changes"]
    unanswered = {change: entry["unanswered"] for change, entry in changes.items()}
    unseen = {"roberta": "image", "resnet": "title"}.get(name)
    seen = {"roberta": "title", "resnet": "image"}.get(name)
    if unseen:
        for change in (f"{unseen}_removed", f"{unseen}_replaced"):
            assert {key: changes[change][key] for key in whole} == whole
            assert changes[change]["difference"] == 0
        assert unanswered.pop(f"{seen}_removed") == 14
        # It answers as if it had been asked for the other product; equal images may tie.
        replaced = changes[f"{seen}_replaced"]
        assert replaced["others"] == pytest.approx(whole["hit@1"], abs=7.2)
        assert whole["hit@1"] > 50 > 20 > replaced["hit@1"]
    assert set(unanswered.values()) == {0}


@pytest.fixture
def refused(model_folder, data_bin, folder, tmp_path, capsys):
    """Runs the command with changed options; returns its one line of error."""

    def run_with(**changes):
        given = {"checkpoint": model_folder, "data": data_bin, "folder": folder, **changes}
        with pytest.raises(SystemExit) as end:
            run(balance_command.main, [str(v) for v in options(**given, out=tmp_path / "out")])
        assert end.value.code == 2
        assert not (tmp_path / "out").exists()
        (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error")]
        return line

    return run_with


def test_another_checkpoint_is_refused(model_folder, tmp_path, refused):
    shutil.copytree(model_folder, tmp_path / "model")
    path = tmp_path / "model" / "checkpoint_best.pt"
    state = torch.load(path, weights_only=True)
    torch.save({**state, "more": 1}, path)
    assert "is not the one that made" in refused(checkpoint=tmp_path / "model")


def test_missing_queries_are_refused(data_bin, tmp_path, folder, refused, bind):
    data = tmp_path / "data"
    shutil.copytree(data_bin, data)
    shutil.copy(data / "items" / "valid.tsv", data / "items" / "test.tsv")
    bind(data, "test")
    first = Embeddings.load(folder / "test").ids[0]
    line = refused(data=data)
    assert f"has no product {first!r} in test" in line
    assert "14 such queries" in line


def test_other_images_than_those_embedded_are_refused(data_bin, tmp_path, folder, refused):
    data = tmp_path / "data"
    shutil.copytree(data_bin, data)
    images = ImageStore(data_bin / "image" / "test")
    with ImageStoreWriter(data / "image" / "test", image_size=40, patch_size=8) as writer:
        for i in range(len(images)):
            writer.add(255 - images.image(i) if i == 2 else images.image(i))
    third = Embeddings.load(folder / "test").ids[2]
    assert f"query {third!r} has another" in refused(data=data)


def test_untrained_embeddings_are_refused(folder, tmp_path, refused, change_meta):
    shutil.copytree(folder, tmp_path / "folder")
    for name in ("index", "test"):
        change_meta(tmp_path / "folder" / name, lambda meta: meta.update(untrained=True))
    assert "an untrained model's embeddings" in refused(folder=tmp_path / "folder")
