"""Catalogues and tables: bytes of any kind are read as an independent reader does, or refused."""

import csv
import gzip
import io
import json
import random

import pyarrow
import pyarrow.parquet
import pytest

from fairseq_item.data.catalog import read_catalog
from fairseq_item.data.text import clean_field
from fairseq_item.data.tsv import check_ids, read_table

ROWS = [
    {"id": f"p{i}", "title": f"Red Shoe №{i}", "image": f"{i}.jpg", "leaf_category": "shoes"}
    for i in range(12)
]
NAMES = list(ROWS[0])


def tsv():
    return "".join("\t".join(row) + "\n" for row in [NAMES, *(r.values() for r in ROWS)]).encode()


def comma():
    file = io.StringIO()
    csv.writer(file).writerows([NAMES, *(row.values() for row in ROWS)])
    return file.getvalue().encode()


def lines():
    return "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def parquet():
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), file)
    return file.getvalue()


FORMATS = {
    "tsv": tsv, "csv": comma, "jsonl": lines, "parquet": parquet,
    "tsv.gz": lambda: gzip.compress(tsv(), mtime=0),
    "jsonl.gz": lambda: gzip.compress(lines(), mtime=0),
}  # fmt: skip


def independent(suffix, data):
    """The rows of a file as another program reads them: lists of lists, the header first."""
    if suffix == "parquet":
        table = pyarrow.parquet.read_table(io.BytesIO(data))
        return [table.column_names, *([*row.values()] for row in table.to_pylist())]
    if suffix.endswith(".gz"):
        data = gzip.decompress(data)
    text = data.decode("utf-8-sig")
    if suffix.startswith("tsv"):
        return [line.rstrip("\r").split("\t") for line in text.split("\n") if line.rstrip("\r")]
    if suffix == "csv":
        return [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    records = [json.loads(line) for line in text.split("\n") if line.strip()]
    names = list(dict.fromkeys(name for record in records for name in record))
    return [names, *([record.get(name, "") for name in names] for record in records)]


def right(suffix, data):
    """A function that asserts that a catalogue was read as by the independent reader."""

    def check(found):
        header, *rows = independent(suffix, data)
        assert len(found) == len(rows)
        for row, values in zip(found, rows):
            for name, value in zip(header, values):
                shown = "" if value is None else str(value)
                if name in ("id", "product"):
                    shown = clean_field(shown).strip()
                if clean_field(name) in row and isinstance(value, str | None):
                    assert row[clean_field(name)] == shown
        ids = [row["id"] for row in found]
        assert all(ids)
        assert len(set(ids)) == len(ids)

    return check


def read(path):
    return [row for _, row in read_catalog(path)]


def mutations(data, rng):
    """Ways to damage any bytes: name -> bytes."""
    cut, at = rng.randrange(1, len(data)), rng.randrange(len(data))
    flipped = bytearray(data)
    flipped[at] ^= 1 << rng.randrange(8)
    zeroed = data[:at] + bytes(min(16, len(data) - at)) + data[at + 16 :]
    block = data[cut // 2 : cut]
    return {
        "cut": data[:cut],
        "flipped": bytes(flipped),
        "zeroed": zeroed,
        "doubled": data[:cut] + block + data[cut:],
        "dropped": data[: cut // 2] + data[cut:],
        "noise": data[:at] + rng.randbytes(8) + data[at:],
        "tail": data + rng.randbytes(40),
    }


KINDS = list(mutations(b"ab", random.Random(0)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_bytes(tmp_path, trial, suffix, kind, seed):
    data = mutations(FORMATS[suffix](), random.Random(f"{suffix} {kind} {seed}"))[kind]
    path = tmp_path / f"catalog.{suffix}"
    path.write_bytes(data)
    trial("catalogues, damaged bytes", lambda: read(path), right(suffix, data))


HEADER = "id\ttitle\timage\n"
STRANGE = {
    # name: (file name, content, outcomes that it may have)
    "empty": ("a.tsv", b"", "refused"),
    "a header alone": ("a.tsv", HEADER.encode(), "refused"),
    "blank lines alone": ("a.tsv", b"\n\n\r\n", "refused"),
    "no column title": ("a.tsv", b"id\timage\n1\t1.jpg\n", "refused"),
    "a column twice": ("a.tsv", b"id\ttitle\timage\ttitle\n1\ta\tb\tc\n", "refused"),
    "a tab too many": ("a.tsv", f"{HEADER}1\ta\tb\tc\n".encode(), "refused"),
    "a tab too few": ("a.tsv", f"{HEADER}1\ta\n".encode(), "refused"),
    "an id twice": ("a.tsv", f"{HEADER}1\ta\tb\n1\tc\td\n".encode(), "refused"),
    "an id twice but for spaces": ("a.tsv", f"{HEADER}1\ta\tb\n 1 \tc\td\n".encode(), "refused"),
    "an empty id": ("a.tsv", f"{HEADER}\ta\tb\n".encode(), "refused"),
    "an id of spaces": ("a.tsv", f"{HEADER}  \ta\tb\n".encode(), "refused"),
    "an id of zero-width spaces": ("a.tsv", f"{HEADER}\u200b\ta\tb\n".encode(), "kept"),
    "latin-1": ("a.tsv", f"{HEADER}1\tä\tb\n".encode("latin-1"), "refused"),
    "utf-16": ("a.tsv", f"{HEADER}1\ta\tb\n".encode("utf-16"), "refused"),
    "a byte order mark": ("a.tsv", f"\ufeff{HEADER}1\ta\tb\n".encode(), "kept"),
    "Windows line ends": ("a.tsv", b"id\ttitle\timage\r\n1\ta\tb\r\n", "kept"),
    "no line end": ("a.tsv", f"{HEADER}1\ta\tb".encode(), "kept"),
    "NUL characters": ("a.tsv", f"{HEADER}1\ta\0a\tb\n".encode(), "kept"),
    "a surrogate": ("a.tsv", HEADER.encode() + b"1\t\xed\xa0\x80\tb\n", "refused"),
    "a title of a megabyte": ("a.tsv", f"{HEADER}1\t{'x' * 2**20}\tb\n".encode(), "kept"),
    "an unclosed quote": ("a.csv", b'id,title,image\n1,"a,b\n2,c,d\n', "refused"),
    "a quote within": ("a.csv", b'id,title,image\n1,"a"x,b\n', "refused"),
    "a line end within": ("a.csv", b'id,title,image\n1,"a\nb",c\n', "kept"),
    "a field of a megabyte": ("a.csv", b"id,title,image\n1," + b"x" * 2**20 + b",b\n", "kept"),
    "JSON that is a list": ("a.jsonl", b"[1, 2]\n", "refused"),
    "JSON that is cut": ("a.jsonl", b'{"id": "1", "title": "a"\n', "refused"),
    "JSON nested deeply": ("a.jsonl", b"[" * 10**5 + b"\n", "refused"),
    "JSON of a huge number": ("a.jsonl", b'{"id": ' + b"9" * 5000 + b"}\n", "refused"),
    "JSON with NaN": ("a.jsonl", b'{"id": NaN, "title": "a", "image": "b"}\n', "refused"),
    "JSON keys that clean to one": (
        "a.jsonl", b'{"id": "1", "title": "a", "image": "b", "x\\u0001": "c", "x ": "d"}\n',
        "refused",
    ),
    "a JSON surrogate": (
        "a.jsonl", b'{"id": "1", "title": "\\ud800", "image": "b"}\n', "kept",
    ),
    "an unknown extension": ("a.xlsx", b"PK", "refused"),
    "gzip that is none": ("a.tsv.gz", b"id\ttitle\timage\n", "refused"),
    "gzip within gzip": ("a.tsv.gz", gzip.compress(gzip.compress(HEADER.encode())), "refused"),
    "Parquet that is none": ("a.parquet", b"PAR1 and no more PAR1", "refused"),
    "Parquet of bytes": ("a.parquet", None, "refused"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_strange_catalogues(tmp_path, trial, name):
    file, data, expected = STRANGE[name]
    if data is None:
        rows = pyarrow.Table.from_pylist([{"id": b"\xff", "title": b"a", "image": b"b"}])
        pyarrow.parquet.write_table(rows, tmp_path / file)
    else:
        (tmp_path / file).write_bytes(data)
    trial(
        "catalogues, strange content", lambda: read(tmp_path / file), lambda found: None, expected
    )


@pytest.mark.parametrize("kind", ["a folder", "nothing", "a pipe of nothing"])
def test_what_is_no_file(tmp_path, trial, kind):
    path = tmp_path / "a.tsv"
    if kind == "a folder":
        path.mkdir()
    trial("catalogues, strange content", lambda: read(path), lambda found: None, "refused")


def table(path):
    found = read_table(path, ["id", "title"])
    check_ids(found, path)
    return list(found.dicts())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_items_files(tmp_path, trial, kind, seed):
    data = mutations(tsv(), random.Random(f"items {kind} {seed}"))[kind]
    path = tmp_path / "train.tsv"
    path.write_bytes(data)

    def check(found):
        header, *rows = (line.split("\t") for line in data.decode("utf-8-sig").split("\n"))
        rows = rows if rows[-1] != [""] else rows[:-1]
        assert [list(row.values()) for row in found] == [
            [*row[:-1], row[-1].rstrip("\r")] for row in rows
        ]
        assert header[-1].rstrip("\r") in found[0]

    trial("items files", lambda: table(path), check)
