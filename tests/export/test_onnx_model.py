"""ONNX: equal to torch, with a runner that needs neither torch nor fairseq."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import fairseq_item
from fairseq_item.errors import InputError
from fairseq_item.export import bundle, onnx_model

for name in ("onnx", "onnxruntime", "onnxscript"):
    pytest.importorskip(name)

TITLES = ["acme red mug 12x", None, "zenor\tBLUE  ﬁne hat \U0001f600", "", "red " * 50, "mug"]
# In the tests' own process the runner's module is the package's; this is the one of the folder.
ALONE = """
import json, sys
for name in ("torch", "fairseq", "fairseq_item", "omegaconf", "transformers"):
    sys.modules[name] = None  # importing it is an error
import numpy as np
from onnx_runner import ItemRunner
folder, file, titles, images, out = json.loads(sys.argv[1])
parts = ItemRunner(folder, file, threads=1).encode(titles, images, batch_size=4)
np.savez(out, *parts)
"""


@pytest.fixture(scope="module")
def hub(model_folder):
    return fairseq_item.ItemModel.from_pretrained(model_folder)


@pytest.fixture(scope="module")
def exported(hub, model_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "model"
    assert onnx_model.write(hub, model_folder, out, int8=True) <= onnx_model.TOLERANCE
    return out


@pytest.fixture(scope="module")
def images(data_bin, tmp_path_factory):
    """Images of many kinds, one a title, as paths."""
    folder = tmp_path_factory.mktemp("images")
    drawn = [Image.open(path) for path in sorted((data_bin.parent / "images").glob("*.png"))[:4]]
    noise = np.random.default_rng(0).integers(0, 255, (70, 53, 4), np.uint8)
    kinds = {
        "a.png": drawn[0].convert("P"),
        "b.jpg": drawn[1].convert("CMYK").resize((301, 111)),
        "c.png": Image.fromarray(noise),
        "d.png": Image.fromarray(noise[..., 0].astype(np.uint16) * 250),
        "e.webp": drawn[2],
    }
    for name, image in kinds.items():
        image.save(folder / name)
    turned = drawn[3].getexif()
    turned[0x0112] = 6
    drawn[3].resize((64, 20)).save(folder / "f.jpg", exif=turned)
    paths = [str(folder / name) for name in [*kinds, "f.jpg"]]
    paths[2] = None
    return paths


@pytest.mark.parametrize(("file", "close"), [("model.onnx", 1e-5), ("model.int8.onnx", 0.2)])
def test_the_runner_alone_finds_what_torch_does(hub, exported, images, tmp_path, file, close):
    question = json.dumps([str(exported), file, TITLES, images, str(tmp_path / "found.npz")])
    done = subprocess.run(
        [sys.executable, "-c", ALONE, question],
        cwd=tmp_path, env={"PYTHONPATH": str(exported)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = np.load(tmp_path / "found.npz")
    for ours, theirs in zip(hub.encode(TITLES, images), found.values(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=close)
        np.testing.assert_array_equal(ours.any(1), theirs.any(1))  # zeros for what is lacking
        if file == "model.int8.onnx":
            assert np.abs(ours - theirs).max() > 1e-5  # it is another model, not the same file


def test_it_reads_just_what_the_library_reads(hub, exported, images):
    from fairseq_item.export.onnx_runner import ItemRunner

    found = ItemRunner(exported, threads=1).inputs(TITLES, images)
    for name, value in zip(onnx_model.INPUTS, hub.inputs(TITLES, images)):
        np.testing.assert_array_equal(found[name], value.numpy())


def test_one_product_and_none(hub, exported, images):
    from fairseq_item.export.onnx_runner import ItemRunner

    runner = ItemRunner(exported, threads=1)
    for one, other in zip(runner.encode(titles=["red mug"]), hub.encode(titles=["red mug"])):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert [part.shape for part in runner.encode([], [])] == [(0, hub.dim)] * 3
    with pytest.raises(ValueError, match="1 titles beside 2 images"):
        runner.encode(["red mug"], [None, None])
    with pytest.raises(ValueError, match=r"none\.png cannot be used"):
        runner.encode(images=["none.png"])


def test_int8_is_smaller(exported):
    sizes = [(exported / name).stat().st_size for name in (onnx_model.INT8, onnx_model.FILE)]
    assert sizes[0] < 0.7 * sizes[1]


def test_the_runner_has_no_import_of_ours(exported):
    text = (exported / onnx_model.RUNNER).read_text()
    assert text == bundle.runner_source()
    assert "import fairseq" not in text
    assert "from fairseq" not in text
    compile(text, "onnx_runner.py", "exec")


def test_the_runner_reads_word_pieces_as_well(tmp_path):
    """Of its two tokenizers; the model itself is no other."""
    pytest.importorskip("tokenizers")
    from fairseq_item.data.titles import open_tokenizer
    from fairseq_item.preprocess import wordpiece

    symbols = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "mug", "shoe", "##s"]
    words = [*symbols, *"abcdefghijklmnopqrstuvwxyz"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    content = wordpiece.read_vocabulary(tmp_path / "vocab.txt", "fold")
    titles = ["red shoes", "Red MUG \u2603"]
    wordpiece.write(tmp_path, content, wordpiece.count_tokens(content, titles))
    alone = {}
    exec(bundle.runner_source(), alone)
    ours, theirs = open_tokenizer(tmp_path), alone["open_tokenizer"](tmp_path)
    assert type(theirs).__name__ == "WordPieceTokenizer"
    for title in titles:
        np.testing.assert_array_equal(ours.encode(title), theirs.encode(title))


def test_other_models_are_refused(hub, model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "model", torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match="this is a Linear; only ITEm goes to ONNX"):
        onnx_model.write(hub, model_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
