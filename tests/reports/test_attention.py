"""What [CLS] looks at: the weights that the model itself mixes by."""

import numpy as np
import pytest
import torch
from PIL import Image

import fairseq_item
from fairseq_item.commands import attention as command
from fairseq_item.errors import InputError
from fairseq_item.modules.attention import Layout
from fairseq_item.reports.attention import cls_attention, shares

TITLE = "acme red mug 12x"


@pytest.fixture(scope="module")
def hub(model_folder):
    return fairseq_item.ItemModel.from_pretrained(model_folder)


@pytest.fixture(scope="module")
def image(data_bin):
    return str(sorted((data_bin.parent / "images").glob("*.png"))[0])


def test_they_are_what_the_layers_mix_by(hub, image):
    """Values weighted by them are what the model's own attention makes of [CLS]."""
    found = cls_attention(hub, TITLE, image)
    layers, heads = len(hub.model.encoder.layers), hub.model.encoder.layers[0].heads
    assert found.title.shape == (layers, heads, len(found.tokens))
    weights = np.concatenate([found.title, found.patches.reshape(layers, heads, -1)], -1)
    with torch.inference_mode():
        sequence, present = hub.model.sequence(*hub.inputs([TITLE], [image])[:2])
        layout = Layout(*sequence.shape[:2], present)
        rows = layout.to_rows(sequence)
        for own, layer in zip(weights, hub.model.encoder.layers):
            qkv = layer.qkv(rows)
            values = qkv[:, 2 * rows.size(1) :].unflatten(1, (heads, -1)).numpy()
            mixed = np.einsum("hl,lhd->hd", own, values).ravel()
            np.testing.assert_allclose(mixed, layout.attend(qkv, heads)[0].numpy(), atol=1e-5)
            rows = layer(rows, layout)


def test_tokens_and_image_are_those_that_the_model_sees(hub, image):
    found = cls_attention(hub, TITLE, image)
    assert found.tokens == ["[CLS]", *hub.tokenizer.tokens(TITLE)[:8], "[SEP]"]
    side = hub.geometry.image_size
    assert found.image.shape == (side, side, 3)
    stored = np.asarray(Image.open(image).convert("RGB"))
    np.testing.assert_array_equal(found.image, stored[4:36, 4:36])  # the middle 32 of 40


def test_what_a_product_lacks_is_not_looked_at(hub, image):
    alone = cls_attention(hub, TITLE)
    assert alone.image is None
    assert not alone.patches.any()
    for share in shares(alone) + shares(cls_attention(hub, image=image)):
        assert sum(share.values()) == pytest.approx(1, abs=1e-5)
    assert cls_attention(hub, image=image).tokens == ["[CLS]", "[SEP]"]
    assert shares(cls_attention(hub, image=image))[0]["title"] == pytest.approx(0, abs=1e-6)


def test_the_command_draws_all_layers_or_some(model_folder, image, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    sizes = []
    for name, options in (("all.png", []), ("last.png", ["--layers", "2"])):
        out = str(tmp_path / name)
        title = ["--title", "acme $red$ mug"]  # matplotlib would take it for a formula
        command.main([str(model_folder), *title, "--image", image, "--out", out, *options])
        assert "% title" in capsys.readouterr().out
        sizes.append(Image.open(out).size)
    assert sizes[0][0] == sizes[1][0]
    assert sizes[0][1] == pytest.approx(2 * sizes[1][1], abs=2)
    command.main([str(model_folder), "--title", "mug", "--out", str(tmp_path / "title.svg")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give a title, an image or both"),
        (["--title", "mug", "--layers", "3"], "has the layers 1 to 2"),
        (["--title", "mug", "--layers", "0"], "a whole number of 1 or more"),
        (["--image", "nowhere.png"], "nowhere.png cannot be read"),
    ],
)
def test_bad_input(model_folder, tmp_path, options, message):
    pytest.importorskip("matplotlib")
    with pytest.raises(InputError, match=message):
        command.main([str(model_folder), *options, "--out", str(tmp_path / "out.png")])
    assert not (tmp_path / "out.png").exists()
