import argparse
import gzip
import json

import pytest

from fairseq_item.commands.columns import add_columns, columns_of
from fairseq_item.data.catalog import Columns, read_catalog
from fairseq_item.errors import InputError

ROWS = [
    {"id": "a1", "title": "Red shoe", "image": "a1.jpg", "leaf_category": "Shoes", "price": "12.5"},
    {"id": "a2", "title": "", "image": "sub/a 2.jpg", "leaf_category": "", "price": ""},
    {"id": "a3", "title": "Tab\there,\nnew \"line\" 😀", "image": "a3.jpg",
     "leaf_category": "Bags", "price": "3"},
]  # fmt: skip


def write_csv(path, rows):
    import csv

    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_json_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_parquet(path, rows):
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def rows_of(path, *args, **kwargs):
    return [row for _, row in read_catalog(path, *args, **kwargs)]


def error_of(path, *args, **kwargs):
    with pytest.raises(InputError) as caught:
        rows_of(path, *args, **kwargs)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.fixture
def tsv(tmp_path):
    def write(text, name="catalog.tsv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("name", "write"),
    [("c.csv", write_csv), ("c.jsonl", write_json_lines), ("c.PARQUET", write_parquet)],
)
def test_formats_agree(tmp_path, name, write):
    write(tmp_path / name, ROWS)
    catalog = read_catalog(tmp_path / name)
    assert catalog.fieldnames == list(ROWS[0])
    assert [row for _, row in catalog] == ROWS
    # And again: every iteration reads anew.
    assert [row for _, row in catalog] == ROWS


def test_numbers_are_where_a_row_begins(tmp_path):
    write_csv(tmp_path / "c.csv", [ROWS[2], ROWS[0]])
    assert [number for number, _ in read_catalog(tmp_path / "c.csv")] == [2, 4]
    write_parquet(tmp_path / "c.parquet", ROWS)
    catalog = read_catalog(tmp_path / "c.parquet")
    assert catalog.where(next(iter(catalog))[0]) == f"{tmp_path / 'c.parquet'} row 1"


def test_tsv_takes_quotes_bom_crlf_and_blank_lines_as_they_come(tsv):
    path = tsv(b'\xef\xbb\xbfid\ttitle\timage\r\n1\t"Best" 5" shoe\t1.jpg\r\n\r\n2\t\t2.jpg\r\n')
    assert list(read_catalog(path)) == [
        (2, {"id": "1", "title": '"Best" 5" shoe', "image": "1.jpg"}),
        (4, {"id": "2", "title": "", "image": "2.jpg"}),
    ]


@pytest.mark.parametrize("name", ["c.csv", "c.jsonl"])
def test_gzip(tmp_path, name):
    write = write_csv if name == "c.csv" else write_json_lines
    write(tmp_path / name, ROWS)
    data = gzip.compress((tmp_path / name).read_bytes())
    (tmp_path / f"{name}.gz").write_bytes(data)
    assert rows_of(tmp_path / f"{name}.gz") == ROWS
    (tmp_path / f"cut-{name}.gz").write_bytes(data[: len(data) // 2])
    assert "gzip it again" in error_of(tmp_path / f"cut-{name}.gz")


def test_values_of_json_become_text(tmp_path):
    path = tmp_path / "c.jsonl"
    records = [
        {"id": 7, "title": None, "image": "7.jpg", "size": 2.0, "new": True},
        {"id": 8.0, "title": "x", "image": "8.jpg", "tags": ["a", {"b": 1}], "size": 2.5},
    ]
    write_json_lines(path, records)
    first, second = rows_of(path)
    assert first == {
        "id": "7", "title": "", "image": "7.jpg", "size": "2", "new": "true", "tags": "",
    }  # fmt: skip
    assert second["id"] == "8"
    assert second["size"] == "2.5"
    assert json.loads(second["tags"]) == ["a", {"b": 1}]


def test_parquet_leaves_out_columns_of_bytes(tmp_path, caplog):
    photos = [{"photo": b"\xff\xd8", "nested": {"bytes": b"\xff"}}, {}, {}]
    rows = [{**row, **photo} for row, photo in zip(ROWS, photos)]
    write_parquet(tmp_path / "c.parquet", rows)
    assert rows_of(tmp_path / "c.parquet") == ROWS
    assert "'photo'" in caplog.text
    assert "'nested'" in caplog.text


def test_columns_are_mapped_and_ordered(tsv):
    path = tsv("colour\tid\tname\tsku\tphoto\tgroup\nred\t99\tShoe\ts1\t1.jpg\tg\n")
    columns = Columns(id="sku", title="name", image="photo", product="group")
    catalog = read_catalog(path, columns)
    assert catalog.fieldnames == ["id", "title", "image", "product", "colour", "catalog_id"]
    assert rows_of(path, columns) == [
        {"id": "s1", "title": "Shoe", "image": "1.jpg", "product": "g", "colour": "red",
         "catalog_id": "99"}
    ]  # fmt: skip


def test_column_arguments():
    parser = argparse.ArgumentParser()
    add_columns(parser)
    assert columns_of(parser.parse_args([])) == Columns()
    args = parser.parse_args(["--leaf-category-column", "kind", "--id-column", "sku"])
    assert columns_of(args) == Columns(id="sku", leaf_category="kind")


def test_missing_columns(tsv):
    path = tsv("id\ttitle\n1\tx\n")
    message = error_of(path)
    assert "no column 'image'" in message
    assert "id, title" in message
    assert "--image-column" in message
    assert rows_of(path, require=("id", "title")) == [{"id": "1", "title": "x"}]
    # An optional column that was named by its user must be there, too.
    message = error_of(path, Columns(leaf_category="kind"), ("id",))
    assert "no column 'kind'" in message


def test_one_column_cannot_be_two(tsv):
    path = tsv("id\ttitle\timage\n1\tx\ty\n")
    assert "both id and title" in error_of(path, Columns(title="id"))
    assert "two columns 'id'" in error_of(tsv("id\tid\ttitle\timage\n1\t2\tx\ty\n"))


HEAD = "id\ttitle\timage\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + "1\ta\tb\n2\ta\tb\n1\tc\td\n", "line 4 repeats the id '1' of line 2"),
        (HEAD + "1\ta\tb\n \ta\tb\n", "line 3 has an empty id"),
        (HEAD + "1\ta\tb\tc\n", "line 2 has 4 fields where the header has 3"),
        (HEAD + "1\ta\n", "line 2 has 2 fields where the header has 3"),
        (HEAD.encode() + b"1\ta\tb\n2\t\xe9\tb\n", "line 3 is not UTF-8"),
        (HEAD.encode("utf-16"), "line 1 is not UTF-8"),
        (HEAD, "has no rows"),
        ("", "is empty"),
        ("\n\n", "is empty"),
    ],
)
def test_bad_tsv(tsv, text, expected):
    assert expected in error_of(tsv(text))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("c.csv", 'id,title,image\n1,"a,b\n2,c,d\n', "line 2 is not valid CSV"),
        ("c.csv", 'id,title,image\n1,"a"b,c\n', "line 2 is not valid CSV"),
        ("c.csv", "id,title,image\n1,a,b\n2,Shoe, red,d\n", "line 3 has 4 fields"),
        ("c.csv", "id;title;image\n1;a;b\n", "no column 'id' (it has id;title;image)"),
        ("c.jsonl", '{"id": 1, "title": "a", "image": "b"}\n{"id": 2,\n', "line 2 is not valid"),
        ("c.jsonl", "[1, 2]\n", "line 1 is not a JSON object"),
        ("c.jsonl", '{"id": 1, "title": "a", "image": "b"}\n{"title": "a"}\n', "line 2 has an em"),
        ("c.jsonl", "\n", "is empty"),
        ("c.parquet", "PAR1 but not really", "is not Parquet"),
        ("c.xlsx", "x", "unknown extension"),
        ("c.parquet.gz", "x", "unknown extension"),
        ("c.csv.gz", "not gzip", "gzip it again"),
        ("catalog", "x", "unknown extension"),
    ],
)
def test_bad_files(tsv, name, text, expected):
    assert expected in error_of(tsv(text, name))


def test_missing_file_and_folder(tmp_path):
    assert "is missing" in error_of(tmp_path / "nothing.tsv")
    (tmp_path / "folder.tsv").mkdir()
    assert "folder.tsv has no .parquet files" in error_of(tmp_path / "folder.tsv")


def test_long_fields(tmp_path):
    row = {"id": "1", "title": "long " * 2_000, "image": "x", "html": "<p>" * 100_000}
    write_csv(tmp_path / "c.csv", [row])
    assert rows_of(tmp_path / "c.csv") == [row]


def test_names_that_are_the_same_once_written_are_two_of_one_name(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text(json.dumps({"id": "1", "title": "a", "image": "b", "x\ty": "", "x y": ""}))
    with pytest.raises(InputError, match="has two columns 'x y'; rename one"):
        read_catalog(path)


def test_ids_and_products_are_the_same_with_spaces_around_them(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_text("id\ttitle\timage\tproduct\n a \tx\tx.jpg\tp1\nb\ty\ty.jpg\tp1 \n")
    assert [(row["id"], row["product"]) for row in rows_of(path)] == [("a", "p1"), ("b", "p1")]


def test_a_file_changed_between_two_readings_is_refused(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_text(HEAD + "1\ta\tb\n2\ta\tb\n")
    catalog = read_catalog(path)
    assert len(list(catalog)) == len(list(catalog)) == 2
    rows = iter(catalog)
    next(rows)
    (tmp_path / "new").write_text(HEAD + "2\ta\tb\n1\ta\tb\n")
    (tmp_path / "new").rename(path)
    with pytest.raises(InputError, match=r"c\.tsv was changed while it was being read; run again"):
        list(rows)
    with pytest.raises(InputError, match="was changed"):
        list(catalog)
