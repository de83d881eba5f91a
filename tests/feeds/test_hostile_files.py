"""Files that are broken, or made to hurt."""

import gzip

import pytest

from fairseq_item.errors import InputError
from fairseq_item.feeds import blocks, listing, tables, xml_items

LAUGHS = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">
<!ENTITY lol1 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
<!ENTITY lol2 "&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;">]>
<rss><channel><item><id>1</id><title>&lol2;</title></item></channel></rss>"""
OUTSIDE = """<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]>
<rss><channel><item><id>1</id><title>&x;</title></item></channel></rss>"""


@pytest.mark.parametrize("text", [LAUGHS, OUTSIDE])
def test_entities_are_refused(text, imported):
    with pytest.raises(InputError, match="declares a DOCTYPE"):
        imported({"feed.xml": text})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<rss>" + "<a>" * 100, "deep"),
        ("<rss><item><title>" + "x" * (1 << 21), "of text in one item"),
        ("<rss><item a='" + "x" * (3 << 20), "has a tag of over"),
        ("<rss><item><title>" + "x", "not well-formed"),
    ],
)
def test_xml_that_grows_without_end(text, problem, tmp_path, monkeypatch):
    monkeypatch.setattr(xml_items, "MAX_LINE", 1 << 20)
    path = tmp_path / "feed.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        list(xml_items.items(path))


def test_a_gzip_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "FREE_BYTES", 1 << 20)
    path = tmp_path / "feed.tsv.gz"
    path.write_bytes(gzip.compress(b"\n" * (8 << 20)))
    found = []
    with pytest.raises(InputError, match="unpacks to over 200 times its size"):
        found.extend(map(len, blocks.blocks(path)))
    assert sum(found) <= 2 << 20


def test_a_gzip_that_is_cut_off(imported):
    whole = gzip.compress(b"id\ttitle\timage_link\n1\tPan\t\n" * 1000)
    with pytest.raises(InputError, match="cannot be unpacked"):
        imported({"feed.tsv": whole[:-20]})


def test_a_line_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "MAX_LINE", 1 << 20)
    path = tmp_path / "feed.tsv"
    path.write_bytes(b"id\ttitle\n" + b"x" * (3 << 20))
    with pytest.raises(InputError, match=r"line 2 is over 1 MiB long"):
        list(blocks.lines(path))


def test_utf_16_says_so(imported):
    with pytest.raises(InputError, match="UTF-16"):
        imported({"feed.tsv": "id\ttitle\timage_link\n".encode("utf-16")})


def test_rows_that_are_not_utf8_are_rejected(imported):
    text = "id\ttitle\timage_link\n1\tKüche\t\n2\tPan\t\n".encode("latin-1")
    rows, rejected = imported({"feed.tsv": text})
    assert list(rows) == ["2"]
    assert [(row["row"], row["reason"]) for row in rejected] == [("2", "is not UTF-8")]


def test_tsv_quotes_neither_swallow_rows_nor_break_them(tmp_path):
    path = tmp_path / "feed.tsv"
    path.write_text(
        'id\ttitle\ttext\n'
        '1\t"Vintage record\tx\n'  # a quote that is never closed
        '2\tRecord 12"\tx\n'
        '3\t"A ""best"" pan"\t"two\nlines"\n'  # a field of two lines
        "4\tshort\n"
        '5\t"short\n'
        "6\tlast\tx\n"
    )  # fmt: skip
    found = list(tables.table(path))
    rows = {row[1]["id"]: row[1] for row in found if isinstance(row, tuple)}
    assert list(rows) == ["1", "2", "3", "6"]
    assert rows["3"] == {"id": "3", "title": 'A "best" pan', "text": "two\nlines"}
    rejected = [row for row in found if isinstance(row, listing.Rejected)]
    assert [row.row for row in rejected] == [6, 7]


def test_csv_quotes_that_are_never_closed_are_told(tmp_path):
    path = tmp_path / "feed.csv"
    path.write_text('id,title\n1,"two\nlines"\n2,"bad" quote\n3,good\n4,"open\n5,lost\n')
    found = list(tables.table(path))
    assert [row[1]["id"] for row in found if isinstance(row, tuple)] == ["1", "3"]
    bad, lost = [row for row in found if isinstance(row, listing.Rejected)]
    assert bad.row == 4
    assert "lines 6 to 7" in lost.reason


def test_only_whole_gtins_are_truth():
    assert listing.gtin("4006381333931") == "04006381333931"
    assert listing.gtin("036000 291452") == "00036000291452"  # a UPC is a GTIN with zeros before it
    assert listing.gtin("96385074") == "00000096385074"
    for text in ("4006381333930", "0000000000000", "does not apply", "123", "٤٠٠٦٣٨١٣٣٣٩٣١", ""):
        assert listing.gtin(text) == "", text


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("19.90 EUR", ("19.90", "EUR")), ("USD 5", ("5", "USD")), ("1,299.00", ("1299.00", "")),
        ("12,50", ("12.50", "")), ("1.299,00 EUR", ("1299.00", "EUR")), ("", ("", "")),
        ("on request", ("on request", "")), ("1,299", ("1299", "")),
    ],
)  # fmt: skip
def test_prices(text, amount):
    assert listing.price(text) == amount
