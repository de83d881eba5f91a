"""Commands that prepare data: killed at random moments, run twice at once, on a full disk.

What is there in the end are the bytes of a run that nobody disturbed, and no half of a file is
ever taken for a whole one.
"""

import random
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairseq_item.data.features import Features
from fairseq_item.data.image_store import ImageStore
from fairseq_item.data.token_store import TokenStore
from fairseq_item.data.tsv import read_table
from fairseq_item.errors import InputError

pytestmark = pytest.mark.robustness
ROWS = 600
KILLS = 5


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, processes):
    """A catalogue of 300 products of two rows each, its images, and a data-bin of it."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "images").mkdir()
    rng, rows = np.random.default_rng(0), ["id\ttitle\timage\tproduct\tleaf_category"]
    words = ["red", "blue", "mug", "shoe", "lamp", "acme", "zenor", "small", "large", "steel"]
    for i in range(ROWS):
        pixels = rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        title = " ".join(rng.choice(words, 6))
        rows.append(f"p{i}\t{title} {i}\t{i}.png\tq{i // 2}\tc{i % 7}")
    (folder / "products.tsv").write_text("\n".join(rows) + "\n")
    for command in ("bpe", "pack"):
        processes.run(*argv(command, folder, folder / "data"))
    return folder


def argv(command, inputs, out):
    """Module and arguments of a command that reads ``inputs`` and writes below ``out``."""
    catalog, images = inputs / "products.tsv", ["--image-root", inputs / "images"]
    given = {
        "split": [catalog, "--out", out, "--ratios", 70, 15, 15],
        "bpe": [catalog, "--out", out / "title", "--vocab-size", 400],
        "pack": [
            catalog, *images, "--out", out, "--split", "train", "--image-size", 64, "--patch-size",
            8, "--num-workers", 2,
        ],
        "binarize": [out],
        "queries": [catalog, "--out", out, "--fraction", 0.5],
        "relist": [catalog, *images, "--out", out, "--fraction", 0.4, "--num-workers", 2],
        "demo": ["--out", out, "--products", 12, "--image-size", 48, "--num-workers", 2],
        "demo of a tar": [
            "--out", out, "--products", 12, "--image-size", 48, "--num-workers", 2, "--tar",
        ],
    }[command]  # fmt: skip
    return [f"fairseq_item.commands.{command.split()[0]}", *given]


COMMANDS = ["split", "bpe", "pack", "binarize", "queries", "relist", "demo", "demo of a tar"]


def prepared(command, inputs, out):
    """What a command needs to be there already."""
    out.mkdir(parents=True, exist_ok=True)
    if command == "binarize":
        for path in (inputs / "data").rglob("*"):
            if path.is_file():
                target = out / path.relative_to(inputs / "data")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    return out


def contents(out):
    """Every file below a folder but locks, by name."""
    files = (path for path in sorted(Path(out).rglob("*")) if path.is_file())
    return {str(p.relative_to(out)): p.read_bytes() for p in files if not p.name.endswith("lock")}


@pytest.fixture(scope="module")
def undisturbed(inputs, processes, tmp_path_factory):
    """``undisturbed(command)``: (what it writes, seconds that it takes)."""
    made = {}

    def get(command):
        if command not in made:
            out = prepared(command, inputs, tmp_path_factory.mktemp("whole") / "out")
            seconds = processes.run(*argv(command, inputs, out))
            made[command] = contents(out), seconds
        return made[command]

    return get


def whole_or_refused(out):
    """What lies under its own name is whole: read by its reader, or refused by it."""
    for path in out.rglob("*.tsv"):
        if not path.name.startswith("."):
            read_table(path)
    for kind, store in (("image", ImageStore), ("title", TokenStore), ("label", TokenStore)):
        if (out / kind / "train.idx").exists():
            try:
                opened = store(out / kind / "train")
            except InputError:
                continue
            assert len(opened) == ROWS


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_random_moments(inputs, processes, undisturbed, tmp_path, trial, command):
    expected, seconds = undisturbed(command)
    rng = random.Random(command)
    out, killed = prepared(command, inputs, tmp_path / "out"), 0
    for _ in range(KILLS):
        moment = rng.uniform(0.3, 1) * seconds
        killed += processes.kill(processes.start(*argv(command, inputs, out)), moment)
        whole_or_refused(out)

        def again():
            processes.run(*argv(command, inputs, out))
            return contents(out)

        def check(found):
            assert sorted(found) == sorted(expected)
            assert found == expected

        trial(f"killed: item-{command.split()[0]}", again, check, "kept")
    assert killed


def test_features_killed_in_the_middle_again_and_again(inputs, processes, tmp_path, trial):
    pytest.importorskip("efficientnet_lite_pytorch")
    lines = (inputs / "data" / "items" / "train.tsv").read_text().splitlines(keepends=True)
    argv = ["fairseq_item.commands.features", "--image-root", inputs / "images", "--splits"]
    argv += ["train", "--batch-size", 4, "--num-workers", 1, "--compute-dtype", "float32"]
    for name in ("whole", "killed"):
        (tmp_path / name / "items").mkdir(parents=True)
        (tmp_path / name / "items" / "train.tsv").write_text("".join(lines[:41]))
    processes.run(*argv, tmp_path / "whole")
    folder, rng, least = tmp_path / "killed" / "features", random.Random(0), 0
    for _ in range(3):
        least += 2560 * rng.randrange(4, 12)  # bytes of 4 to 11 rows more
        process = processes.start(*argv, tmp_path / "killed")
        while process.poll() is None and sum(p.stat().st_size for p in folder.glob("*")) < least:
            time.sleep(0.01)
        assert processes.kill(process, 0)
        assert least <= sum(p.stat().st_size for p in folder.glob(".*.part")) < 40 * 2560
        with pytest.raises(InputError, match="no whole features"):
            Features(tmp_path / "killed", ["train"])

    def again():
        processes.run(*argv, tmp_path / "killed")
        return contents(tmp_path / "killed")

    def check(found):
        assert found == contents(tmp_path / "whole")

    trial("killed: item-features", again, check, "kept")


@pytest.mark.parametrize("command", COMMANDS)
def test_two_at_once(inputs, processes, undisturbed, tmp_path, trial, command):
    expected, seconds = undisturbed(command)
    out = prepared(command, inputs, tmp_path / "out")
    first = processes.start(*argv(command, inputs, out))
    time.sleep(random.Random(command).uniform(0, 0.3) * seconds)
    second = processes.start(*argv(command, inputs, out))
    messages = []
    for process in (first, second):

        def wait(process=process):
            processes.refusal(process)
            return contents(out)

        messages.append(trial("two at once", wait))
    assert not all(messages), "both were refused"
    for message in filter(None, messages):
        assert "is held by process" in message
    assert contents(out) == expected


@pytest.mark.parametrize("limit", [0, 100, 3000, 40_000, 1_000_000])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk(inputs, processes, undisturbed, tmp_path, trial, command, limit):
    expected, _ = undisturbed(command)
    out = prepared(command, inputs, tmp_path / "out")
    process = processes.start(*argv(command, inputs, out), limit=limit)

    def wait():
        processes.refusal(process)
        return contents(out)

    def check(found):
        assert found == expected

    trial("full disk", wait, check)
    whole_or_refused(out)
    assert not list(out.rglob("*.tmp"))
    processes.run(*argv(command, inputs, out))
    assert contents(out) == expected
