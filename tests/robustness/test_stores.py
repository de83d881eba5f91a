"""A data-bin of which one file was damaged or exchanged: read as before, or refused."""

import os
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest

from fairseq_item.data import features
from fairseq_item.data.image_store import ImageStore
from fairseq_item.data.sharded import items_digest, open_split
from fairseq_item.data.targets import read_categories, read_targets
from fairseq_item.data.titles import TitleTokenizer
from fairseq_item.data.token_store import TokenStore
from fairseq_item.data.tsv import read_table, unique_ids
from fairseq_item.digests import digest
from fairseq_item.verify import verify

ENDS = ("bin", "idx", "json")
FILES = [
    *(f"{kind}/valid.{end}" for kind in ("image", "title", "label") for end in ENDS),
    "items/valid.tsv", "title/dict.txt", "title/bpe.model", "label/dict.txt", "features/valid.npy",
    "features/valid.json",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(data_bin, tmp_path_factory):
    """The small data-bin, with features."""
    data = tmp_path_factory.mktemp("whole") / "data"
    shutil.copytree(data_bin, data)
    (data / "features").mkdir()
    for split in ("train", "valid"):
        rows = len(read_table(data / "items" / f"{split}.tsv"))
        path = features.array_path(data, split)
        np.save(path, np.random.default_rng(rows).random((rows, 8)).astype(np.float16))
        meta = features.FeaturesMeta("n", "w", 8, rows, items_digest(data, split))
        features.write_meta(data, split, replace(meta, array=digest(path)["sha256"]))
    return data


def read(data):
    """All that training, embedding and search read of a split."""
    categories = read_categories(data)
    images = open_split(data, "valid", "image", ImageStore)
    titles = open_split(data, "valid", "title", TokenStore)
    path = data / "items" / "valid.tsv"
    tokenizer = TitleTokenizer(data / "title" / "bpe.model", data / "title" / "dict.txt")
    return {
        "ids": unique_ids(read_table(path, ["id"]), path),
        "images": [images.image(i).tobytes() for i in range(len(images))],
        "titles": [titles[i].tolist() for i in range(len(titles))],
        "labels": read_targets(data, "valid", len(categories)).tolist(),
        "categories": categories,
        "features": features.Features.open(data, ["valid"])[slice(None)].tolist(),
        "tokens": tokenizer.encode("acme red mug 42x").tolist(),
    }


@pytest.fixture(scope="module")
def expected(whole):
    return read(whole)


def damage(path, kind, rng):
    data = path.read_bytes()
    at = rng.randrange(len(data))
    flipped = bytearray(data)
    flipped[at] ^= 1 << rng.randrange(8)
    if kind == "removed":
        path.unlink()
    elif kind == "a folder":
        path.unlink()
        path.mkdir()
    elif kind == "of another split":
        other = path.with_name(path.name.replace("valid", "train"))
        path.write_bytes(other.read_bytes() if other != path else data[::-1])
    else:
        path.write_bytes(
            {
                "flipped": bytes(flipped),
                "cut": data[:at],
                "empty": b"",
                "longer": data + data[-8:],
                "zeroed": data[:at] + bytes(len(data[at : at + 16])) + data[at + 16 :],
                "noise": rng.randbytes(len(data)),
            }[kind]
        )


KINDS = ["removed", "a folder", "of another split", "cut", "empty", "longer", "zeroed", "noise"]
CASES = [(kind, 0) for kind in KINDS] + [("flipped", seed) for seed in range(5)]


@pytest.mark.parametrize(("kind", "seed"), CASES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file(whole, expected, tmp_path, trial, name, kind, seed):
    data = tmp_path / "data"
    shutil.copytree(whole, data)
    damage(data / name, kind, random.Random(f"{name} {kind} {seed}"))

    def check(found):
        for what in expected:
            assert found[what] == expected[what], what

    trial("data-bin, one file damaged", lambda: read(data), check)


@pytest.mark.parametrize("seed", range(10))
def test_large_files_are_verified(whole, tmp_path, trial, seed, monkeypatch):
    """Those of which opening reads pieces alone: item-verify finds one changed bit."""
    data = tmp_path / "data"
    shutil.copytree(whole, data)
    monkeypatch.setattr("fairseq_item.digests.CHEAP", 0)
    monkeypatch.setattr("fairseq_item.data.image_store.CHEAP", 0)
    name = ["image/valid.bin", "features/valid.npy"][seed % 2]
    rng = random.Random(seed)
    before = (data / name).read_bytes()
    at = rng.randrange(len(before) // 2, len(before))  # behind an array's header
    (data / name).write_bytes(before[:at] + bytes([before[at] ^ 4]) + before[at + 1 :])

    def run():
        problems = [problem for _, problem in verify(data) if problem]
        if problems:
            raise OSError(problems[0])

    trial("data-bin, item-verify", run, print, "refused")


EXCHANGES = {
    "rows of items reversed": lambda data: reverse_lines(data / "items" / "valid.tsv"),
    "two rows of items exchanged": lambda data: exchange(data / "items" / "valid.tsv", 2, 3),
    "a row of items repeated": lambda data: repeat(data / "items" / "valid.tsv"),
    "two lines of the dictionary exchanged": lambda data: exchange(data / "title/dict.txt", 4, 9),
    "two categories exchanged": lambda data: exchange(data / "label" / "dict.txt", 0, 1),
    "all images of train": lambda data: of_train(data, "image"),
    "all titles of train": lambda data: of_train(data, "title"),
    "all labels of train": lambda data: of_train(data, "label"),
    "items, images and titles of train": lambda data: [
        of_train(data, kind) for kind in ("items", "image", "title")
    ],
    "titles without a description": lambda data: os.remove(data / "title" / "valid.json"),
}


def reverse_lines(path):
    header, *rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *reversed(rows)]))


def exchange(path, one, other):
    lines = path.read_text().splitlines(keepends=True)
    lines[one], lines[other] = lines[other], lines[one]
    path.write_text("".join(lines))


def repeat(path):
    path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[-1])


def of_train(data, kind):
    for path in (data / kind).glob("train.*"):
        shutil.copy(path, path.with_name(path.name.replace("train", "valid")))


@pytest.mark.parametrize("name", EXCHANGES)
def test_files_that_are_whole_but_others(whole, expected, tmp_path, trial, name):
    data = tmp_path / "data"
    shutil.copytree(whole, data)
    EXCHANGES[name](data)

    def check(found):
        for what in expected:
            assert found[what] == expected[what], what

    trial("data-bin, files exchanged", lambda: read(data), check)
