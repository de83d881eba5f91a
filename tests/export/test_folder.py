"""Safetensors folders: bit-equal to the checkpoint, and nothing else is taken for one."""

import json
import shutil

import numpy as np
import pytest
import torch

import fairseq_item
from fairseq_item.commands import verify
from fairseq_item.errors import InputError
from fairseq_item.export import config as export_config
from fairseq_item.export import folder, loading
from fairseq_item.export.facts import facts
from fairseq_item.models.pretrained_text import BERT_EPS

pytest.importorskip("safetensors")
TITLES = ["acme red mug 12x", None, "zenor blue hat", ""]


@pytest.fixture(scope="module")
def hub(model_folder):
    return fairseq_item.ItemModel.from_pretrained(model_folder)


@pytest.fixture(scope="module")
def images(data_bin):
    files = sorted((data_bin.parent / "images").glob("*.png"))
    return [files[0], files[1], None, files[2]]


@pytest.fixture(scope="module")
def exported(hub, model_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "model"
    folder.write(hub, model_folder, out, facts=facts(model_folder))
    return out


@pytest.fixture
def copied(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "copy")


def test_it_is_the_same_model(hub, exported, images):
    again = fairseq_item.ItemModel.from_pretrained(exported)
    for one, other in zip(hub.encode(TITLES, images), again.encode(TITLES, images), strict=True):
        np.testing.assert_array_equal(one, other)
    ours, theirs = hub.model.state_dict(), again.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    # So embeddings of either go with those of the other.
    assert again.digest == hub.digest
    assert (again.stored_image_size, again.fit) == (hub.stored_image_size, hub.fit)


def test_rounded_weights_are_half_as_large_and_another_model(hub, model_folder, exported, tmp_path):
    folder.write(hub, model_folder, tmp_path / "low", "bfloat16")
    sizes = [(f / folder.WEIGHTS).stat().st_size for f in (tmp_path / "low", exported)]
    assert 0.45 < sizes[0] / sizes[1] < 0.6
    low = fairseq_item.ItemModel.from_pretrained(tmp_path / "low")
    assert low.digest != hub.digest
    assert next(hub.model.parameters()).dtype == torch.float32  # the one in memory stays
    exact, rounded = (h.encode(["acme red mug"])[0] for h in (hub, low))
    assert 0 < np.abs(exact - rounded).max() < 0.05


def test_a_classifier_keeps_its_categories(model_folder, tmp_path):
    hub = fairseq_item.ItemModel.from_pretrained(model_folder)
    hub.model.add_classifier(2)
    hub.eval()
    hub.categories = ["mug", "größe"]
    folder.write(hub, model_folder, tmp_path / "out")
    again = fairseq_item.ItemModel.from_pretrained(tmp_path / "out")
    assert again.predict(["acme red mug"]) == hub.predict(["acme red mug"])


def test_config_has_no_path(exported, model_folder, data_bin):
    text = (exported / folder.CONFIG).read_text()
    assert str(model_folder.parent) not in text
    assert str(data_bin.parent) not in text


def test_nor_has_that_of_a_model_which_started_from_a_file(model_folder, tmp_path):
    hub = fairseq_item.ItemModel.from_pretrained(model_folder)
    hub.model.cfg.init_text = "/home/somebody/bert/model.safetensors"
    config = folder.write(hub, model_folder, tmp_path / "out")
    assert config["model"]["init_text"] == "model.safetensors"
    # Which is why its LayerNorm has BERT's epsilon; the file is not read again.
    assert loading.load(tmp_path / "out").model.embedding.norm.eps == BERT_EPS


def test_the_card_says_what_it_was_trained_on(exported, data_bin):
    card = (exported / folder.CARD).read_text()
    products = json.loads((data_bin / "image" / "train.json").read_text())["count"]
    assert f"| trained on | {products:,} products |" in card
    assert "| updates | 4 |" in card
    assert "| products an update | 16 |" in card
    assert "mlm 0.1" in card
    assert folder.digest_of(exported / folder.WEIGHTS) in card


def test_what_was_exported_can_be_exported_again(exported, tmp_path):
    hub = fairseq_item.ItemModel.from_pretrained(exported)
    config = folder.write(hub, exported, tmp_path / "again", facts=facts(exported))
    assert config == export_config.read_config(exported)


def test_other_folders_are_not_written_to(hub, model_folder, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "config.json").write_text('{"format": "another"}')
    with pytest.raises(InputError, match="holds other things"):
        folder.write(hub, model_folder, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "mine.txt"]


def config_with(path, **changes):
    config = json.loads((path / folder.CONFIG).read_text())
    for name, value in changes.items():
        (config if name in config else config["model"])[name] = value
    (path / folder.CONFIG).write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_layers": 1_000_000}, "encoder_layers is 1000000"),
        ({"encoder_layers": 60_000}, "encoder_layers is 60000, but .* has .* tensors"),
        ({"image_size": 1_600_000}, "image_size is 1600000"),
        ({"image_size": 512}, "embedding.patch_position.weight has shape"),
        ({"encoder_ffn_embed_dim": 65_536}, "fc1.* has shape"),
        ({"encoder_layers": 3}, "does not fit"),
        ({"_name": "transformer"}, "which this plugin does not know"),
        ({"version": 2}, "has version 2"),
        ({"encoder_layers": "many"}, "settings of no model"),
        ({"encoder_embed_dim": -4}, "encoder-embed-dim"),
        ({"nonsense": 3}, "settings of no model"),
        ({"model": 3}, "model is missing or wrong"),
        ({"stored_image_size": 1_000_000}, "stored_image_size is missing or wrong"),
        ({"fit": "bend"}, "fit is missing or wrong"),
        ({"categories": {"a": 1}}, "categories is missing or wrong"),
        ({"categories": ["a", "b"]}, "does not fit"),
    ],
)
def test_sizes_are_those_of_the_file_before_anything_is_built(copied, changes, message):
    config_with(copied, **changes)
    with pytest.raises(InputError, match=message):
        loading.load(copied)


@pytest.mark.parametrize("name", ["model.safetensors", "dict.txt", "bpe.model"])
@pytest.mark.parametrize("harm", ["cut", "missing", "changed"])
def test_files_are_those_that_were_written(copied, name, harm):
    path = copied / name
    data = path.read_bytes()
    path.unlink()
    if harm == "cut":
        path.write_bytes(data[:-7])
    if harm == "changed":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(InputError, match=name):
        loading.load(copied)
    with pytest.raises(InputError, match=name):
        verify.main([str(copied)])


def test_a_whole_folder_is_verified(exported, capsys):
    verify.main([str(exported)])
    assert capsys.readouterr().out == f"{exported}: whole\n"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "fairseq-item"}', None])
def test_a_damaged_config(copied, text):
    path = copied / folder.CONFIG
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match="config.json"):
        loading.load(copied)


def test_a_config_of_any_size_is_not_read(copied, monkeypatch):
    monkeypatch.setattr(export_config, "LONGEST", 100)
    with pytest.raises(InputError, match="more than 100 bytes"):
        loading.load(copied)


def test_an_export_that_fails_leaves_the_one_before(hub, model_folder, copied, monkeypatch):
    before = sorted(path.name for path in copied.iterdir())

    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(folder, "finish", fail)
    with pytest.raises(OSError, match="No space"):
        folder.write(hub, model_folder, copied, "bfloat16")
    assert sorted(path.name for path in copied.iterdir()) == before
    assert loading.load(copied).digest == hub.digest
    assert sorted(path.name for path in copied.parent.iterdir()) == ["copy"]
