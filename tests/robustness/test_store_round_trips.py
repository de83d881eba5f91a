"""What is written is read back: tables, catalogues, indexes, stores and labels of any content."""

import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from fairseq_item.data.catalog import read_catalog
from fairseq_item.data.image_store import ImageStore, ImageStoreWriter
from fairseq_item.data.labels import escape_label, unescape_label
from fairseq_item.data.mmap_index import DTYPES, MMapIndex, MMapIndexWriter
from fairseq_item.data.text import clean_field, clean_title
from fairseq_item.data.titles import SPECIALS, read_dictionary
from fairseq_item.data.token_store import TokenStore, TokenWriter
from fairseq_item.data.tsv import Table, read_table, write_table
from fairseq_item.digests import sealed, unsealed
from fairseq_item.errors import InputError

hypothesis = pytest.importorskip("hypothesis")
given, st = hypothesis.given, hypothesis.strategies
settings = hypothesis.settings(max_examples=40, deadline=None, derandomize=True)

anything = st.text(st.characters(codec="utf-8"), max_size=12)
tidy = anything.map(clean_field)  # what a field of a TSV may hold
names = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=6)
# A first name that begins with a byte order mark would be read without it.
headers = st.lists(names, min_size=1, max_size=4, unique=True)


@settings
@given(st.data())
def test_tables(data):
    header = data.draw(headers)
    row = st.lists(anything, min_size=len(header), max_size=len(header))
    rows = data.draw(st.lists(row, max_size=6))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tsv")
        write_table(path, Table(header, rows))
        found = read_table(path)
        assert found.fieldnames == header
        assert [list(values) for values in found] == [[clean_field(v) for v in row] for row in rows]
        assert len(found) == len(rows)
        assert found.column(header[0]) == [clean_field(row[0]) for row in rows]


def write_catalog(path, rows):
    columns = list(rows[0])
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".csv":
        with open(path, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns, *(row.values() for row in rows)])
    else:
        write_table(path, Table(columns, [list(row.values()) for row in rows]))


@settings
@given(st.lists(st.tuples(tidy, tidy), min_size=1, max_size=6))
def test_catalogues_of_all_formats_say_the_same(pairs):
    rows = [
        {"id": f"p{i}", "title": title, "image": image} for i, (title, image) in enumerate(pairs)
    ]
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".tsv", ".csv", ".jsonl", ".parquet"):
            path = Path(folder, f"a{suffix}")
            write_catalog(path, rows)
            assert [row for _, row in read_catalog(path)] == rows, suffix


@settings
@given(st.sampled_from(sorted(set(DTYPES.values()), key=str)), st.data())
def test_indexes(dtype, data):
    kind = np.dtype(dtype)
    if kind.kind == "f":
        values = st.floats(allow_nan=False, width=64)
    else:
        info = np.iinfo(kind)
        values = st.integers(int(info.min), int(info.max))
    items = data.draw(st.lists(st.lists(values, max_size=5), max_size=8))
    with tempfile.TemporaryDirectory() as folder:
        with MMapIndexWriter(Path(folder, "a"), dtype) as writer:
            for item in items:
                writer.add(np.array(item, kind))
        index = MMapIndex(Path(folder, "a"))
        assert [index[i].tolist() for i in range(len(index))] == items
        assert [index.read(i).tolist() for i in range(len(index))] == items
        assert index.sizes.tolist() == [len(item) for item in items]


symbols = st.lists(names, min_size=1, max_size=20, unique=True).map(
    lambda found: [name for name in found if name not in SPECIALS]
)


@settings
@given(symbols, st.data())
def test_titles(symbols, data):
    count = len(symbols) + len(SPECIALS)
    titles = data.draw(st.lists(st.lists(st.integers(3, count - 1), max_size=6), max_size=6))
    with tempfile.TemporaryDirectory() as folder:
        lines = "".join(f"{symbol} 1\n" for symbol in symbols)
        Path(folder, "dict.txt").write_text(lines, encoding="utf-8", newline="\n")
        assert sorted(read_dictionary(Path(folder, "dict.txt"))) == sorted([*SPECIALS, *symbols])
        with TokenWriter(Path(folder, "train"), count, "items") as writer:
            for title in titles:
                writer.add(title)
        store = TokenStore(Path(folder, "train"))
        store.check_items("items")
        assert [store[i].tolist() for i in range(len(store))] == [[*title, 2] for title in titles]


@settings
@given(st.sampled_from([(8, 4), (8, 8), (12, 3)]), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_images(sizes, count, seed):
    side, patch = sizes
    images = np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        with ImageStoreWriter(Path(folder, "train"), "patches", side, patch) as writer:
            for image in images:
                writer.add(image)
        store = ImageStore(Path(folder, "train"))
        store.verify()
        assert len(store) == count
        for i, image in enumerate(images):
            assert np.array_equal(store.image(i), image)
            assert np.array_equal(store.rows(i, 1, side - 1), image[1 : side - 1])


@settings
@given(anything)
def test_labels(name):
    symbol = escape_label(name)
    assert not any(character.isspace() for character in symbol)
    assert unescape_label(symbol) == name.strip()


@settings
@given(anything)
def test_cleaned_titles_stay_as_they_are(title):
    cleaned = clean_title(title)
    assert clean_title(cleaned) == cleaned
    assert clean_field(cleaned) == cleaned
    assert cleaned.isprintable() or not cleaned.isascii()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@settings
@given(st.dictionaries(names, json_values, max_size=5), names, json_values)
def test_descriptions(values, name, other):
    kept = json.loads(json.dumps(sealed(values)))
    assert unsealed("a.json", kept, "write it") == json.loads(json.dumps(values))
    changed = {**kept, name: other}
    if json.dumps(changed, sort_keys=True) != json.dumps(kept, sort_keys=True) and name != "seal":
        with pytest.raises(InputError):
            unsealed("a.json", changed, "write it")
