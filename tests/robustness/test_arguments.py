"""Arguments of the commands that prepare data: what makes no sense is refused in one line."""

import os

import numpy as np
import pytest
from PIL import Image

from fairseq_item.commands import (
    binarize,
    bpe,
    common,
    demo,
    features,
    pack,
    predict,
    queries,
    relist,
    split,
    train,
    verify,
)
from fairseq_item.data.tsv import read_table


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A catalogue of 12 rows of 6 products, its images, and a data-bin of it."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "images").mkdir()
    rng, rows = np.random.default_rng(0), ["id\ttitle\timage\tproduct\tleaf_category"]
    for i in range(12):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        rows.append(f"p{i}\tred shoe number {i}\t{i}.png\tq{i // 2}\tshoes")
    (folder / "products.tsv").write_text("\n".join(rows) + "\n")
    (folder / "a pipe").unlink(missing_ok=True)
    os.mkfifo(folder / "a pipe")
    data = folder / "data"
    bpe.main([str(folder / "products.tsv"), "--out", str(data / "title"), "--vocab-size", "320"])
    pack.main([
        str(folder / "products.tsv"), "--image-root", str(folder / "images"), "--out", str(data),
        "--split", "train", "--image-size", "8", "--patch-size", "4", "--num-workers", "1",
    ])  # fmt: skip
    binarize.main([str(data)])
    return folder


BASE = {
    split: ["{in}/products.tsv", "--out", "{out}"],
    bpe: ["{in}/products.tsv", "--out", "{out}", "--vocab-size", "320"],
    pack: [
        "{in}/products.tsv", "--image-root", "{in}/images", "--out", "{out}", "--split", "train",
        "--image-size", "8", "--patch-size", "4", "--num-workers", "1",
    ],
    binarize: ["{in}/data"],
    queries: ["{in}/products.tsv", "--out", "{out}", "--products", "2"],
    relist: [
        "{in}/products.tsv", "--image-root", "{in}/images", "--out", "{out}", "--products", "2",
        "--num-workers", "1",
    ],
    demo: ["--out", "{out}", "--products", "1", "--image-size", "16", "--num-workers", "1"],
}  # fmt: skip
NUMBERS = {
    split: ["--seed"],
    bpe: ["--vocab-size", "--character-coverage", "--max-titles", "--seed"],
    pack: ["--image-size", "--patch-size", "--jpeg-quality", "--num-workers"],
    queries: ["--products", "--seed"],
    relist: [
        "--products",
        "--listings",
        "--seed",
        "--num-workers",
        "--drop",
        "--rotate",
        "--light",
    ],
    demo: ["--image-size", "--seed"],
}
VALUES = ["nan", "inf", "-inf", "-1", "0", "1e999", "", "x", "0x10", "1.5", "9" * 30, "--"]


def run(command, inputs, out, *more):
    argv = [word.replace("{in}", str(inputs)).replace("{out}", str(out)) for word in BASE[command]]
    more = [word.replace("{in}", str(inputs)).replace("{out}", str(out)) for word in more]
    try:
        common.run(command.main, [*argv, *more])
    except SystemExit as end:
        if end.code:
            raise
    return out


@pytest.fixture
def one_line(capsys):
    """Asserts what a refusal wrote: one line."""

    def check():
        errors = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
        assert len(errors) == 1
        assert errors[0].startswith("error: ")

    return check


def right(out):
    """Whatever a command wrote can be read."""
    for path in out.rglob("*.tsv"):
        assert read_table(path).fieldnames
    assert not list(out.rglob("*.tmp"))
    assert not list(out.rglob(".*lock"))


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("command", "option"), [(c, option) for c, options in NUMBERS.items() for option in options]
)
def test_numbers(inputs, tmp_path, trial, one_line, command, option, value):
    out = tmp_path / "out"
    said = trial("arguments", lambda: run(command, inputs, out, option, value), right)
    if said:
        one_line()


CASES = {
    split: [
        ["--ratios", "nan", "5", "5"], ["--ratios", "inf", "5", "5"], ["--ratios", "0", "0", "0"],
        ["--ratios", "-1", "5", "5"], ["--ratios", "1e308", "1e308", "1e308"],
        ["--ratios", "1", "2"], ["--id-column", "title", "--title-column", "title"],
        ["--id-column", ""], ["--product-column", "no such"], ["--out", "{in}/products.tsv"],
        ["--out", "{in}/products.tsv/below"], ["--out", ""], ["--stratify", "--seed"],
    ],
    bpe: [
        ["--case", "upper"], ["--out", "{in}/products.tsv"], ["{in}/no.tsv"], ["{in}/images"],
        ["--vocab", "{in}/products.tsv"], ["--title-column", "\u200b"],
    ],
    pack: [
        ["--split", ""], ["--split", "."], ["--split", ".."], ["--split", "a/b"],
        ["--split", "x" * 300], ["--split", "a\0b"], ["--split", "\ud800"], ["--codec", "png"],
        ["--fit", "zoom"], ["--image-root", "{in}/no"], ["--image-root", "{in}/products.tsv"],
        ["--image-root", "{in}/a pipe"], ["--image-root", ""], ["--out", "{in}/products.tsv"],
        ["--image-size", "7"], ["--patch-size", "16"], ["--image-size", "1000000"],
        ["--image-column", "title"], ["--jpeg-quality", "96"],
    ],
    binarize: [
        ["--splits", "no"], ["--splits", ""], ["--splits", "../items/train"],
        ["--splits", "train,train"], ["--splits", ","],
    ],
    queries: [
        ["--fraction", "0.5"], ["--products", "7"], ["--num-queries", "3"],
        ["--max-per-product", "1"], ["--index", "{in}/products.tsv"], ["--index", "{in}/no.tsv"],
        ["--image-root", "{in}/no"], ["--product-column", "title"], ["--out", "{in}/products.tsv"],
    ],
    relist: [
        ["--fraction", "nan"], ["--crop-area", "0", "1"], ["--crop-area", "nan", "1"],
        ["--crop-area", "0.9", "0.5"], ["--jpeg-quality", "0", "50"],
        ["--jpeg-quality", "50", "96"], ["--protocol", "3"], ["--protocol", "2", "--drop", "0.9"],
        ["--products", "13"], ["--image-root", "{out}/images"], ["--index", "{in}/products.tsv"],
        ["--out", "{in}/products.tsv"], ["--light", "1"], ["--rotate", "181"],
    ],
    demo: [
        ["--listings", "3", "2"], ["--listings", "0", "2"], ["--listings", "2"],
        ["--out", "{in}/products.tsv"], ["--contact-sheet", "{in}/images"],
        ["--contact-sheet", "{in}/products.tsv/sheet.png"], ["--image-size", "15"],
        ["--image-size", "4096"], ["--products", "0"],
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "more"), [(command, more) for command, listed in CASES.items() for more in listed]
)
def test_arguments_of_other_kinds(inputs, tmp_path, trial, one_line, command, more):
    before = {path: path.read_bytes() for path in inputs.rglob("*") if path.is_file()}
    out = tmp_path / "out"
    said = trial("arguments", lambda: run(command, inputs, out, *more), right)
    if said:
        one_line()
    assert {path: path.read_bytes() for path in before} == before, "an input was written over"


MISSING = {
    features: ["{in}/data", "--splits", "train", "--image-root", "{in}/images"],
    predict: ["--checkpoint", "{in}/no", "--data", "{in}/data", "--out", "{out}/p.tsv"],
    train: ["laptop", "{in}/data"],
    verify: ["{in}/data"],
}
OTHERS = [
    (features, ["--splits", "no"]), (features, ["--image-root", "{in}/no"]),
    (features, ["--network", "resnet99"]), (features, ["--network", "resnet50"]),
    (features, ["--network", "resnet50", "--weights-file", "{in}/products.tsv"]),
    (features, ["--batch-size", "0"]), (features, ["--batch-size", "9" * 30]),
    (features, ["--device", "cuda:99"]), (features, ["--device", "toaster"]),
    (predict, []), (predict, ["--checkpoint", "{in}/images"]), (predict, ["-k", "0"]),
    (predict, ["--out", "{in}/images"]), (predict, ["--out", "{in}/products.tsv/p.tsv"]),
    (train, ["--no-such-option"]), (train, ["--max-update", "x"]), (train, ["--arch", "no_such"]),
    (train, ["--task", "no_such"]), (verify, ["{in}/images"]), (verify, ["{in}/no"]),
]  # fmt: skip


@pytest.mark.parametrize(("command", "more"), OTHERS)
def test_commands_that_need_torch(inputs, tmp_path, trial, one_line, command, more, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = [
        word.replace("{in}", str(inputs)).replace("{out}", str(tmp_path))
        for word in [*MISSING[command], *more]
    ]
    if command is verify:
        argv = argv[1:]
    trial("arguments", lambda: common.run(command.main, argv), print, "refused")
    one_line()
