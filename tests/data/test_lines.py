import os
import threading

import numpy as np
import pytest

from fairseq_item.data import lines
from fairseq_item.data.lines import Lines

TEXTS = {
    "empty": "",
    "header alone": "id",
    "header and line end": "id\n",
    "plain": "id\ttitle\na\tone\nb\ttwo\n",
    "no last line end": "id\ttitle\na\tone\nb\ttwo",
    "empty lines": "id\n\n\nb\n",
    "of Windows": "id\ttitle\r\na\tone\r\n",
    "other line ends": "id\na\u2028b\x0bc\rd\n",
    "beyond ASCII": "id\n" + "\n".join("äöü中文🙂" * n for n in range(9)),
}


@pytest.mark.parametrize("block", [1, 3, 16, 1 << 20])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "byte order mark"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_lines_are_those_of_open(tmp_path, monkeypatch, text, mark, block):
    monkeypatch.setattr(lines, "BLOCK", block)
    path = tmp_path / "t.tsv"
    path.write_bytes(mark + text.encode())
    with open(path, encoding="utf-8-sig", newline="\n") as file:
        header, *expected = [line.rstrip("\r\n") for line in file] or [""]
    found = Lines(path)
    assert found.header == header
    assert len(found) == len(expected)
    assert list(found) == expected
    assert [found[i] for i in range(len(found))] == expected
    counts = [count for some in found.count("\t") for count in some.tolist()]
    assert counts == [line.count("\t") for line in expected]
    with pytest.raises(IndexError):
        found[len(expected)]


def test_a_file_that_is_replaced_is_read_as_it_was(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("id\na\nb\n")
    found = Lines(path)
    (tmp_path / "other").write_text("id\nlonger\n")
    os.replace(tmp_path / "other", path)
    assert list(found) == ["a", "b"]
    assert found[1] == "b"


def test_a_pipe_is_copied(tmp_path):
    path, text = tmp_path / "pipe", "id\n" + "x\n" * 50_000
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(text,))
    writer.start()
    found = Lines(path)
    writer.join()
    assert list(found) == list(found) == ["x"] * 50_000


def test_what_is_not_utf_8_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "BLOCK", 4)
    path = tmp_path / "t.tsv"
    path.write_bytes(b"id\nabcdefgh\n\xff\n")
    with pytest.raises(UnicodeDecodeError):
        Lines(path)


def test_memory_is_eight_bytes_a_line(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("id\n" + "x" * 99 + "\n" + ("y" * 99 + "\n") * 9_999)
    found = Lines(path)
    kept = [value for value in vars(found).values() if isinstance(value, np.ndarray)]
    assert sum(value.nbytes for value in kept) == 8 * (10_000 + 2)
    assert found[0] == "x" * 99
