"""Google Merchant product data, as support.google.com/merchants/answer/7052112 has it."""

import pytest

from fairseq_item.errors import InputError
from fairseq_item.feeds.google import recognises

# The names once with underscores, once as feeds of old have them.
UNDERSCORES = (
    "id\ttitle\tdescription\tlink\timage_link\tadditional_image_link\titem_group_id\tgtin\tbrand\tmpn\t"
    "color\tsize\tgoogle_product_category\tproduct_type\tprice\tmultipack\n"
)
BLANKS = UNDERSCORES.replace("_", " ")
ROWS = (
    "t1\tTee red\tSoft\thttps://s.example/t1\thttps://i.example/r.jpg\thttps://i.example/r2.jpg,"
    "https://i.example/r3.jpg\ttee\t4006381333931\tNord\tT-1\tred\tM\t"
    "Apparel & Accessories > Clothing > Shirts\tMen > Tees\t19.90 EUR\t\n"
    't2\t22" screen\tA "flat" one\thttps://s.example/t2\thttps://i.example/s.jpg\t\t\t0\tNord\t\t\t\t'
    "222\tTV > Screens\t1,299.00 USD\t\n"
    "t3\tTee red used\t\t\thttps://i.example/u.jpg\t\ttee\t4006381-333931\t\t\t\t\t\t\t5 EUR\t\n"
    "t4\tSix tees\t\t\thttps://i.example/x.jpg\t\t\t4006381333931\t\t\t\t\t\t\t90 EUR\t6\n"
)
RSS = """<?xml version="1.0"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
<item><g:id>t1</g:id><title>Plain</title><g:title>Tee &amp; more</g:title>
 <g:image_link>https://i.example/r.jpg</g:image_link>
 <g:additional_image_link>https://i.example/r,2.jpg</g:additional_image_link>
 <g:additional_image_link>https://i.example/r3.jpg</g:additional_image_link>
 <g:shipping><g:country>DE</g:country><g:price>4.90 EUR</g:price></g:shipping>
 <g:price>19.90 EUR</g:price><g:item_group_id>tee</g:item_group_id></item>
<item><g:id>t2</g:id><title>Only plain</title><description><![CDATA[<b>x</b>]]></description>
 <g:gtin>4006381333931</g:gtin></item>
<item><g:id>t3</g:id></item>
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
<title>Shop</title><entry><id>a1</id><title>Lamp</title><link href="https://s.example/a1"/>
<g:image_link>https://i.example/l.jpg</g:image_link></entry></feed>"""


@pytest.mark.parametrize("header", [UNDERSCORES, BLANKS])
def test_text(imported, header):
    rows, rejected = imported({"feed.txt": header + ROWS})
    assert list(rows) == ["t1", "t1~2", "t1~3", "t2", "t3", "t4"]
    assert not rejected
    first = rows["t1"]
    assert first["title"] == "Tee red"
    assert (first["image"], first["image_url"]) == ("", "https://i.example/r.jpg")
    assert rows["t1~3"]["image_url"] == "https://i.example/r3.jpg"
    assert (first["price"], first["currency"]) == ("19.90", "EUR")
    assert first["leaf_category"] == "Shirts"
    assert (first["brand"], first["color"], first["size"], first["mpn"]) == (
        "Nord", "red", "M", "T-1"
    )  # fmt: skip
    assert rows["t2"]["title"] == '22" screen'
    assert rows["t2"]["leaf_category"] == "Screens"
    assert rows["t2"]["price"] == "1299.00"


def test_truth_is_the_gtin_and_groups_are_none(imported):
    rows, _ = imported({"feed.tsv": UNDERSCORES + ROWS})
    product = {name: row["product"] for name, row in rows.items()}
    assert product["t1"] == product["t1~2"] == product["t3"] == "gtin:04006381333931"
    assert product["t2"] == ""  # 0 is no GTIN, and one photo has no other
    assert product["t4"] == "gtin:04006381333931x6"  # six of them are another product
    assert rows["t1"]["group"] == rows["t3"]["group"] == "tee"


def test_rss(imported):
    rows, rejected = imported({"feed.xml": "\n" + RSS})
    assert list(rows) == ["t1", "t1~2", "t1~3", "t2"]
    assert rows["t1"]["title"] == "Tee & more"
    assert rows["t1"]["price"] == "19.90"  # not that of its shipping
    assert rows["t1~2"]["image_url"] == "https://i.example/r,2.jpg"
    assert {rows[name]["product"] for name in ("t1", "t1~2", "t1~3")} == {"t1"}
    assert rows["t2"]["product"] == "gtin:04006381333931"
    (no_use,) = rejected
    assert (no_use["id"], no_use["reason"]) == ("t3", "has neither a title nor an image")
    assert no_use["row"] == "12"


def test_atom(imported):
    rows, _ = imported({"feed.xml.gz": ATOM})
    assert rows["a1"]["image_url"] == "https://i.example/l.jpg"
    assert rows["a1"]["link"] == "https://s.example/a1"


def test_a_csv_feed_is_one_too(imported):
    rows, _ = imported(
        {"feed.csv": 'id,title,image_link\n1,"Pan, large",https://i.example/p.jpg\n'}
    )
    assert rows["1"]["title"] == "Pan, large"


def test_other_xml_is_none(tmp_path):
    path = tmp_path / "page.xml"
    path.write_text("<html><body/></html>")
    assert not recognises(path)


def test_broken_xml_is_one_line(imported):
    with pytest.raises(InputError, match=r"line 3 is not well-formed XML .*export it again"):
        imported({"feed.xml": "<rss>\n<channel>\n<item><a>x</b></item></channel></rss>"})


def test_several_columns_of_one_name(imported):
    header = "id\ttitle\timage_link\tadditional_image_link\tadditional_image_link\n"
    row = "1\tPan\thttps://i.example/1.jpg\thttps://i.example/2.jpg\thttps://i.example/3.jpg\n"
    rows, _ = imported({"feed.tsv": header + row})
    assert [row["image_url"][-5:] for row in rows.values()] == ["1.jpg", "2.jpg", "3.jpg"]
