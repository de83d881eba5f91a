"""What is written is, byte for byte, what fairseq-preprocess writes for the same tokens."""

import json
import os
import subprocess
import sys

import pytest

from fairseq_item.commands import binarize as binarize_command
from fairseq_item.commands import bpe as bpe_command
from fairseq_item.data.labels import escape_label
from fairseq_item.data.titles import EOS, UNK, TitleTokenizer, read_dictionary
from fairseq_item.data.token_store import TokenStore
from fairseq_item.data.tsv import read_table, write_tsv
from fairseq_item.errors import InputError

TITLES = {
    "train": ["Red running shoe", "Blue leather bag", "", "Red bag for women", "Men's T20 shoe",
              "word " * 2_000, "x" * 10_000, "shoe 👟 ✨", "<s> <unk> </s> 100% #1", "blue shoe"],
    "valid": ["Green shoe", "鞋 ﬁt ½", "", "\u200b"],
    "query": ["NEW!! bag"],
}  # fmt: skip
KINDS = {
    "train": ["Shoes", "Bags & Cases", "Bags & Cases", "Bags & Cases", "Shoes", "100% Wool",
              "", "Shoes", "<unk>", "Shoes"],
    "valid": ["Shoes", "Hats", "", "Hats"],
    "query": ["Bags & Cases"],
}  # fmt: skip


def make_data_bin(root, labels=True):
    for split, titles in TITLES.items():
        rows = [
            {"id": f"{split}{i}", "title": title, "image": "x.jpg", "leaf_category": kind}
            for i, (title, kind) in enumerate(zip(titles, KINDS[split]))
        ]
        columns = ["id", "title", "image"] + ["leaf_category"] * labels
        write_tsv(root / "items" / f"{split}.tsv", columns, rows)
    items = str(root / "items" / "train.tsv")
    bpe_command.main([items, "--out", str(root / "title"), "--vocab-size", "330"])
    return root


@pytest.fixture(scope="module")
def data_bin(tmp_path_factory):
    root = make_data_bin(tmp_path_factory.mktemp("data") / "data-bin")
    binarize_command.main([str(root)])
    return root


# Several runs of the command in one process, for importing fairseq takes seconds.
RUN = """
import json, sys
from fairseq_cli import preprocess
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["fairseq-preprocess", *arguments]
    preprocess.cli_main()
"""


def preprocess_arguments(folder, source, lines):
    """Write ``lines`` (split -> list) to text files; the arguments to preprocess them into out/."""
    folder.mkdir()
    arguments = ["--only-source", *map(str, source), "--destdir", str(folder / "out")]
    for split in ("train", "valid"):
        text = "".join(f"{line}\n" for line in lines[split])
        (folder / split).write_text(text, encoding="utf-8")
        arguments += [f"--{split}pref", str(folder / split)]
    return arguments


@pytest.fixture(scope="module")
def theirs(data_bin, tmp_path_factory):
    """What fairseq-preprocess itself makes of the same lines: title, kinds and label."""
    pytest.importorskip("fairseq")
    folder = tmp_path_factory.mktemp("theirs")
    title = data_bin / "title"
    tokenizer = TitleTokenizer(title / "bpe.model", title / "dict.txt")
    lines = {
        split: [" ".join(tokenizer.tokens(item["title"])) for item in read_table(path).dicts()]
        for split in ("train", "valid")
        for path in [data_bin / "items" / f"{split}.tsv"]
    }
    assert lines["train"][2] == ""
    labels = {split: [escape_label(kind) for kind in KINDS[split]] for split in lines}
    # Left to make a dictionary of its own, fairseq must arrive at ours. It would list <unk>, which
    # it then refuses to load, so it sees the rows that have a category.
    named = {split: [label for label in labels[split] if label != "<unk>"] for split in labels}
    made = folder / "kinds" / "out" / "dict.txt"
    runs = [
        preprocess_arguments(folder / "title", ["--srcdict", title / "dict.txt"], lines),
        preprocess_arguments(folder / "kinds", ["--padding-factor", 1], named),
        preprocess_arguments(folder / "label", ["--srcdict", made], labels),
    ]
    subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(runs)],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return folder


@pytest.mark.parametrize("kind", ["title", "label"])
@pytest.mark.parametrize("name", ["dict.txt", "train.bin", "train.idx", "valid.bin", "valid.idx"])
def test_files_equal_those_of_fairseq_preprocess(data_bin, theirs, kind, name):
    ours = (data_bin / kind / name).read_bytes()
    assert ours
    assert ours == (theirs / kind / "out" / name).read_bytes()


def test_titles_can_be_read_back(data_bin):
    title = data_bin / "title"
    tokenizer = TitleTokenizer(title / "bpe.model", title / "dict.txt")
    for split, titles in TITLES.items():
        store = TokenStore(title / split)
        assert len(store) == len(titles)
        for i, text in enumerate(titles):
            assert store[i].tolist() == [*tokenizer.encode(text).tolist(), EOS]
    # Nothing is cut here.
    assert TokenStore(title / "train").sizes[5] > 2_000


def test_labels_can_be_read_back(data_bin):
    ids = read_dictionary(data_bin / "label" / "dict.txt")
    assert list(ids)[4:] == ["Shoes", "Bags%20&%20Cases", "%3Cunk>", "100%25%20Wool"]
    store = TokenStore(data_bin / "label" / "valid")
    assert [store[i].tolist() for i in range(4)] == [[4, EOS], [UNK, EOS], [UNK, EOS], [UNK, EOS]]
    assert TokenStore(data_bin / "label" / "query")[0].tolist() == [5, EOS]


def test_unknown_categories_are_reported(data_bin, caplog, capsys):
    binarize_command.main([str(data_bin)])
    assert "valid: 1 of 4 items have no leaf category" in caplog.text
    assert "valid: 2 of 4 items are of 1 leaf categories that training lacks: Hats (2)" in (
        caplog.text
    )
    assert "10 titles, 1 of them empty" in capsys.readouterr().out


def test_single_splits_and_shards(data_bin, tmp_path):
    root = make_data_bin(tmp_path / "data-bin")
    with pytest.raises(InputError, match="binarize the training split"):
        binarize_command.main([str(root), "--splits", "query"])
    (root / "items" / "valid.tsv").rename(root / "items" / "train1.tsv")
    binarize_command.main([str(root), "--splits", "train,train1"])
    assert list(read_dictionary(root / "label" / "dict.txt"))[4:6] == ["Shoes", "Bags%20&%20Cases"]
    assert "Hats" in read_dictionary(root / "label" / "dict.txt")
    binarize_command.main([str(root), "--splits", "query", "train"])
    assert sorted(path.name for path in (root / "title").glob("*.bin")) == [
        "query.bin", "train.bin", "train1.bin",
    ]  # fmt: skip
    for name in ("query.bin", "query.idx", "train.bin"):
        assert (root / "title" / name).read_bytes() == (data_bin / "title" / name).read_bytes()


def test_without_labels(tmp_path):
    root = make_data_bin(tmp_path, labels=False)
    binarize_command.main([str(root)])
    assert not (root / "label").exists()
    assert (root / "title" / "train.idx").exists()


def test_bad_input(tmp_path):
    with pytest.raises(InputError, match=r"items has no \.tsv file"):
        binarize_command.main([str(tmp_path)])
    write_tsv(tmp_path / "items" / "train.tsv", ["id", "title"], [{"id": "1", "title": "x"}])
    with pytest.raises(InputError, match=r"bpe\.model is missing"):
        binarize_command.main([str(tmp_path)])
    root = make_data_bin(tmp_path / "data-bin")
    with pytest.raises(InputError, match=r"test\.tsv is not there"):
        binarize_command.main([str(root), "--splits", "test"])
    write_tsv(root / "items" / "train.tsv", ["id"], [{"id": "1"}])
    with pytest.raises(InputError, match="lacks title"):
        binarize_command.main([str(root), "--splits", "train"])
    assert not list((root / "title").glob("*.tmp"))
