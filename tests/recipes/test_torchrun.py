"""item-train as one of torchrun's processes."""

import signal
import socket

import pytest
import torch
import yaml

from fairseq_item import recipes
from fairseq_item.recipes import torchrun

ENVIRONMENT = {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8"}


def test_flags_are_of_the_environment():
    cfg = recipes.parse(
        recipes.arguments(recipes.read("paper"), "data", torchrun.flags(ENVIRONMENT, False)), "test"
    ).distributed_training
    assert (cfg.distributed_world_size, cfg.distributed_rank, cfg.device_id) == (8, 5, 1)
    assert (cfg.distributed_init_method, cfg.distributed_no_spawn) == ("env://", True)
    assert cfg.distributed_backend == "nccl"
    cpu = torchrun.flags(ENVIRONMENT, True)
    assert cpu[cpu.index("--distributed-backend") + 1] == "gloo"


def test_every_process_reads_the_checkpoint_itself(monkeypatch):
    """However several are started, as by fairseq for several GPUs: pickles are refused."""
    started = []
    monkeypatch.setattr("fairseq.distributed.utils.call_main", lambda cfg, _: started.append(cfg))
    recipes.train(recipes.parse(recipes.arguments(recipes.read("paper"), "data"), "test"))
    assert started[0].checkpoint.load_checkpoint_on_all_dp_ranks


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "1", "RANK": "0"}, {"WORLD_SIZE": "4"}])
def test_a_process_on_its_own_is_told_nothing(environment):
    assert torchrun.flags(environment, True) == []


@pytest.fixture
def recipe(commands, data_bin, tmp_path):
    """A file with the options of a tiny training."""
    words, options = commands.training(data_bin, tmp_path, "--save-interval-updates", 2)[3:], {}
    while words:
        name = words.pop(0)[2:]
        options[name] = words.pop(0) if words and not words[0].startswith("--") else True
    del options["save-dir"], options["max-update"]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(options), encoding="utf-8")
    return path


def test_a_killed_worker_costs_the_updates_since_the_last_checkpoint(
    commands, recipe, data_bin, tmp_path
):
    """Two workers, one killed, both started anew as torchrun does: the model is that of one process
    that was left alone."""
    options = ["--max-update", 6, "--dropout", 0, "--attention-dropout", 0]

    def start(attempt):
        """The workers' environment is torchrun's, but for the store: a file an attempt."""
        environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        argv = ["fairseq_item.commands.train", recipe, data_bin, "--save-dir", tmp_path / "two"]
        return [
            commands.start(
                *argv, *options, kill_at="num_updates\": \"5" if rank + attempt == 0 else None,
                RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", **environment,
            )
            for rank in range(2)
        ]  # fmt: skip

    first_runs = [commands.wait(process) for process in start(0)]
    assert first_runs[0].status == -signal.SIGKILL
    runs = [commands.wait(process) for process in start(1)]
    assert [run.status for run in runs] == [0, 0], runs[0].output[-3000:]
    updates = [int(line["num_updates"]) for line in runs[0].lines("train_inner")]
    assert updates == [5, 6]  # a checkpoint every second update
    whole = tmp_path / "whole"
    commands.run("fairseq_item.commands.train", recipe, data_bin, "--save-dir", whole,
                 "--update-freq", 2, *options)  # fmt: skip
    first, second = (
        torch.load(tmp_path / name / "checkpoint_last.pt", weights_only=True)["model"]
        for name in ("two", "whole")
    )
    for name, value in first.items():
        assert torch.allclose(value, second[name], atol=1e-4), name


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]
