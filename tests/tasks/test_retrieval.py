"""Search inside training: it logs what our commands find, and training goes on as it did."""

import json

import numpy as np
import pytest
import torch

from fairseq_item.commands import embed, evaluate, index, search
from fairseq_item.data.tsv import read_table
from fairseq_item.search.hits import write_truth

BEST = ["--best-checkpoint-metric", "map10", "--maximize-best-checkpoint-metric"]
# What is logged, and options of item-search that find the same.
BY = {
    "map10": [],
    "map10_dense": ["--weights", "0.5", "0", "0.5", "0"],
    "map10_title": ["--similarity", "title"],
    "map10_image": ["--similarity", "image"],
}
INPUT = [
    "--encoder-layers", 2, "--encoder-embed-dim", 32, "--encoder-attention-heads", 2,
    "--image-size", 32, "--patch-size", 8, "--max-title-length", 8,
]  # fmt: skip
CLIP = [
    "--task", "clip_pretraining", "--criterion", "clip", "--arch", "item_clip_tiny",
    "--joint-dim", 16, *INPUT,
]  # fmt: skip


@pytest.fixture(scope="module")
def truth(data_bin, tmp_path_factory):
    """Some products of the training split for each valid one."""
    rng = np.random.default_rng(0)
    asked = read_table(data_bin / "items" / "valid.tsv").column("id")
    items = read_table(data_bin / "items" / "train.tsv").column("id")
    path = tmp_path_factory.mktemp("truth") / "truth.tsv"
    write_truth(path, {query: rng.choice(items, 3, replace=False) for query in asked})
    return path


def searching(truth, items="train,test", queries="valid"):
    return [
        "--eval-retrieval-queries", queries, "--eval-retrieval-items", items,
        "--eval-retrieval-truth", truth,
    ]  # fmt: skip


def by_commands(data_bin, model, truth, folder, by, capsys):
    """MAP@10 in percent of a checkpoint."""
    for name, splits in (("items", "train,test"), ("queries", "valid")):
        asked = ["--checkpoint", model, "--data", data_bin, "--splits", splits]
        embed.main([*map(str, asked), "--out", str(folder / name)])
    index.main([str(folder / "items"), "--out", str(folder / "index")])
    argv = [folder / "index", "--queries", folder / "queries", "--out", folder / "hits.tsv"]
    search.main([*map(str, argv), *by])
    capsys.readouterr()
    evaluate.main(["--hits", str(folder / "hits.tsv"), "--truth", str(truth), "--bootstrap", "0"])
    return json.loads(capsys.readouterr().out)["MAP@10"]


@pytest.mark.parametrize("options", [[], CLIP], ids=["item", "clip"])
def test_logged_scores_are_those_of_our_commands(
    commands, data_bin, truth, tmp_path, capsys, options
):
    plain = commands.train(data_bin, tmp_path / "plain", *options, updates=8)
    run = commands.train(
        data_bin, tmp_path / "model", *options, *searching(truth), *BEST, updates=8,
        OMP_NUM_THREADS="1",
    )  # fmt: skip
    # Training draws what it drew.
    assert run.lines("train_inner") == plain.lines("train_inner")
    assert "map10" not in str(run.lines("train_inner"))
    lines = run.lines("valid")
    assert len(lines) >= 2
    kept = torch.load(tmp_path / "model" / "checkpoint_best.pt", weights_only=True)
    assert kept["cfg"]["checkpoint"]["best_checkpoint_metric"] == "map10"
    best = max(lines, key=lambda line: float(line["valid_map10"]))
    updates = str(kept["optimizer_history"][-1]["num_updates"])
    (chosen,) = [line for line in lines if line["valid_num_updates"] == updates]
    assert chosen["valid_map10"] == best["valid_map10"]
    checkpoint = tmp_path / "model" / "checkpoint_best.pt"
    for by, asked in BY.items():
        found = by_commands(data_bin, checkpoint, truth, tmp_path / by, asked, capsys)
        assert float(chosen[f"valid_{by}"]) == pytest.approx(found, abs=0.02)
    assert chosen["valid_map10"] != chosen["valid_map10_dense"]


def test_bad_input_ends_with_one_line_before_the_first_update(commands, data_bin, truth, tmp_path):
    unknown = tmp_path / "truth.tsv"
    write_truth(unknown, {"nobody": ["nothing"]})
    for options, message in (
        (searching(truth)[:2], "--eval-retrieval-truth go together"),
        (searching(unknown), "has 'nobody', which the splits of --eval-retrieval lack"),
        (searching(truth, items="other"), "other.tsv is missing"),
    ):
        run = commands.train(data_bin, tmp_path / "model", *options, updates=2, status=2)
        assert message in run.output
        assert not run.lines("train_inner")
        assert "Traceback" not in run.output
