"""A model folder in use: on its own, away from everything it was trained with."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fairseq_item
from fairseq_item.commands import embed as embed_command
from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import Embeddings

EMBEDDINGS = range(3)


@pytest.fixture(scope="module")
def catalog(data_bin):
    """(titles, image files) of the test split, in its order."""
    rows = [line.split("\t") for line in (data_bin / "items" / "test.tsv").read_text().splitlines()]
    titles, images = (rows[0].index(name) for name in ("title", "image"))
    folder = data_bin.parent / "images"
    return [row[titles] for row in rows[1:]], [folder / row[images] for row in rows[1:]]


@pytest.fixture(scope="module")
def copied(model_folder, tmp_path_factory):
    """The model folder, copied; what a user would carry to another machine."""
    folder = tmp_path_factory.mktemp("elsewhere") / "model"
    shutil.copytree(model_folder, folder)
    return folder


@pytest.fixture(scope="module")
def hub(copied):
    return fairseq_item.ItemModel.from_pretrained(copied)


@pytest.fixture(scope="module")
def encoded(hub, catalog):
    return hub.encode(*catalog)


def equal(one, other, tolerance=1e-6):
    return all(np.allclose(a, b, rtol=0, atol=tolerance) for a, b in zip(one, other, strict=True))


def test_queries_are_prepared_as_the_catalogue_was(
    hub, encoded, model_folder, data_bin, tmp_path, capsys
):
    """The files' own images and titles give the rows that item-embed wrote for the data-bin."""
    embed_command.main(
        ["--checkpoint", str(model_folder), "--data", str(data_bin), "--out", str(tmp_path)]
        + ["--device", "cpu"]
    )
    rows = Embeddings.load(tmp_path)
    assert equal(encoded, [rows.arrays[part] for part in ("global", "title", "image")])
    # Not because of the sizes alone: they are stored larger than the model sees them.
    assert (hub.stored_image_size, hub.fit, hub.geometry.image_size) == (40, "pad", 32)


def test_it_needs_nothing_but_its_folder(commands, data_bin, catalog, encoded, tmp_path):
    """Trained on a data-bin that is gone by the time the model is used."""
    shutil.copytree(data_bin, tmp_path / "data")
    commands.train(tmp_path / "data", tmp_path / "trained")
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "moved").mkdir()
    for name in ("checkpoint_best.pt", "dict.txt", "bpe.model"):
        shutil.move(tmp_path / "trained" / name, tmp_path / "moved" / name)
    shutil.rmtree(tmp_path / "trained")
    hub = fairseq_item.ItemModel.from_pretrained(str(tmp_path / "moved"))
    # The same seed, data and options as the other folder's.
    assert equal(hub.encode(*catalog), encoded)


def test_a_checkpoint_file_will_do(copied, catalog, encoded):
    hub = fairseq_item.ItemModel.from_pretrained(copied / "checkpoint_best.pt")
    assert equal(hub.encode(*catalog), encoded)
    last = fairseq_item.ItemModel.from_pretrained(copied, checkpoint_file="checkpoint_last.pt")
    assert (
        last.digest == fairseq_item.ItemModel.from_pretrained(copied / "checkpoint_last.pt").digest
    )
    assert len(last.digest) == 64


def test_three_parts_normalised(encoded, hub, catalog):
    for part in encoded:
        assert part.shape == (len(catalog[0]), hub.dim)
        assert part.dtype == np.float32
        assert np.allclose(np.linalg.norm(part, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_batch_size_does_not_matter(hub, catalog, encoded, size):
    assert equal(hub.encode(*catalog, batch_size=size), encoded)


def test_one_product(hub, catalog, encoded):
    titles, images = catalog
    assert equal(hub.encode(titles[:1], images[:1]), [part[:1] for part in encoded])


def test_no_product(hub):
    assert [part.shape for part in hub.encode([], [])] == [(0, hub.dim)] * 3


def test_a_title_alone_and_a_image_alone(hub, catalog, encoded):
    titles, images = catalog
    of_title, of_image = hub.encode(titles=titles), hub.encode(images=images)
    assert (of_title[2] == 0).all()
    assert (of_image[1] == 0).all()
    for part in (of_title[0], of_title[1], of_image[0], of_image[2]):
        assert np.allclose(np.linalg.norm(part, axis=1), 1, atol=1e-5)
    assert not np.allclose(of_title[0], encoded[0], atol=1e-3)
    # A product that lacks a part does not change what its neighbours in the batch get.
    mixed = hub.encode([titles[0], titles[1], None, ""], [images[0], None, images[2], images[2]])
    expected = [encoded, of_title, of_image, of_image]
    for row, source in enumerate(expected):
        assert equal([part[row] for part in mixed], [part[min(row, 2)] for part in source]), row


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_images_of_any_mode(hub, mode):
    image = Image.new("RGB", (50, 30), (200, 30, 30))
    image = image.convert("L").convert(mode) if mode in ("I;16", "F") else image.convert(mode)
    embedding = hub.encode(images=[image])[2]
    assert np.isfinite(embedding).all()
    if mode in ("P", "RGBA"):
        assert equal(embedding, hub.encode(images=[image.convert("RGB")])[2])


def test_pil_images_and_paths_are_the_same(hub, catalog, encoded):
    titles, images = catalog
    opened = [Image.open(path) for path in images]
    assert equal(hub.encode(titles, opened), encoded)
    assert equal(hub.encode(titles, list(map(str, images))), encoded)


def test_titles_are_cut_where_the_model_was_trained_to(hub, catalog):
    long, longer = "acme red mug " * 10, "acme red mug " * 1000
    assert equal(hub.encode(titles=[long]), hub.encode(titles=[longer]))


def test_odd_titles(hub):
    title = hub.encode(titles=["red\tmug\n", "red mug", "\U0001f600", "   ", "\x00"])[1]
    assert equal(title[0], title[1])
    assert np.isfinite(title).all()
    assert (title[3] == 0).all()


@pytest.mark.parametrize(
    ("titles", "images", "message"),
    [
        ("red mug", None, "are lists"),
        (None, "mug.png", "are lists"),
        (None, None, "give titles, images or both"),
        (["red mug"], [None, None], "1 titles beside 2 images"),
        (None, ["nowhere.png"], r"nowhere.png cannot be read \(No such file"),
        (None, [Path(__file__)], "test_hub_interface.py cannot be used: unreadable"),
    ],
)
def test_unusable_input(hub, titles, images, message):
    with pytest.raises(InputError, match=message):
        hub.encode(titles, images)


def test_a_truncated_image_that_is_open_already(hub, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    for image in (Image.open(tmp_path / "cut.jpg"), tmp_path / "cut.jpg"):
        with pytest.raises(InputError, match="cannot be used"):
            hub.encode(images=[image])


class RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("saved_by", ["torch", "pickle"])
def test_loading_runs_no_code(copied, tmp_path, saved_by):
    for name in ("dict.txt", "bpe.model"):
        shutil.copy(copied / name, tmp_path)
    checkpoint, trace = tmp_path / "checkpoint_best.pt", tmp_path / "code-was-run"
    content = {"cfg": {}, "model": {}, "extra": RunsCode(trace)}
    if saved_by == "torch":
        torch.save(content, checkpoint)
    else:
        checkpoint.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match="is no usable checkpoint"):
        fairseq_item.ItemModel.from_pretrained(tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("dict.txt", None, "dict.txt is missing; a model folder holds"),
        ("bpe.model", None, "bpe.model is missing"),
        ("checkpoint_best.pt", None, "checkpoint_best.pt is missing"),
        ("checkpoint_best.pt", lambda data: b"", "is no usable checkpoint"),
        ("checkpoint_best.pt", lambda data: b"no checkpoint at all", "is no usable checkpoint"),
        ("checkpoint_best.pt", lambda data: data[: len(data) // 2], "is no usable checkpoint"),
        ("dict.txt", lambda data: data + b"another 1\n", r"dict\.txt is not the one that .*_best"),
        ("bpe.model", lambda data: b"nothing", r"bpe\.model is not the one that .*checkpoint_best"),
    ],
)
def test_damaged_folders(copied, tmp_path, name, change, message):
    folder = tmp_path / "model"
    shutil.copytree(copied, folder)
    if change is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(change((folder / name).read_bytes()))
    with pytest.raises(InputError, match=message):
        fairseq_item.ItemModel.from_pretrained(folder)


def changed(copied, folder, change):
    """A copy of a model folder whose checkpoint ``change(state)`` was called for."""
    shutil.copytree(copied, folder)
    path = folder / "checkpoint_best.pt"
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    return folder


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("dict.txt", lambda data: data + b"another 1\n", "does not fit .*dict.txt: size mismatch"),
        ("bpe.model", lambda data: b"nothing", "not a SentencePiece model"),
        ("dict.txt", lambda data: data + "ä 1\n".encode("latin-1"), "dict.txt is not UTF-8"),
    ],
)
def test_old_checkpoints_hold_no_digests(copied, tmp_path, name, change, message):
    folder = changed(copied, tmp_path / "old", lambda state: state["task_state"].pop("vocabulary"))
    fairseq_item.ItemModel.from_pretrained(folder)
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    with pytest.raises(InputError, match=message):
        fairseq_item.ItemModel.from_pretrained(folder)


def setting(name, value):
    return lambda state: state["cfg"]["model"].__setitem__(name, value)


def keeping(name, value):
    return lambda state: state["task_state"].__setitem__(name, value)


def weight(value):
    def change(state):
        name = next(iter(state["model"]))
        state["model"][name] = value if value is None else state["model"][name] * value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (setting("encoder_layers", 10**6), "--encoder-layers is 1000000; it must be within 1 and"),
        (setting("encoder_layers", 400), "settings of a model of .* parameters, and holds"),
        (setting("encoder_embed_dim", 60_000), "these sizes make a model of"),
        (
            setting("image_size", 1_600_000),
            "--image-size is 1600000; it must be within 1 and 16384",
        ),
        (setting("patch_size", 0), "--patch-size is 0"),
        (setting("patch_size", 16_384), "--patch-size is 16384"),
        (setting("encoder_embed_dim", -32), "--encoder-embed-dim is -32"),
        (setting("encoder_embed_dim", [32]), "has settings of no model"),
        (setting("encoder_layers", "two"), "has settings of no model"),
        (setting("colour", "red"), "has settings of no model"),
        (setting("compute_dtype", "int3"), "has settings of no model"),
        (setting("dropout", float("nan")), "--dropout is nan"),
        (setting("max_title_length", 10**9), "--max-title-length is 1000000000"),
        (lambda state: state["cfg"].pop("model"), "is not a checkpoint that fairseq-train wrote"),
        (lambda state: state.update(cfg=[1]), "is not a checkpoint that fairseq-train wrote"),
        (weight(None), "is not a checkpoint that fairseq-train wrote"),
        (weight(float("nan")), "has weights that are not finite numbers: its training failed"),
        (keeping("categories", "mug"), "keeps what fairseq-train does not write"),
        (keeping("stored_image_size", 10**9), "keeps what fairseq-train does not write"),
        (keeping("stored_image_size", "40"), "keeps what fairseq-train does not write"),
        (keeping("fit", "../pad"), "keeps what fairseq-train does not write"),
        (keeping("vocabulary", ["dict.txt"]), "keeps what fairseq-train does not write"),
    ],
)
def test_malformed_checkpoints_are_refused_at_once(copied, tmp_path, change, message):
    folder = changed(copied, tmp_path / "model", change)
    with pytest.raises(InputError, match=message) as error:
        fairseq_item.ItemModel.from_pretrained(folder)
    assert "checkpoint_best.pt" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {}}, "is not a checkpoint that fairseq-train wrote"),
        ([1, 2], "is not a checkpoint that fairseq-train wrote"),
        ({"model": {}, "cfg": {"model": {"_name": "transformer"}}}, "holds a model 'transformer'"),
    ],
)
def test_other_people_s_checkpoints(copied, tmp_path, content, message):
    for name in ("dict.txt", "bpe.model"):
        shutil.copy(copied / name, tmp_path)
    torch.save(content, tmp_path / "checkpoint_best.pt")
    with pytest.raises(InputError, match=message):
        fairseq_item.ItemModel.from_pretrained(tmp_path)


def test_a_checkpoint_from_before_an_option_has_its_default(copied, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(copied, folder)
    path = folder / "checkpoint_best.pt"
    state = torch.load(path, weights_only=True)
    del state["cfg"]["model"]["embed_layers"]
    torch.save(state, path)
    titles = ["red shoe"]
    load = fairseq_item.ItemModel.from_pretrained
    old, new = (load(str(f)).encode(titles=titles) for f in (folder, copied))
    assert all(np.array_equal(*parts) for parts in zip(old, new))


def test_settings_of_old_checkpoints_are_read(copied, tmp_path):
    """``without_images`` was called ``without_pictures``."""
    folder = tmp_path / "old"
    shutil.copytree(copied, folder)
    path = folder / "checkpoint_best.pt"
    state = torch.load(path, weights_only=True)
    del state["cfg"]["model"]["without_images"], state["cfg"]["model"]["no_cpu_kernels"]
    state["cfg"]["model"]["without_pictures"] = True
    torch.save(state, path)
    hub = fairseq_item.ItemModel.from_pretrained(folder)
    assert not hub.model.sees_images
    assert not hub.encode(titles=["red shoe"])[2].any()
