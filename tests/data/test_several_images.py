"""A row that names several images becomes a row for each, with ids of their own."""

import pytest

from fairseq_item.commands import split as split_command
from fairseq_item.data.catalog import Columns, read_catalog
from fairseq_item.errors import InputError

COLUMNS = Columns()


def rows(path, separator="|", columns=COLUMNS, **settings):
    catalog = read_catalog(path, columns, image_separator=separator, **settings)
    return catalog, [(number, row) for number, row in catalog]


def test_each_image_is_a_row_and_they_share_a_product(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_text(
        "id\ttitle\timage\n1\tred\ta.jpg| b.jpg |a.jpg||c.jpg\n2\tblue\td.jpg\n3\tgreen\t\n"
    )
    catalog, found = rows(path)
    assert catalog.fieldnames == ["id", "title", "image", "product"]
    values = [(n, *(row[name] for name in catalog.fieldnames)) for n, row in found]
    assert values == [
        (2, "1", "red", "a.jpg", "1"),
        (2, "1~2", "red", "b.jpg", "1"),
        (2, "1~3", "red", "c.jpg", "1"),
        (3, "2", "blue", "d.jpg", ""),
        (4, "3", "green", "", ""),
    ]
    assert [row["image"] for _, row in rows(path, "")[1]] == [
        "a.jpg| b.jpg |a.jpg||c.jpg",
        "d.jpg",
        "",
    ]


def test_a_product_of_the_row_stays_and_columns_may_have_other_names(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text('sku,name,photos,group\n7,cup,"x.jpg, y.jpg",g1\n')
    columns = Columns(id="sku", title="name", image="photos", product="group")
    _, found = rows(path, ",", columns)
    assert [(r["id"], r["image"], r["product"]) for _, r in found] == [
        ("7", "x.jpg", "g1"), ("7~2", "y.jpg", "g1")
    ]  # fmt: skip


def test_ids_must_stay_unique_and_columns_be_there(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_text("id\ttitle\timage\n1\ta\tx|y\n1~2\tb\tz\n")
    with pytest.raises(InputError, match="line 3 repeats the id '1~2' of line 2"):
        rows(path)
    path.write_text("id\ttitle\n1\ta\n")
    with pytest.raises(InputError, match="no column 'image'"):
        rows(path)


def test_a_split_keeps_the_photos_of_a_product_together(tmp_path):
    path = tmp_path / "c.tsv"
    lines = [f"{i}\ttitle {i}\t{i}a.jpg;{i}b.jpg" for i in range(40)]
    path.write_text("\n".join(["id\ttitle\timage", *lines, ""]))
    out = tmp_path / "splits"
    ratios = ["--ratios", "50", "25", "25"]
    split_command.main([str(path), "--out", str(out), *ratios, "--image-separator", ";"])
    seen = {}
    for name in ("train", "valid", "test"):
        for row in read_catalog(out / f"{name}.tsv"):
            seen.setdefault(row[1]["product"], []).append((name, row[1]["image"]))
    assert len(seen) == 40
    for product, photos in seen.items():
        assert [image for _, image in photos] == [f"{product}a.jpg", f"{product}b.jpg"]
        assert len({name for name, _ in photos}) == 1
