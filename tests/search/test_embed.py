"""``item-embed``: what it writes does not depend on how the work was cut."""

import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from fairseq_item import ItemModel
from fairseq_item.commands import embed as embed_command
from fairseq_item.commands.common import run
from fairseq_item.data.image_store import ImageStore, ImageStoreWriter
from fairseq_item.data.token_store import TokenStore, TokenWriter
from fairseq_item.errors import InputError
from fairseq_item.modules import precision
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings


def embedded(model_folder, data, out, *options):
    embed_command.main(
        ["--checkpoint", str(model_folder), "--data", str(data), "--out", str(out)]
        + ["--device", "cpu", *map(str, options)]
    )
    return Embeddings.load(out)


@pytest.fixture(scope="module")
def whole(model_folder, data_bin, tmp_path_factory):
    """All training products, embedded in one go."""
    out = tmp_path_factory.mktemp("whole")
    return embedded(model_folder, data_bin, out, "--split", "train")


def assert_equal(one, other, tolerance=0.0):
    assert one.ids == other.ids
    for part in EMBEDDINGS:
        assert np.allclose(one.arrays[part], other.arrays[part], rtol=0, atol=tolerance), part


def test_rows_are_the_items_of_the_split(whole, data_bin, model_folder, capsys):
    lines = (data_bin / "items" / "train.tsv").read_text().splitlines()
    assert whole.ids == [line.split("\t")[0] for line in lines[1:]]
    assert whole.items.fieldnames == lines[0].split("\t")
    assert (len(whole), whole.dim) == (68, 32)
    assert whole.meta["checkpoint"] == str(model_folder.resolve())
    assert whole.meta["untrained"] is False
    for part in EMBEDDINGS:
        assert np.allclose(np.linalg.norm(whole.arrays[part], axis=1), 1, atol=1e-5)
        assert len(np.unique(whole.arrays[part], axis=0)) > 10


@pytest.mark.parametrize("size", [1, 7, 64])
def test_batch_size_does_not_matter(whole, model_folder, data_bin, tmp_path, size):
    options = ["--split", "train", "--batch-size", size]
    assert_equal(embedded(model_folder, data_bin, tmp_path, *options), whole, 1e-6)


def test_loading_processes_do_not_matter(whole, model_folder, data_bin, tmp_path):
    options = ["--split", "train", "--num-workers", 2]
    assert_equal(embedded(model_folder, data_bin, tmp_path, *options), whole)


def test_two_processes_write_what_one_does(commands, whole, model_folder, data_bin, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    options = [
        "--checkpoint", model_folder, "--data", data_bin, "--split", "train", "--device", "cpu",
        "--out", tmp_path / "out", "--batch-size", 16,
    ]  # fmt: skip
    started = [
        commands.start("fairseq_item.commands.embed", *options, RANK=str(rank), **shared)
        for rank in range(2)
    ]
    runs = [commands.wait(process) for process in started]
    assert [run.status for run in runs] == [0, 0], runs[0].output + runs[1].output
    assert_equal(Embeddings.load(tmp_path / "out"), whole, 1e-6)
    assert "68 embeddings" in runs[0].output
    assert "68 embeddings" not in runs[1].output


def test_splits_follow_one_another(whole, model_folder, data_bin, tmp_path):
    both = embedded(model_folder, data_bin, tmp_path / "both", "--split", "valid,train")
    valid = embedded(model_folder, data_bin, tmp_path / "valid", "--split", "valid")
    assert both.ids == valid.ids + whole.ids
    for part in EMBEDDINGS:
        assert np.allclose(both.arrays[part][:14], valid.arrays[part], atol=1e-6)
        assert np.allclose(both.arrays[part][14:], whole.arrays[part], atol=1e-6)


def test_shards_are_read_as_one_split(whole, model_folder, data_bin, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(data_bin, data)
    images, titles = ImageStore(data / "image" / "train"), TokenStore(data / "title" / "train")
    header, *rows = (data / "items" / "train.tsv").read_text().splitlines(keepends=True)
    for name, part in (("train0", range(30)), ("train1", range(30, 68))):
        lines = [header, *(rows[i] for i in part)]
        (data / "items" / f"{name}.tsv").write_text("".join(lines))
        with ImageStoreWriter(data / "image" / name, image_size=40, patch_size=8) as writer:
            for i in part:
                writer.add(images.image(i))
        with TokenWriter(data / "title" / name, 400) as writer:
            for i in part:
                writer.add(titles[i][:-1])
    for path in data.glob("*/train.*"):
        path.unlink()
    assert_equal(embedded(model_folder, data, tmp_path / "out", "--split", "train"), whole)


def test_splits_with_other_columns(model_folder, data_bin, tmp_path, bind):
    data = tmp_path / "data"
    shutil.copytree(data_bin, data)
    path = data / "items" / "test.tsv"
    lines = [line.rsplit("\t", 1)[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    bind(data, "test")
    both = embedded(model_folder, data, tmp_path / "out", "--split", "valid,test")
    assert both.items[0].keys() == both.items[20].keys()
    assert both.items[20]["id"]
    assert both.items[20][both.items.fieldnames[-1]] == ""


def test_float16_is_half_the_size_and_nearly_the_same(whole, model_folder, data_bin, tmp_path):
    half = embedded(model_folder, data_bin, tmp_path, "--split", "train", "--dtype", "float16")
    assert half.arrays["global"].dtype == np.float16
    assert_equal(half, whole, 1e-3)


def test_bfloat16_computes_nearly_the_same(whole, model_folder, data_bin, tmp_path):
    low = embedded(
        model_folder, data_bin, tmp_path, "--split", "train", "--compute-dtype", "bfloat16"
    )
    assert_equal(low, whole, 0.05)
    assert not np.array_equal(low.arrays["global"], whole.arrays["global"])


def test_auto_computes_in_the_precision_that_is_faster(
    whole, model_folder, data_bin, tmp_path, monkeypatch
):
    seconds = {"float32": 2.0, "bfloat16": 1.0}
    monkeypatch.setattr(precision, "measure", lambda *widths: seconds)
    options = ["--split", "train", "--compute-dtype"]
    auto = embedded(model_folder, data_bin, tmp_path / "auto", *options, "auto")
    low = embedded(model_folder, data_bin, tmp_path / "low", *options, "bfloat16")
    assert_equal(auto, low)
    assert not np.array_equal(auto.arrays["global"], whole.arrays["global"])


def test_untrained_is_another_model_of_the_same_size_and_seeded(
    whole, model_folder, data_bin, tmp_path
):
    drawn = [
        embedded(
            model_folder, data_bin, tmp_path / str(number), "--split", "train", "--untrained",
            "--seed", seed,
        )
        for number, seed in enumerate([1, 1, 2])
    ]  # fmt: skip
    assert_equal(drawn[0], drawn[1])
    assert drawn[0].meta["untrained"] is True
    for part in EMBEDDINGS:
        assert drawn[0].arrays[part].shape == whole.arrays[part].shape
        assert not np.allclose(drawn[0].arrays[part], whole.arrays[part], atol=1e-3)
        assert not np.allclose(drawn[0].arrays[part], drawn[2].arrays[part], atol=1e-3)


def test_a_run_that_was_cut_off_leaves_what_was_there(
    model_folder, data_bin, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    before = embedded(model_folder, data_bin, out, "--split", "test")

    def killed(hub, dataset, writer, start, stop, *rest):
        write(hub, dataset, writer, start, stop // 2, *rest)
        raise KeyboardInterrupt

    write = embed_command.embed_rows
    monkeypatch.setattr(embed_command, "embed_rows", killed)
    for folder in (out, tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt):
            embedded(model_folder, data_bin, folder, "--split", "train")
    assert_equal(Embeddings.load(out), before)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "trian"], "items/trian.tsv is missing; splits there: test, train, valid"),
        (["--split", ","], "argument --split: ',' names no split"),
        (["--split", "test,test"], "has the id"),
        (["--batch-size", "0"], "argument --batch-size: '0' is not a whole number of 1 or more"),
        (["--device", "abacus"], "there is no device 'abacus' here"),
        (["--checkpoint", "nowhere.pt"], "nowhere.pt is missing"),
        (["--data", "nowhere"], "nowhere/items/test.tsv is missing"),
    ],
)
def test_bad_input_is_one_line(model_folder, data_bin, tmp_path, capfd, options, message):
    argv = ["--checkpoint", str(model_folder), "--data", str(data_bin), "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as end:
        run(embed_command.main, [*argv, *options])
    assert end.value.code == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert message in line
    assert not (tmp_path / "meta.json").exists()


def damaged_copy(data_bin, folder, name, change, bind):
    shutil.copytree(data_bin, folder)
    if callable(change):
        path = folder / name
        path.write_text(change(path.read_text()))
    else:
        bind(folder, Path(name).stem, **change)
    return folder


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("title/dict.txt", lambda text: text + "another 1\n", "is not the model's dictionary"),
        (
            "items/test.tsv",
            lambda text: text + text.splitlines()[1] + "\n",
            r"title/test\.bin belongs to another items file; run item-binarize again",
        ),
        (
            "image/test.json",
            lambda text: text.replace('"patch_size": 8', '"patch_size": 4'),
            r"test\.json was changed after it was written; run item-pack again",
        ),
        (
            "image/test.json",
            {"fit": "crop"},
            "40 pixels and --fit crop, the model's training data had 40 and pad",
        ),
    ],
)
def test_data_that_does_not_fit_the_model_is_refused(
    model_folder, data_bin, tmp_path, name, change, message, bind
):
    data = damaged_copy(data_bin, tmp_path / "data", name, change, bind)
    with pytest.raises(InputError, match=message):
        embedded(model_folder, data, tmp_path / "out", "--split", "test")


def test_further_splits_go_to_folders_of_their_own(model_folder, data_bin, tmp_path):
    embedded(model_folder, data_bin, tmp_path / "alone", "--split", "test")
    also = f"test,valid={tmp_path / 'both'}"
    embedded(model_folder, data_bin, tmp_path / "train", "--split", "train", "--also", also)
    alone, both = (Embeddings.load(tmp_path / name) for name in ("alone", "both"))
    assert both.ids[: len(alone)] == alone.ids
    assert len(both) > len(alone)
    assert both.meta["splits"] == "test,valid"
    for name in EMBEDDINGS:
        assert np.allclose(both.rows(name)[: len(alone)], alone.rows(name), atol=1e-6)


def test_queries_by_one_modality_alone_are_what_the_hub_makes_of_it(
    model_folder, data_bin, tmp_path
):
    folders = {name: tmp_path / name for name in ("image", "title")}
    also = [f"--also=test:{name}={folder}" for name, folder in folders.items()]
    whole = embedded(model_folder, data_bin, tmp_path / "whole", "--split", "test", *also)
    hub = ItemModel.from_pretrained(model_folder)
    images = [data_bin.parent / "images" / name for name in whole.items.column("image")]
    titles = whole.items.column("title")
    given = {"image": (None, images), "title": (titles, None)}
    for name, folder in folders.items():
        alone = Embeddings.load(folder)
        assert alone.ids == whole.ids
        assert alone.meta["only"] == name
        for part, expected in zip(EMBEDDINGS, hub.encode(*given[name])):
            np.testing.assert_allclose(alone.arrays[part], expected, atol=1e-5)
    # No word of the titles is left for the lexical similarity.
    assert set(Embeddings.load(folders["image"]).titles()) == {""}
    assert Embeddings.load(folders["title"]).titles() == titles
    assert whole.meta["only"] is None


@pytest.mark.parametrize("also", ["query", "query=", "=folder", "query:=d", "query:words=d"])
def test_a_further_folder_needs_splits_and_a_name(also, tmp_path):
    with pytest.raises(InputError, match="argument --also: '"):
        embed_command.main(
            ["--checkpoint", "m", "--data", "d", "--out", str(tmp_path), "--also", also]
        )
