"""The plugin under fairseq's own commands, each in a process of its own."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
import yaml

ROOT = Path(__file__).parents[2]
TRAIN, VALIDATE = "fairseq_cli.train", "fairseq_cli.validate"
NOT_INSTALLED = """
import importlib.util, sys
# What an editable installation puts in place.
sys.meta_path[:] = [f for f in sys.meta_path if not f.__module__.startswith("__editable__")]
assert importlib.util.find_spec("fairseq_item") is None
from fairseq_cli.train import cli_main
cli_main()
print("plugin from", sys.modules["fairseq_item"].__file__)
"""


@pytest.fixture(scope="module")
def whole(commands, data_bin, tmp_path_factory):
    """An uninterrupted run over two epoch borders: (its folder, Run)."""
    folder = tmp_path_factory.mktemp("whole")
    options = ["--tensorboard-logdir", folder / "tensorboard"]
    return folder, commands.train(data_bin, folder / "model", *options, updates=12)


def test_it_trains_where_the_package_is_not_installed(commands, data_bin, tmp_path):
    if (Path(sysconfig.get_paths()["purelib"]) / "fairseq_item").exists():
        pytest.skip("fairseq-item is installed for good here")
    plugin = tmp_path / "elsewhere" / "fairseq_item"
    shutil.copytree(ROOT / "fairseq_item", plugin, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "cwd").mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", NOT_INSTALLED]
        + commands.training(data_bin, tmp_path / "model", "--user-dir", plugin, updates=1),
        cwd=tmp_path / "cwd", env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"plugin from {plugin}" in done.stdout
    assert (tmp_path / "model" / "checkpoint_last.pt").exists()


def test_the_recipe_runs(data_bin, tmp_path):
    """examples/pretrain/run.sh, which calls the fairseq-train that is installed."""
    if not (Path(sys.prefix) / "bin" / "fairseq-train").exists():
        pytest.skip("fairseq-train is not in this environment's bin")
    small = {
        "DATA": data_bin, "SAVE": tmp_path / "model", "ARCH": "item_tiny", "GPUS": 0,
        "BATCH": 68, "MICRO_BATCH": 34, "WORKERS": 0, "WARMUP": 1, "UPDATES": 2,
        "VENV": sys.prefix,
    }  # fmt: skip
    options = ["--image-size", "32", "--patch-size", "8", "--log-interval", "1"]
    done = subprocess.run(
        [ROOT / "examples" / "pretrain" / "run.sh", *options],
        env={**os.environ, **{key: str(value) for key, value in small.items()}},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert '"num_updates": "2"' in done.stdout
    assert '"bsz": "68"' in done.stdout
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"checkpoint_best.pt", "checkpoint_last.pt", "dict.txt", "bpe.model"} <= names
    wrong = {**os.environ, "VENV": sys.prefix, "BATCH": "100", "GPUS": "3"}
    refused = subprocess.run(
        [ROOT / "examples" / "pretrain" / "run.sh"], env=wrong, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: BATCH=100 is no multiple of MICRO_BATCH=64")


def test_every_objective_is_logged_and_the_loss_is_their_weighted_sum(whole):
    lines = whole[1].lines("train_inner")
    assert [line["num_updates"] for line in lines] == [str(n) for n in range(1, 13)]
    for line in lines:
        weighted = [
            float(line[f"{name}_weighted"]) for name in ("itm", "mlm", "gmlm", "mim", "gmim")
        ]
        assert float(line["loss"]) == pytest.approx(sum(weighted), abs=1e-3)
        assert {"itm_accuracy", "mlm_accuracy", "gmlm_accuracy", "gnorm", "lr"} <= set(line)
        assert "view" not in line
    assert len(whole[1].lines("valid")) == 3


def test_the_best_checkpoint_is_that_of_the_smallest_total_loss(whole):
    folder, run = whole
    lines = run.lines("valid")
    best = min(lines, key=lambda line: float(line["valid_loss"]))
    state = torch.load(folder / "model" / "checkpoint_best.pt", weights_only=True)
    history = state["optimizer_history"][-1]
    assert str(history["num_updates"]) == best["valid_num_updates"]


def test_tensorboard_events_are_written(whole):
    assert list((whole[0] / "tensorboard" / "train_inner").glob("events.out.*"))
    assert list((whole[0] / "tensorboard" / "valid").glob("events.out.*"))


def test_number_of_loading_processes_changes_nothing(commands, data_bin, whole, tmp_path):
    other = commands.train(data_bin, tmp_path, "--num-workers", 2, updates=12)
    for tag in ("train_inner", "valid", "train"):
        assert other.lines(tag) == whole[1].lines(tag)


def test_a_killed_run_resumes_as_if_it_had_not_been(commands, data_bin, whole, tmp_path):
    """Killed within the second epoch, resumed from a checkpoint within it, over its border."""
    save = ["--save-interval-updates", 3]
    killed = commands.train(
        data_bin, tmp_path, *save, updates=12, kill_at='"num_updates": "8"', status=-9
    )
    assert killed.lines("train_inner")[-1]["num_updates"] == "7"
    resumed = commands.train(data_bin, tmp_path, *save, updates=12)
    expected = whole[1].lines("train_inner")[6:]
    assert resumed.lines("train_inner") == expected
    assert [line["epoch"] for line in expected] == [2, 2, 2, 2, 3, 3]
    assert resumed.lines("valid")[-2:] == whole[1].lines("valid")[-2:]
    assert resumed.lines("train")[-2:] == whole[1].lines("train")[-2:]


def test_validate_says_what_training_said(commands, data_bin, whole):
    folder, run = whole
    path = folder / "model" / "checkpoint_last.pt"
    validated = commands.run(
        VALIDATE, data_bin, "--user-dir", ROOT / "fairseq_item", "--task", "item_pretraining",
        "--path", path, "--valid-subset", "valid,test", "--batch-size", 16, "--cpu",
        "--required-batch-size-multiple", 1, "--log-format", "json",
    )  # fmt: skip
    (line,) = validated.lines("valid")
    expected = run.lines("valid")[-1]
    shared = [key for key in line if key in expected and key != "epoch"]
    assert {"valid_loss", "valid_itm", "valid_gmim", "valid_mlm_accuracy"} <= set(shared)
    assert {key: line[key] for key in shared} == {key: expected[key] for key in shared}
    (test,) = validated.lines("test")
    assert test["test_loss"] != line["valid_loss"]


@pytest.mark.parametrize("masked_losses_on", ["all", "matched"])
def test_losses_and_gradients_do_not_depend_on_how_a_batch_is_cut(
    commands, data_bin, tmp_path, masked_losses_on
):
    """An epoch as one batch, or as two that are added up by --update-freq."""
    exact = ["--dropout", 0, "--attention-dropout", 0, "--masked-losses-on", masked_losses_on]
    one = commands.train(data_bin, tmp_path, *exact, "--batch-size", 68, "--no-save", updates=3)
    two = commands.train(
        data_bin, tmp_path, *exact, "--batch-size", 34, "--update-freq", 2, "--no-save", updates=3
    )
    for whole, halves in zip(one.lines("train_inner"), two.lines("train_inner"), strict=True):
        for key in ("loss", "itm", "mlm", "gmlm", "mim", "gmim", "gnorm", "bsz"):
            assert float(halves[key]) == pytest.approx(float(whole[key]), rel=1e-3), key
    assert not list(tmp_path.iterdir())


def test_two_processes_train_as_one(commands, data_bin, tmp_path):
    """One batch of each update in each of two processes; every third update has a batch too few."""
    options = ["--dropout", 0, "--attention-dropout", 0, "--no-save"]
    one = commands.train(data_bin, tmp_path, *options, "--update-freq", 2, updates=4)
    distributed = [
        "--distributed-backend", "gloo", "--distributed-world-size", 2, "--distributed-no-spawn",
        "--distributed-init-method", f"file://{tmp_path}/meet", "--ddp-backend", "legacy_ddp",
    ]  # fmt: skip
    arguments = commands.training(data_bin, tmp_path, *options, *distributed, updates=4)
    started = [commands.start(TRAIN, *arguments, "--distributed-rank", rank) for rank in range(2)]
    runs = [commands.wait(process) for process in started]
    assert [run.status for run in runs] == [0, 0], runs[0].output[-4000:]
    assert runs[1].lines("train_inner") == []
    for tag in ("train_inner", "valid"):
        for alone, together in zip(one.lines(tag), runs[0].lines(tag), strict=True):
            assert {key: float(value) for key, value in together.items()} == pytest.approx(
                {key: float(value) for key, value in alone.items()}, rel=2e-3
            )


def test_two_processes_contrast_views_with_the_products_of_both(commands, data_bin, tmp_path):
    """An update of two batches in two processes is one of both together: loss, gradient, weights.

    Without gathering each process would tell apart its own products only.
    """
    exact = [
        "--dropout", 0, "--attention-dropout", 0, "--view-contrast-weight", 1,
        "--view-photos", 0.5, "--optimizer", "momentum_sgd",
    ]  # fmt: skip
    one = commands.train(data_bin, tmp_path / "one", *exact, "--batch-size", 68, updates=3)
    distributed = [
        "--distributed-backend", "gloo", "--distributed-world-size", 2, "--distributed-no-spawn",
        "--distributed-init-method", f"file://{tmp_path}/meet", "--ddp-backend", "legacy_ddp",
    ]  # fmt: skip
    arguments = commands.training(
        data_bin, tmp_path / "two", *exact, "--batch-size", 34, *distributed, updates=3
    )
    started = [commands.start(TRAIN, *arguments, "--distributed-rank", rank) for rank in range(2)]
    runs = [commands.wait(process) for process in started]
    assert [run.status for run in runs] == [0, 0], runs[0].output[-4000:]
    keys = ("loss", "view", "view_accuracy", "gnorm", "bsz")
    for alone, both in zip(one.lines("train_inner"), runs[0].lines("train_inner"), strict=True):
        for key in keys:
            assert float(both[key]) == pytest.approx(float(alone[key]), rel=1e-3), key
    states = [
        torch.load(tmp_path / name / "checkpoint_last.pt", weights_only=True)
        for name in ("one", "two")
    ]
    for part, name in (
        ("model", "encoder.layers.0.fc1.weight"),
        ("criterion", "view_contrast.logit_scale"),
    ):
        assert torch.allclose(*(state[part][name] for state in states), atol=1e-5)


def test_bfloat16_matched_pairs_and_second_views(commands, data_bin, tmp_path):
    run = commands.train(
        data_bin, tmp_path, "--compute-dtype", "bfloat16", "--masked-losses-on", "matched",
        "--view-contrast-weight", 0.5, updates=24,
    )  # fmt: skip
    lines = run.lines("train_inner")
    losses = [float(line["loss"]) for line in lines]
    assert sum(losses[-8:]) < sum(losses[:8])  # single updates differ by their masks
    assert all(0 < float(line["view"]) < 20 for line in lines)
    assert float(lines[0]["view_weighted"]) == pytest.approx(0.5 * float(lines[0]["view"]), 1e-3)
    state = torch.load(tmp_path / "checkpoint_last.pt", weights_only=True)
    assert {value.dtype for value in state["model"].values()} == {torch.float32}
    assert state["criterion"]["view_contrast.logit_scale"].shape == (3,)
    resumed = commands.train(
        data_bin, tmp_path, "--compute-dtype", "bfloat16", "--masked-losses-on", "matched",
        "--view-contrast-weight", 0.5, updates=25,
    )  # fmt: skip
    assert [line["num_updates"] for line in resumed.lines("train_inner")] == ["25"]


@pytest.mark.parametrize("start", ["--finetune-from-model", "--restore-file"])
def test_second_views_can_be_added_to_a_trained_model(commands, data_bin, whole, tmp_path, start):
    """The checkpoint knows no temperatures; nor does its optimiser, which has to start anew."""
    shutil.copy(whole[0] / "model" / "checkpoint_last.pt", tmp_path / "start.pt")
    options = ["--view-contrast-weight", 1, start, tmp_path / "start.pt"]
    if start == "--restore-file":
        refused = commands.train(data_bin, tmp_path / "model", *options, updates=14, status=2)
        assert "add --reset-optimizer" in last_line(refused)
        options.append("--reset-optimizer")
    updates = 14 if start == "--restore-file" else 2
    run = commands.train(data_bin, tmp_path / "model", *options, updates=updates)
    assert all(float(line["view"]) > 0 for line in run.lines("train_inner"))
    state = torch.load(tmp_path / "model" / "checkpoint_last.pt", weights_only=True)
    assert state["criterion"]["view_contrast.logit_scale"].shape == (3,)


def test_frozen_temperatures_can_be_added_while_training_goes_on(
    commands, data_bin, whole, tmp_path
):
    shutil.copy(whole[0] / "model" / "checkpoint_last.pt", tmp_path)
    options = ["--view-contrast-weight", 1, "--freeze-view-temperature"]
    run = commands.train(data_bin, tmp_path, *options, updates=13)
    assert [line["num_updates"] for line in run.lines("train_inner")] == ["13"]


def test_the_precision_that_auto_found_is_in_the_checkpoint(commands, data_bin, tmp_path):
    run = commands.train(
        data_bin, tmp_path, "--compute-dtype", "auto", "--without-pictures", updates=1
    )
    model = torch.load(tmp_path / "checkpoint_last.pt", weights_only=True)["cfg"]["model"]
    assert f"--compute-dtype auto is {model['compute_dtype']}: " in run.output
    assert model["compute_dtype"] in ("float32", "bfloat16")
    assert model["without_images"] is True
    (line,) = run.lines("train_inner")
    assert "mlm" in line
    assert "mim" not in line


def test_hydra(commands, data_bin, tmp_path):
    settings = yaml.safe_load((ROOT / "examples" / "pretrain" / "item_base.yaml").read_text())
    small = {
        "encoder_layers": 1, "encoder_embed_dim": 32, "encoder_ffn_embed_dim": 64,
        "encoder_attention_heads": 2, "image_size": 32, "patch_size": 8,
    }  # fmt: skip
    assert set(small) <= set(settings["model"])
    run = commands.run(
        "fairseq_cli.hydra_train", "--config-dir", ROOT / "examples" / "pretrain", "--config-name",
        "item_base", f"common.user_dir={ROOT / 'fairseq_item'}", f"task.data={data_bin}",
        f"checkpoint.save_dir={tmp_path}", "optimization.max_update=6", "dataset.batch_size=16",
        "common.cpu=true", "common.log_interval=1", "dataset.num_workers=0",
        *(f"model.{key}={value}" for key, value in small.items()),
    )  # fmt: skip
    lines = run.lines("train_inner")
    assert [line["num_updates"] for line in lines] == [str(n) for n in range(1, 7)]
    assert (tmp_path / "checkpoint_best.pt").exists()


def test_checkpoints_need_no_pickled_code(whole):
    """A fresh process, so that nothing this one has allowed counts."""
    code = "import sys, torch; print(*torch.load(sys.argv[1], weights_only=True))"
    path = whole[0] / "model" / "checkpoint_last.pt"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {"cfg", "model", "last_optimizer_state"} <= set(done.stdout.split())


def last_line(run):
    return run.output.strip().splitlines()[-1]


def copy_without(data_bin, folder, *missing):
    shutil.copytree(data_bin, folder)
    for name in missing:
        (folder / name).unlink()
    return folder


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("title/dict.txt", "title/dict.txt is missing; run preprocess/train_bpe.py"),
        ("items/valid.tsv", "items/valid.tsv is missing; splits there: test, train"),
        ("image/train.bin", "image/train.bin is missing"),
        ("title/train.idx", "title/train.idx is missing"),
    ],
)
def test_an_incomplete_data_bin_ends_with_one_line(commands, data_bin, tmp_path, missing, message):
    data = copy_without(data_bin, tmp_path / "data", missing)
    run = commands.train(data, tmp_path / "model", status=2)
    assert last_line(run).startswith(f"error: {tmp_path}")
    assert message in last_line(run)
    assert "Traceback" not in run.output


@pytest.mark.parametrize("option", [("--crop-min-scale", 2), ("--image-size", 33)])
def test_an_impossible_setting_ends_with_one_line(commands, data_bin, tmp_path, option):
    run = commands.train(data_bin, tmp_path / "model", *option, status=2)
    assert last_line(run).startswith(f"error: {option[0]} ")
    assert "Traceback" not in run.output


def test_a_model_folder_keeps_its_vocabulary(commands, data_bin, whole, tmp_path, bind):
    data = tmp_path / "data"
    shutil.copytree(data_bin, data)
    with open(data / "title" / "dict.txt", "a", encoding="utf-8") as file:
        file.write("another 1\n")
    for split in ("train", "valid"):
        bind(data, split)
    shutil.copytree(whole[0] / "model", tmp_path / "model")
    run = commands.train(
        data, tmp_path / "model", "--reset-optimizer", "--restore-file", "none", status=2
    )
    assert "dict.txt differs from" in last_line(run)


def test_images_smaller_than_the_model_takes_are_enlarged(commands, data_bin, tmp_path):
    run = commands.train(data_bin, tmp_path, "--image-size", 48, "--no-save", updates=1)
    assert len(run.lines("valid")) == 1
