"""Training as tensorboard shows it: objectives, search, similarities, and images of patches."""

import re

import numpy as np
import pytest

import fairseq_item
from fairseq_item.data.image_store import ImageStore
from fairseq_item.data.item_dataset import Corruption, ItemDataset
from fairseq_item.data.patches import patchify
from fairseq_item.data.sharded import open_split
from fairseq_item.data.token_store import TokenStore
from fairseq_item.data.tsv import read_table
from fairseq_item.search.hits import write_truth
from fairseq_item.tasks import patch_images

PATCH, SIDE = 8, 32


@pytest.fixture(scope="module")
def model(model_folder):
    return fairseq_item.ItemModel.from_pretrained(model_folder)


@pytest.fixture(scope="module")
def dataset(data_bin, model):
    return ItemDataset(
        open_split(data_bin, "valid", "title", TokenStore),
        open_split(data_bin, "valid", "image", ImageStore),
        model.dictionary, model.geometry, Corruption(0.15, 0.5, 0.5, "all"), seed=1, fixed=True,
    )  # fmt: skip


def cells(image, products):
    """(product, column) -> the image there, as drawn."""
    step = SIDE + patch_images.GAP
    return {
        (row, column): image[row * step :, column * step :][:SIDE, :SIDE]
        for row in range(products)
        for column in range(4)
    }


def test_only_masked_patches_differ_from_the_true_image(model, dataset):
    image = patch_images.draw(model.model, dataset, 3)
    step = SIDE + patch_images.GAP
    assert image.shape == (3 * step - patch_images.GAP, 4 * step - patch_images.GAP, 3)
    assert image.min() >= 0
    assert image.max() <= 1
    found = cells(image, 3)
    for row, product in enumerate(patch_images.spread(3, len(dataset))):
        patches = [patchify(np.ascontiguousarray(found[row, column]), PATCH) for column in range(4)]
        seen, mim, gmim, true = patches
        inputs = dataset.collater(dataset.__getitems__([product]))["net_input"]
        np.testing.assert_allclose(true, inputs["patches"][0] / 255, atol=1e-6)
        masked = np.zeros(len(true), bool)
        masked[inputs["masked_patches"]] = True
        for filled in (mim, gmim):
            np.testing.assert_array_equal((filled != true).any(1), masked)
        hidden = (seen != true).any(1)
        assert set(np.flatnonzero(hidden)) <= set(inputs["hidden_patches"].tolist())
        assert (seen[inputs["hidden_patches"]] == patch_images.HIDDEN).all()


def test_what_is_drawn_is_what_the_heads_say(model, dataset):
    inputs = dataset.collater(dataset.__getitems__([0]))["net_input"]
    predictions = model.model(**inputs)
    found = cells(patch_images.draw(model.model, dataset, 1), 1)
    for column, pixels in ((1, predictions.mim), (2, predictions.gmim)):
        patches = patchify(np.ascontiguousarray(found[0, column]), PATCH)
        expected = pixels.detach().clamp(0, 1).numpy()
        np.testing.assert_allclose(patches[inputs["masked_patches"]], expected, atol=1e-5)


def test_a_training_run_in_tensorboard(commands, data_bin, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    names = {
        s: read_table(data_bin / "items" / f"{s}.tsv").column("id") for s in ("valid", "train")
    }
    write_truth(tmp_path / "truth.tsv", dict.fromkeys(names["valid"], names["train"][:2]))
    options = [
        "--eval-retrieval-queries", "valid", "--eval-retrieval-items", "train",
        "--eval-retrieval-truth", tmp_path / "truth.tsv", "--view-contrast-weight", 1,
    ]  # fmt: skip
    plain = commands.train(data_bin, tmp_path / "plain", *options, updates=8)
    run = commands.train(
        data_bin, tmp_path / "model", *options,
        "--log-patches", 3, "--tensorboard-logdir", tmp_path / "board", updates=8,
    )  # fmt: skip
    assert run.lines("train_inner") == plain.lines("train_inner")  # training goes on as it did

    def read(name):
        board = events.EventAccumulator(str(tmp_path / "board" / name), {"images": 0})
        board.Reload()
        return board

    objectives = {"itm", "mlm", "gmlm", "mim", "gmim", "view"}
    assert objectives <= set(read("train_inner").Tags()["scalars"])
    valid = read("valid")
    shares = {"share_global", "share_image", "share_lexical"}
    assert objectives | shares | {"map10", "map10_image"} <= set(valid.Tags()["scalars"])
    last = sum(valid.Scalars(name)[-1].value for name in shares)
    assert last == pytest.approx(100, abs=0.1)

    board = read("patches")
    (tag,) = board.Tags()["images"]
    assert tag == patch_images.TAG
    images = board.Images(tag)
    assert [image.step for image in images] == sorted({image.step for image in images})
    assert images[-1].step == 8
    assert images[-1].height == 3 * (SIDE + patch_images.GAP) - patch_images.GAP
    assert len(re.findall("patch images took", run.output)) == len(images)
    assert not (tmp_path / "plain" / "patches").exists()


def test_without_tensorboard_it_is_refused_before_the_first_update(commands, data_bin, tmp_path):
    run = commands.train(data_bin, tmp_path / "model", "--log-patches", 3, updates=2, status=2)
    assert "give --tensorboard-logdir, too" in run.output
    assert not run.lines("train_inner")
