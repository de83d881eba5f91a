"""Indexes and embeddings that are replaced while they are read, or killed, or have no room.

``ROBUSTNESS_SECONDS`` lets readers and kills go on for longer than in the suite.
"""

import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fairseq_item.commands import index as index_command
from fairseq_item.commands import search as search_command
from fairseq_item.commands.common import run
from fairseq_item.folders import NewFolder, work_path
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter
from fairseq_item.search.index import ItemIndex, is_index_file

SECONDS = float(os.environ.get("ROBUSTNESS_SECONDS", "3"))
FORK = multiprocessing.get_context("fork")
WORDS = ["red", "blue", "shoe", "hat", "mug", "ftm-663"]


def write_embeddings(folder, seed, count=300, dim=32):
    rng = np.random.default_rng(seed)
    titles = [" ".join(rng.choice(WORDS, size=3)) for _ in range(count)]
    items = [{"id": f"{seed}-{i}", "title": title} for i, title in enumerate(titles)]
    writer = EmbeddingWriter(folder, items, dim)
    writer.write(0, *(rng.normal(size=(count, dim)) for _ in EMBEDDINGS))
    writer.finish()


def content(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def quietly(main, argv, log):
    """In a process of its own: run a command, with its output to a file, and leave."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    try:
        run(main, [str(value) for value in argv])
    except SystemExit as end:
        sys.stderr.flush()
        os._exit(end.code)
    except BaseException as error:
        sys.stderr.write(f"Traceback: {error!r}\n")
        sys.stderr.flush()
        os._exit(1)


def start(target, *args):
    process = FORK.Process(target=target, args=args)
    process.start()
    return process


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("base")
    for seed in (1, 2, 3):
        write_embeddings(base / f"e{seed}", seed, 300 if seed < 3 else 5)
    for seed in (1, 2):
        index_command.main([str(base / f"e{seed}"), "--out", str(base / f"i{seed}")])
    return base


# Readers during a rebuild.


def rebuild(base, folder, end):
    """Replace the index over and over: by item-index, and at once by one that is there."""
    turn, until = 1, time.monotonic() + SECONDS
    while turn < 30 or time.monotonic() < until:
        seed, turn = turn % 2 + 1, turn + 1
        if turn % 15 == 0:
            index_command.main([str(base / f"e{seed}"), "--out", str(folder), "--quiet"])
            continue
        with NewFolder(folder, is_index_file) as new:
            shutil.copytree(base / f"i{seed}", new.work, dirs_exist_ok=True)
            new.put()
    end.set()


def answers(base, index, out):
    search_command.main([str(index), "--queries", str(base / "e3"), "--out", str(out), "--quiet"])
    return out.read_bytes()


def read_on(base, folder, out, right, seen, end):
    """Search over and over: counts answers of the one index, of the other, and of neither."""
    while not end.is_set():
        try:
            answer = answers(base, folder, out)
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            answer = None
        which = right.index(answer) if answer in right else 2
        seen[which] += 1


def test_searches_during_rebuilds_see_one_index_whole(base, tmp_path):
    right = [answers(base, base / f"i{seed}", tmp_path / "right") for seed in (1, 2)]
    assert right[0] != right[1]
    folder, end = tmp_path / "index", FORK.Event()
    index_command.main([str(base / "e1"), "--out", str(folder)])
    seen = [FORK.Array("i", 3) for _ in range(3)]
    readers = [
        start(read_on, base, folder, tmp_path / f"hits{i}", right, counts, end)
        for i, counts in enumerate(seen)
    ]
    writer = start(rebuild, base, folder, end)
    for process in (*readers, writer):
        process.join()
        assert process.exitcode == 0
    first, second, wrong = np.sum([counts[:] for counts in seen], axis=0)
    assert first > 0
    assert second > 0
    assert wrong == 0
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


# Kills.


def test_a_killed_index_leaves_the_old_one_or_the_new_one(base, tmp_path):
    folder, log = tmp_path / "x" / "index", tmp_path / "log"
    whole = [content(base / f"i{seed}") for seed in (1, 2)]
    index_command.main([str(base / "e1"), "--out", str(folder)])
    began = time.perf_counter()
    index_command.main([str(base / "e1"), "--out", str(folder)])
    takes, chance, killed = time.perf_counter() - began, random.Random(5), 0
    for turn in range(max(8, int(4 * SECONDS))):
        argv = [base / f"e{turn % 2 + 1}", "--out", folder]
        process = start(quietly, index_command.main, argv, log)
        time.sleep(chance.uniform(0, 1.2 * takes))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        assert content(folder) in whole
        ItemIndex.load(folder, verify=True)
    assert killed >= 3
    index_command.main([str(base / "e2"), "--out", str(folder)])
    assert content(folder) == whole[1]
    assert os.listdir(folder.parent) == ["index"]


def test_a_killed_change_leaves_the_old_index_or_the_changed_one(base, tmp_path):
    folder, log = tmp_path / "index", tmp_path / "log"
    argv = ["--out", str(folder), "--add", str(base / "e2")]
    shutil.copytree(base / "i1", folder)
    whole, began = [content(folder)], time.perf_counter()
    index_command.main(argv)
    takes, chance, killed = time.perf_counter() - began, random.Random(6), 0
    whole.append(content(folder))
    for _ in range(max(8, int(4 * SECONDS))):
        shutil.rmtree(folder)
        shutil.copytree(base / "i1", folder)
        process = start(quietly, index_command.main, argv, log)
        time.sleep(chance.uniform(0, 1.2 * takes))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        assert content(folder) in whole
    assert killed >= 3
    shutil.rmtree(folder)
    shutil.copytree(base / "i1", folder)
    index_command.main(argv)
    assert content(folder) == whole[1]
    assert sorted(os.listdir(tmp_path)) == ["index", "log"]


def embed(commands, model_folder, data_bin, out):
    """Start two processes that embed together, as torchrun does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    argv = [
        "--checkpoint", model_folder, "--data", data_bin, "--splits", "train", "--device", "cpu",
        "--out", out, "--batch-size", 4,
    ]  # fmt: skip
    started = [
        commands.start("fairseq_item.commands.embed", *argv, RANK=str(rank), **shared)
        for rank in range(2)
    ]
    return started


@pytest.mark.robustness
def test_killed_processes_that_embed_together(commands, model_folder, data_bin, tmp_path):
    out, chance = tmp_path / "x" / "e", random.Random(7)
    began = time.perf_counter()
    runs = [commands.wait(one) for one in embed(commands, model_folder, data_bin, out)]
    takes = time.perf_counter() - began
    assert [one.status for one in runs] == [0, 0], runs[0].output + runs[1].output
    whole = content(out)
    for turn in range(max(2, int(SECONDS / 2))):
        started = embed(commands, model_folder, data_bin, out)
        time.sleep(chance.uniform(0.1, 1) * takes)
        victim = turn % 2
        os.kill(started[victim][0], signal.SIGKILL)
        commands.wait(started[victim])
        time.sleep(0.5)
        os.kill(started[1 - victim][0], signal.SIGTERM)  # so torchrun ends the others
        left = commands.wait(started[1 - victim])
        assert left.status in (0, 2, -signal.SIGTERM)
        assert "Traceback" not in left.output, left.output
        assert content(out) == whole
        Embeddings.load(out, verify=True)
    runs = [commands.wait(one) for one in embed(commands, model_folder, data_bin, out)]
    assert [one.status for one in runs] == [0, 0], runs[0].output + runs[1].output
    assert content(out) == whole
    assert os.listdir(out.parent) == ["e"]


# Two at once, and no room.


def hold(folder, held, end):
    with EmbeddingWriter(folder, [{"id": "a"}], 3):
        held.set()
        end.wait()


def test_the_second_of_two_runs_is_told_of_the_first(base, tmp_path, capsys):
    held, end = FORK.Event(), FORK.Event()
    first = start(hold, tmp_path / "x", held, end)
    assert held.wait(60)
    with pytest.raises(SystemExit) as refused:
        run(index_command.main, [str(base / "e1"), "--out", str(tmp_path / "x")])
    assert refused.value.code == 2
    assert f"is held by process {first.pid}, started" in capsys.readouterr().err
    assert work_path(tmp_path / "x").is_dir()  # the first one's
    end.set()
    first.join()
    assert os.listdir(tmp_path) == []
    index_command.main([str(base / "e1"), "--out", str(tmp_path / "x")])


def in_little_room(room, main, argv, log):
    """As on a full disk: no file can be larger than ``room`` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    quietly(main, argv, log)


@pytest.mark.parametrize("room", [300, 3000, 9000])
@pytest.mark.parametrize("kind", ["float32", "int8", "IVF2,Flat"])
def test_no_room_for_an_index_is_one_line(base, tmp_path, room, kind):
    folder, log = tmp_path / "x" / "index", tmp_path / "log"
    index_command.main([str(base / "e1"), "--out", str(folder)])
    before = content(folder)
    option = "--factory" if "," in kind else "--dtype"
    argv = [base / "e2", "--out", folder, option, kind]
    process = start(in_little_room, room, index_command.main, argv, log)
    process.join()
    assert content(folder) == before
    assert log.read_text().startswith("error: ")
    assert log.read_text().count("\n") == 1
    assert "File too large" in log.read_text() or "requested and" in log.read_text()
    assert os.listdir(folder.parent) == ["index"]
    assert process.exitcode == 2


def write_in_little_room(room, folder):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        write_embeddings(folder, 2)
    except ValueError as error:  # InputError
        os._exit(2 if "File too large" in str(error) else 1)


@pytest.mark.parametrize("room", [100, 1000, 20_000, 38_000])
def test_no_room_for_embeddings_is_one_line(base, tmp_path, room):
    write_embeddings(tmp_path / "e", 1)
    before = content(tmp_path / "e")
    process = start(write_in_little_room, room, tmp_path / "e")
    process.join()
    assert process.exitcode == 2
    assert content(tmp_path / "e") == before
