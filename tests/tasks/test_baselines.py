"""Each baseline, and each way to a classifier, under fairseq-train and our own commands."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fairseq_item import ItemModel
from fairseq_item.commands import embed, index, predict, search
from fairseq_item.data.tsv import read_table
from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import Embeddings
from fairseq_item.search.hits import read_hits
from fairseq_item.tasks.restoring import check_start

ROOT = Path(__file__).parents[2]
INPUT = ["--image-size", 32, "--patch-size", 8, "--max-title-length", 8]
SIZES = [
    "--encoder-layers", 2, "--encoder-embed-dim", 32, "--encoder-ffn-embed-dim", 64,
    "--encoder-attention-heads", 2, *INPUT,
]  # fmt: skip
MODELS = {
    "item": ["--arch", "item_tiny", *SIZES],
    "clip": ["--arch", "item_clip_tiny", *SIZES, "--joint-dim", 16],
    "roberta": ["--arch", "item_roberta_tiny", *SIZES],
    "resnet": ["--arch", "item_resnet_tiny", "--width", 8, *INPUT],
}
CLASSIFY = [
    "--task", "item_classification", "--criterion", "item_classification",
    "--best-checkpoint-metric", "accuracy", "--maximize-best-checkpoint-metric",
]  # fmt: skip
CLIP = ["--task", "clip_pretraining", "--criterion", "clip"]
ADAMW = ["--optimizer", "fused_adamw", "--lr-scheduler", "fixed", "--lr", 3e-3]
SGD = ["--optimizer", "momentum_sgd", "--lr-scheduler", "plateau", "--lr", 0.02]
TRAINING = {
    "item": ["--task", "item_pretraining", "--criterion", "item_pretraining", *ADAMW],
    "clip": [*CLIP, *ADAMW, "--adamw-decay-matrices-only"],
    "roberta": ["--task", "title_pretraining", "--criterion", "masked_lm", *ADAMW],
    "resnet": [*CLASSIFY, *SGD],
}
DIM = {"clip": 32, "roberta": 32, "resnet": 64}
baselines = pytest.mark.parametrize("name", DIM)


def arguments(data, folder, *options, updates):
    """Arguments of fairseq-train for a few updates of a very small model."""
    return [
        data, "--user-dir", ROOT / "fairseq_item", "--save-dir", folder, "--batch-size", 16,
        "--required-batch-size-multiple", 1, "--max-update", updates, "--cpu", "--num-workers", 0,
        "--no-epoch-checkpoints", "--log-interval", 1, "--log-format", "json", *options,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def train(commands, data_bin):
    """Runs fairseq-train on the small data-bin."""

    def run(folder, *options, updates, status=0):
        argv = arguments(data_bin, folder, *options, updates=updates)
        return commands.run("fairseq_cli.train", *argv, status=status)

    return run


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory):
    """Trains a model once for all tests; returns its folder and :class:`Run`."""
    done = {}

    def run(name):
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            done[name] = folder, train(folder, *TRAINING[name], *MODELS[name], updates=12)
        return done[name]

    return run


def numbers(lines, *names):
    return [[float(line[name]) for name in names] for line in lines]


def weights(folder):
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)["model"]


def call(command, *argv):
    command.main([str(value) for value in argv])


@baselines
def test_a_baseline_resumes_as_if_it_had_not_stopped(train, trained, tmp_path, name):
    whole = trained(name)[1].lines("train_inner")
    options = [*TRAINING[name], *MODELS[name]]
    train(tmp_path, *options, updates=7)
    rest = train(tmp_path, *options, updates=12).lines("train_inner")
    keys = ("num_updates", "loss", "gnorm", "lr")
    assert numbers(rest, *keys) == [pytest.approx(row) for row in numbers(whole[7:], *keys)]


@baselines
def test_a_baseline_embeds_and_is_searched(data_bin, trained, tmp_path, name):
    folder, _ = trained(name)
    out, hits = tmp_path / "embeddings", tmp_path / "hits.tsv"
    call(embed, "--checkpoint", folder, "--data", data_bin, "--split", "test", "--out", out)
    embeddings = Embeddings.load(out)
    rows = embeddings.arrays["global"]
    assert embeddings.dim == DIM[name]
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert not np.any(embeddings.arrays["title"])
    assert not np.any(embeddings.arrays["image"])

    plain = ["--transform", "none", "--calibration", "none", "--fusion", "max"]
    plain += ["--weights", 1, 1, 1]
    call(index, out, "--out", tmp_path / "index", *plain)
    call(search, tmp_path / "index", "--queries", out, "-k", 3, "--out", hits)
    found = read_hits(hits)
    assert set(found) == set(embeddings.ids)
    for query, answers in found.items():
        best = np.sort(rows @ rows[embeddings.ids.index(query)])[::-1][:3]
        assert [hit.score for hit in answers] == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("name", ["item", "clip", "roberta"])
def test_a_pretrained_checkpoint_becomes_a_classifier(
    train, data_bin, trained, tmp_path, capsys, name
):
    start, model = tmp_path / "start", tmp_path / "model"
    shutil.copytree(trained(name)[0], start)
    options = [*CLASSIFY, *MODELS[name], *ADAMW]
    options += ["--finetune-from-model", start / "checkpoint_last.pt"]
    train(model, *options, updates=1)
    before, after = weights(start), weights(model)
    shared = [key for key in after if key in before and after[key].is_floating_point()]
    assert {"classifier.linear.weight", "classifier.linear.bias"} <= set(after) - set(shared)
    moved = max(float((after[key] - before[key]).abs().max()) for key in shared)
    assert 0 < moved < 0.01  # one update away from where it started, not drawn anew

    shutil.rmtree(start)  # to go on, what it started from is not needed
    lines = train(model, *options, updates=15).lines("train_inner")
    losses = numbers(lines, "loss")
    assert np.mean(losses[-4:]) < np.mean(losses[:4])

    out, splits = tmp_path / "predictions.tsv", ("valid", "test")
    capsys.readouterr()
    argv = ["--checkpoint", model, "--data", data_bin, "--out", out]
    call(predict, *argv, "--split", ",".join(splits), "-k", 2)
    result = json.loads(capsys.readouterr().out)
    table = read_table(out, ["id", "rank", "category", "probability"], only=True)
    items = [read_table(data_bin / "items" / f"{split}.tsv", ["id"]) for split in splits]
    truth = [category for split in items for category in split.column("leaf_category")]
    assert table.column("id")[::2] == [id_ for split in items for id_ in split.column("id")]
    assert table.column("rank") == ["1", "2"] * len(truth)
    right = 100 * np.mean([a == b for a, b in zip(table.column("category")[::2], truth)])
    assert result["Acc@1"] == pytest.approx(right, abs=0.01)
    assert result["Acc@5"] == 100.0  # of four categories
    assert (result["products"], result["unknown_category"]) == (len(truth), 0)


def test_the_hub_predicts_what_the_command_does(data_bin, trained, tmp_path):
    folder, out = trained("resnet")[0], tmp_path / "predictions.tsv"
    call(predict, "--checkpoint", folder, "--data", data_bin, "--out", out)
    table, per_product = read_table(out, ["id"]), 4
    expected = list(zip(table.column("category"), map(float, table.column("probability"))))
    hub = ItemModel.from_pretrained(folder)
    items = read_table(data_bin / "items" / "test.tsv", ["image", "title"])
    images = [data_bin.parent / "images" / name for name in items.column("image")]
    found = hub.predict(items.column("title"), images, k=3, batch_size=5)
    assert len(found) == len(items)
    for row, start in zip(found, range(0, len(expected), per_product)):
        names, probabilities = zip(*row)
        own_names, own_probabilities = zip(*expected[start : start + 3])
        assert names == own_names
        assert probabilities == pytest.approx(own_probabilities, abs=1e-5)
    blank = hub.predict(images=[Image.new("RGB", (40, 40), "white")])[0]
    assert sum(probability for _, probability in blank) == pytest.approx(1)


def test_what_cannot_predict_says_so(data_bin, trained, tmp_path):
    folder, _ = trained("item")
    with pytest.raises(InputError, match="predicts no categories; fine-tune it"):
        ItemModel.from_pretrained(folder).predict(["mug"])
    with pytest.raises(InputError, match="predicts no categories; fine-tune it"):
        call(predict, "--checkpoint", folder, "--data", data_bin, "--out", tmp_path / "out.tsv")
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_another_vocabulary_is_no_start(data_bin, trained, tmp_path):
    folder, dictionary = trained("item")[0], data_bin / "title" / "dict.txt"
    check_start(folder / "checkpoint_last.pt", dictionary)
    with pytest.raises(InputError, match="is missing; name a checkpoint"):
        check_start(folder / "no.pt", dictionary)
    other = tmp_path / "dict.txt"
    other.write_text(dictionary.read_text() + "more 1\n")
    with pytest.raises(InputError, match="is not the dictionary of"):
        check_start(folder / "checkpoint_last.pt", other)


def test_the_rate_falls_and_training_stops_without_gain_also_across_restarts(train, tmp_path):
    """The first epoch is the best; the rate falls after two without gain, the end is after five."""
    options = [
        *CLASSIFY, *MODELS["item"], *SGD, "--lr", 1e-9, "--plateau-epochs", 2, "--patience", 5,
        "--train-subset", "valid",
    ]  # fmt: skip
    whole = train(tmp_path / "whole", *options, "--max-epoch", 20, updates=100)
    assert "early stop since valid performance hasn't improved for last 5 runs" in whole.output
    lines = whole.lines("train_inner")
    rates = [1e-9] * 3 + [1e-10] * 2 + [1e-11]
    assert [float(line["lr"]) for line in lines] == pytest.approx(rates)
    assert len({line["valid_accuracy"] for line in whole.lines("valid")}) == 1

    parts = []
    for epoch in (2, 3, 20):
        run = train(tmp_path / "parts", *options, "--max-epoch", epoch, updates=100)
        parts += run.lines("train_inner")
    assert numbers(parts, "num_updates", "lr") == numbers(lines, "num_updates", "lr")


def test_two_processes_contrast_with_the_products_of_both(commands, train, data_bin, tmp_path):
    """Batches of 8 and 6 in two processes give the loss and the weights of one batch of 14.

    Without gathering each process would tell apart its own products only, and without the
    gradient of what is gathered the weights would differ.
    """
    options = [
        *CLIP, *MODELS["clip"], "--dropout", 0, "--attention-dropout", 0, "--train-subset",
        "valid", "--optimizer", "momentum_sgd", "--lr-scheduler", "fixed", "--lr", 0.1,
    ]  # fmt: skip
    one = train(tmp_path / "one", *options, updates=3)
    options += [
        "--batch-size", 8, "--distributed-backend", "gloo", "--distributed-world-size", 2,
        "--distributed-no-spawn", "--distributed-init-method", f"file://{tmp_path}/meet",
        "--ddp-backend", "legacy_ddp",
    ]  # fmt: skip
    argv = arguments(data_bin, tmp_path / "two", *options, updates=3)
    started = [
        commands.start("fairseq_cli.train", *argv, "--distributed-rank", rank) for rank in range(2)
    ]
    runs = [commands.wait(process) for process in started]
    assert [run.status for run in runs] == [0, 0], runs[0].output[-4000:]
    keys = ("loss", "gnorm", "bsz")
    assert numbers(runs[0].lines("train_inner"), *keys) == [
        pytest.approx(row, rel=1e-3) for row in numbers(one.lines("train_inner"), *keys)
    ]
    own, both = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in own.items():
        assert torch.allclose(both[name], value, atol=1e-5), name
