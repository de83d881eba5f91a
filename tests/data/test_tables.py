import pytest

from fairseq_item.data.tables import Table, read_table, unique_ids, write_table
from fairseq_item.errors import InputError

ROWS = [["a", "red shoe", ""], ["b", "", "x.jpg"], ["ç", "blau", "ü.jpg"]]
NAMES = ["id", "title", "image"]


@pytest.fixture(name="both", params=["of rows", "as read"])
def fixture_both(request, tmp_path):
    table = Table(NAMES, [list(row) for row in ROWS])
    if request.param == "as read":
        write_table(tmp_path / "t.tsv", table)
        table = read_table(tmp_path / "t.tsv", ["id"])
    return table


def test_the_same_table_whether_it_was_read_or_made(both, tmp_path):
    assert len(both) == 3
    assert both.fieldnames == NAMES
    assert both[2] == {"id": "ç", "title": "blau", "image": "ü.jpg"}
    assert list(both) == ROWS
    assert [both.column(name) for name in NAMES] == [list(column) for column in zip(*ROWS)]
    assert both.column("nothing") == ["", "", ""]
    write_table(tmp_path / "again.tsv", both)
    assert list(read_table(tmp_path / "again.tsv")) == ROWS
    assert both.rows == ROWS


def test_rows_may_be_changed(both, tmp_path):
    both.rows[1][1] = "hat"
    assert both[1]["title"] == both.column("title")[1] == list(both)[1][1] == "hat"
    write_table(tmp_path / "changed.tsv", both)
    assert read_table(tmp_path / "changed.tsv")[1]["title"] == "hat"


def test_joined_tables_have_the_columns_of_all(both):
    assert list(Table.joined([both, both])) == ROWS * 2
    more = Table(["title", "id", "shop"], [["cap", "d", "7"]])
    joined = Table.joined([both, more])
    assert joined.fieldnames == [*NAMES, "shop"]
    assert list(joined) == [[*row, ""] for row in ROWS] + [["d", "cap", "", "7"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("title\nx\n", "row 1 lacks id"),
        ("id\tid\na\tb\n", "row 1 names a column twice"),
        ("id\ttitle\na\tb\nc\n", "row 3 has 1 values where the header has 2"),
        ("id\ttitle\na\tb\tc\n", "row 2 has 3 values"),
        ("id\n\nb\n", "row 2 has an empty id"),
        ("id\na\nb\na\n", "row 4 has the id 'a' of row 2"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        unique_ids(read_table(path, ["id"]), path)


def test_only_a_newline_ends_a_row(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_bytes("id\ttitle\r\na\tone\u2028two\rthree\r\n".encode())
    assert list(read_table(path)) == [["a", "one\u2028two\rthree"]]
