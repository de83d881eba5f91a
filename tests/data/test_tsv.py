import pytest

from fairseq_item.data.tsv import Table, read_table, unique_ids, write_table, write_tsv
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
    assert list(both.dicts()) == [both[i] for i in range(3)]
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


def test_what_would_break_the_table_becomes_spaces(tmp_path):
    path = tmp_path / "new" / "items.tsv"
    rows = [
        {"id": "a1", "title": 'Tab\there,\nnew "line" 😀', "image": "a1.jpg", "more": "left out"},
        {"id": "a2", "title": "half \ud83d pair\x85\u2028 end", "image": "two  spaces.jpg"},
        {"id": "a3"},
    ]
    assert write_tsv(path, NAMES, rows) == 3
    assert list(read_table(path)) == [
        ["a1", 'Tab here, new "line" 😀', "a1.jpg"],
        ["a2", "half   pair  end", "two  spaces.jpg"],
        ["a3", "", ""],
    ]


def test_a_failed_writer_leaves_nothing_half_done(tmp_path):
    def rows():
        yield {"id": "1"}
        raise ValueError("no more")

    path = tmp_path / "items.tsv"
    path.write_text("old")
    with pytest.raises(ValueError, match="no more"):
        write_tsv(path, ["id"], rows())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"no\.tsv is not there"):
        read_table(tmp_path / "no.tsv")
    (tmp_path / "latin.tsv").write_bytes(b"id\n\xff\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_table(tmp_path / "latin.tsv")
