"""Fixtures that several folders of tests share: a small data-bin, and one training on it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent

# Two loaders or torch's threads on a 2-core machine slow one another down many times over.
os.environ.setdefault("OMP_NUM_THREADS", "1")

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 200), "black": (20,) * 3}
KINDS = ("mug", "pan", "hat", "shoe")
BRANDS = ("acme", "zenor", "loop", "kito", "varo", "plix")


def draw(kind, colour, rng):
    """A 40 x 40 picture on white whose shape says the kind and whose paint says the colour."""
    picture = Image.new("RGB", (40, 40), "white")
    pen, shift = ImageDraw.Draw(picture), int(rng.integers(-3, 4))
    box = [8 + shift, 8, 32 + shift, 32]
    shapes = (pen.ellipse, pen.rectangle, pen.rounded_rectangle)
    if KINDS.index(kind) < 3:
        shapes[KINDS.index(kind)](box, fill=COLOURS[colour])
    else:
        pen.polygon([(8, 32), (32, 32), (20 + shift, 8)], fill=COLOURS[colour])
    return picture


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


def run_script(name, *args):
    """Run a script of preprocess/; its failure fails the test with what it printed."""
    command = [sys.executable, str(ROOT / "preprocess" / name), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def make_data_bin(folder):
    """The whole of preprocess/ on a drawn catalogue; returns the data-bin."""
    folder = Path(folder)
    catalog, data = write_catalog(folder), folder / "data-bin"
    run_script("split_catalog.py", catalog, "--out", folder / "splits", "--ratios", 70, 15, 15)
    train = folder / "splits" / "train.tsv"
    run_script("train_bpe.py", train, "--out", data / "title", "--vocab-size", 320)
    for split in ("train", "valid", "test"):
        run_script(
            "pack_images.py", folder / "splits" / f"{split}.tsv", "--image-root",
            folder / "images", "--out", data, "--split", split, "--image-size", 40,
            "--patch-size", 8, "--workers", 1,
        )  # fmt: skip
    run_script("binarize_titles.py", data)
    return data


@pytest.fixture(scope="session")
def data_bin(tmp_path_factory):
    """A data-bin of 96 drawn products, stored at 40 pixels in patches of 8."""
    return make_data_bin(tmp_path_factory.mktemp("catalog"))


MODEL = [
    "--arch", "item_tiny", "--encoder-layers", "2", "--encoder-embed-dim", "32",
    "--encoder-attention-heads", "2", "--image-size", "32", "--patch-size", "8",
    "--max-title-length", "8",
]  # fmt: skip


def train(data, save_dir, *extra, updates=4, command=None):
    """Run fairseq-train in a process of its own, as a user would; returns what it printed."""
    command = command or [
        sys.executable, "-m", "fairseq_cli.train", str(data), "--user-dir",
        str(ROOT / "fairseq_item"), "--task", "item_pretraining", "--criterion",
        "item_pretraining", *MODEL, "--optimizer", "fused_adamw", "--lr", "1e-3",
        "--lr-scheduler", "polynomial_decay", "--total-num-update", "1000", "--batch-size", "16",
        "--required-batch-size-multiple", "1", "--max-update", str(updates), "--log-interval", "1",
        "--log-format", "json", "--save-dir", str(save_dir), "--cpu", "--num-workers", "0",
        "--no-epoch-checkpoints",
    ]  # fmt: skip
    done = subprocess.run(
        [*command, *extra], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def model_folder(data_bin, tmp_path_factory):
    """A model folder after a few updates on ``data_bin``."""
    folder = tmp_path_factory.mktemp("model")
    train(data_bin, folder, updates=4)
    return folder
