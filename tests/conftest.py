"""Fixtures that several folders of tests share: a small data-bin, and one training on it.

What takes long is made once in a run, by whichever of pytest-xdist's processes needs it first, and
only read by the tests. ``make test-fast`` leaves out what is marked slow: see ``SLOW``.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch._subclasses.fake_tensor import FakeTensorMode

from fairseq_item import progress
from fairseq_item.commands import binarize, bpe, pack, split
from fairseq_item.data import image_store_meta, token_store
from fairseq_item.data.sharded import items_digest

ROOT = Path(__file__).resolve().parent.parent

# Two loaders or torch's threads on a 2-core machine slow one another down many times over.
os.environ.setdefault("OMP_NUM_THREADS", "1")

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 200), "black": (20,) * 3}
KINDS = ("mug", "pan", "hat", "shoe")
BRANDS = ("acme", "zenor", "loop", "kito", "varo", "plix")


def draw(kind, colour, rng):
    """A 40 x 40 image on white whose shape says the kind and whose paint says the colour."""
    image = Image.new("RGB", (40, 40), "white")
    pen, shift = ImageDraw.Draw(image), int(rng.integers(-3, 4))
    box = [8 + shift, 8, 32 + shift, 32]
    shapes = (pen.ellipse, pen.rectangle, pen.rounded_rectangle)
    if KINDS.index(kind) < 3:
        shapes[KINDS.index(kind)](box, fill=COLOURS[colour])
    else:
        pen.polygon([(8, 32), (32, 32), (20 + shift, 8)], fill=COLOURS[colour])
    return image


def write_catalog(folder, products=96, seed=3):
    """A catalogue of drawn products: ``products.tsv`` and ``images/`` in ``folder``."""
    rng = np.random.default_rng(seed)
    images = Path(folder) / "images"
    images.mkdir(parents=True)
    lines = ["id\ttitle\timage\tleaf_category"]
    for number in range(products):
        kind, colour = KINDS[rng.integers(4)], list(COLOURS)[rng.integers(4)]
        brand = BRANDS[rng.integers(len(BRANDS))]
        draw(kind, colour, rng).save(images / f"{number}.png")
        model = f"{rng.integers(100)}{'xyz'[rng.integers(3)]}"
        lines.append(f"p{number}\t{brand} {colour} {kind} {model}\t{number}.png\t{kind}")
    (Path(folder) / "products.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Path(folder) / "products.tsv"


def make_data_bin(folder):
    """The whole of the preprocessing on a drawn catalogue, into ``folder``/data-bin."""

    def call(command, *args):
        command.main([str(value) for value in args])

    folder = Path(folder)
    catalog, data = write_catalog(folder), folder / "data-bin"
    call(split, catalog, "--out", folder / "splits", "--ratios", 70, 15, 15)
    call(bpe, folder / "splits" / "train.tsv", "--out", data / "title", "--vocab-size", 360)
    for name in ("train", "valid", "test"):
        call(
            pack, folder / "splits" / f"{name}.tsv", "--image-root", folder / "images", "--out",
            data, "--split", name, "--image-size", 40, "--patch-size", 8, "--num-workers", 1,
        )  # fmt: skip
    call(binarize, data)


# Parts of the names of tests that take seconds. What uses the fixture ``commands`` is slow as well.
SLOW = (
    "tests/examples/", "tests/tasks/test_learning.py", "tests/tasks/test_fairseq_commands.py",
    "tests/test_engines.py",
    "test_binarize_titles.py::test_files_equal_those_of_fairseq", "test_fairseq_after_the_plugin",
    "test_layers_are_one_graph_each", "test_a_compiled_encoder", "test_loading_processes",
    "test_killed_and_run_again", "tests/test_install.py",
)  # fmt: skip


# Those of a recipe or benchmark as a whole, of many processes each: make test-long.
LONG = (
    "test_second_photos.py::test_the_whole_recipe", "test_benchmark_search.py::test_growth",
    "test_benchmark_search.py::test_search", "test_benchmark_training.py::test_training",
    "test_benchmark_approximate.py", "test_benchmark_data.py::test_loading",
    "test_benchmark_serving.py::test_serving", "test_benchmark_scale.py::test_scale_in_small",
    "test_scale_out_engines.py::test_what_is_measured",
    "test_quickstart.py::test_own_catalogue", "test_quickstart.py::test_demo_catalogue[yes]",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _not_quiet(monkeypatch):
    """What one test asks of a command (--quiet) holds for no other one of its process."""
    monkeypatch.setattr(progress, "_quiet", False)


def pytest_collection_modifyitems(items):
    """Mark what is slow or long, for ``make test-fast`` and ``make test`` to leave out."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        # The smoke table of all models: a fixture of several tests.
        if any(name in item.nodeid for name in LONG) or "smoke" in fixtures:
            item.add_marker(pytest.mark.long)
        if any(name in item.nodeid for name in SLOW) or "commands" in fixtures:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """``shared_folder(name, make)``: a folder that ``make(folder)`` fills once in a run of pytest.

    Processes of pytest-xdist that need it at the same time wait for the first.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def get(name, make):
        folder, made = base / f"shared-{name}", base / f"shared-{name}.made"
        with open(base / f"shared-{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of one that failed
                folder.mkdir()
                make(folder)
                made.touch()
        return folder

    return get


@pytest.fixture(scope="session")
def bind():
    """``bind(data, split, **changes)``: describe the stores of a split as those of its items file,
    whatever they were made from, and its images with ``changes``."""

    def bind(data, split, **changes):
        items = items_digest(data, split)
        token_store.write_meta(data / "title" / split, items)
        image = data / "image" / split
        meta = replace(image_store_meta.read_meta(image), items=items, **changes)
        image_store_meta.write_meta(image, meta)

    return bind


@pytest.fixture(scope="session")
def data_bin(shared_folder):
    """A data-bin of 96 drawn products, stored at 40 pixels in patches of 8."""
    return shared_folder("catalog", make_data_bin) / "data-bin"


@pytest.fixture
def change_meta():
    """``change_meta(folder, change)``: meta.json changed by hand, without seal and digests.

    So are the folders of earlier versions.
    """

    def rewrite(folder, change=lambda meta: None):
        path = Path(folder) / "meta.json"
        meta = json.loads(path.read_text(encoding="utf-8"))
        meta.pop("seal", None)
        meta.pop("files", None)
        change(meta)
        path.write_text(json.dumps(meta), encoding="utf-8")

    return rewrite


MODEL = [
    "--arch", "item_tiny", "--encoder-layers", "2", "--encoder-embed-dim", "32",
    "--encoder-attention-heads", "2", "--image-size", "32", "--patch-size", "8",
    "--max-title-length", "8",
]  # fmt: skip


def training(data, save_dir, *extra, updates=4):
    """Arguments of fairseq-train for a few updates of a very small model."""
    return [
        str(data), "--user-dir", str(ROOT / "fairseq_item"), "--task", "item_pretraining",
        "--criterion", "item_pretraining", *MODEL, "--optimizer", "fused_adamw", "--lr", "1e-3",
        "--lr-scheduler", "polynomial_decay", "--total-num-update", "1000", "--batch-size", "16",
        "--required-batch-size-multiple", "1", "--max-update", str(updates), "--log-interval", "1",
        "--log-format", "json", "--save-dir", str(save_dir), "--cpu", "--num-workers", "0",
        "--no-epoch-checkpoints", *map(str, extra),
    ]  # fmt: skip


@dataclass
class Run:
    """What a command left: its exit status (negative: the signal that ended it) and its output."""

    status: int
    output: str

    def lines(self, tag):
        """The JSON lines that fairseq logged under ``tag``, without what tells of time."""
        # The second form is that of fairseq-hydra-train.
        form = rf"(?:\| {tag} \||\[{tag}\]\[INFO\] -) ({{.*}})$"
        found = re.findall(form, self.output, re.MULTILINE)
        clock = re.compile("wps|ups|wall|train_wall")
        return [
            {key: value for key, value in json.loads(line).items() if not clock.search(key)}
            for line in found
        ]


class Commands:
    """Runs fairseq's and our commands in processes of their own; see forks.py."""

    def __init__(self, folder):
        self.folder, self.count = Path(folder), 0
        self.server = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "forks.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def _ask(self, question):
        self.server.stdin.write(json.dumps(question) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def start(self, module, *argv, kill_at=None, **env):
        """Start ``module`` in an empty folder of its own; returns what :meth:`wait` needs."""
        self.count += 1
        cwd = self.folder / str(self.count)
        cwd.mkdir()
        log = cwd / "log"
        job = {"module": module, "argv": [str(value) for value in argv], "log": str(log)}
        return self._ask({**job, "cwd": str(cwd), "env": env, "kill_at": kill_at}), log

    def wait(self, started):
        process, log = started
        return Run(self._ask(process), log.read_text())

    def run(self, module, *argv, status=0, **kwargs):
        """Run a command and check its exit status; returns :class:`Run`."""
        done = self.wait(self.start(module, *argv, **kwargs))
        assert done.status == status, done.output[-6000:]
        return done

    training = staticmethod(training)

    def train(self, data, save_dir, *extra, updates=4, **kwargs):
        """Run fairseq-train on a very small model; ``extra`` options come last and so win."""
        arguments = training(data, save_dir, *extra, updates=updates)
        return self.run("fairseq_cli.train", *arguments, **kwargs)


@pytest.fixture(scope="session")
def commands(tmp_path_factory):
    """A :class:`Commands`."""
    commands = Commands(tmp_path_factory.mktemp("commands"))
    yield commands
    commands.server.stdin.close()
    commands.server.wait()


@pytest.fixture(scope="session")
def model_folder(commands, data_bin, shared_folder):
    """A model folder after a few updates on ``data_bin``."""
    return shared_folder("model", lambda folder: commands.train(data_bin, folder))


@contextmanager
def on_fake_gpu(batch):
    """A GPU without values: torch works out shapes, types and devices of all that is computed.

    What a real one would have to be waited for, a number or how many values are true, is an error.
    New tensors lie there. Only forward: the backward pass asks for the card itself.

    Args:
        batch: tensor, or dict of tensors, dicts and others.

    Yields:
        the same, there.
    """
    mode = FakeTensorMode()

    def move(value):
        if isinstance(value, dict):
            return {key: move(x) for key, x in value.items()}
        return mode.from_tensor(value).to("cuda") if torch.is_tensor(value) else value

    with mode, torch.device("cuda"):
        yield move(batch)


@pytest.fixture
def fake_gpu():
    """:func:`on_fake_gpu`."""
    return on_fake_gpu
