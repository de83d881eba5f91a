"""Shopify's product CSV, as help.shopify.com/en/manual/products/import-export/using-csv has it."""

import csv
import io

OLD = (
    "Handle", "Title", "Body (HTML)", "Vendor", "Product Category", "Type", "Tags", "Published",
    "Option1 Name", "Option1 Value", "Option2 Name", "Option2 Value", "Option3 Name",
    "Option3 Value", "Variant SKU", "Variant Grams", "Variant Price", "Variant Barcode",
    "Image Src", "Image Position", "Image Alt Text", "Gift Card", "Variant Image", "Status",
)  # fmt: skip
NEW = {
    "Handle": "URL handle", "Body (HTML)": "Description", "Product Category": "Product category",
    "Published": "Published on online store", "Option1 Name": "Option1 name",
    "Option1 Value": "Option1 value", "Option2 Name": "Option2 name",
    "Option2 Value": "Option2 value", "Option3 Name": "Option3 name",
    "Option3 Value": "Option3 value", "Variant SKU": "SKU", "Variant Grams": "Weight value (grams)",
    "Variant Price": "Price", "Variant Barcode": "Barcode", "Image Src": "Product image URL",
    "Image Position": "Image position", "Image Alt Text": "Image alt text",
    "Gift Card": "Gift card", "Variant Image": "Variant image URL",
}  # fmt: skip


def export(rows, new=False):
    """A CSV of dicts under the old names."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([NEW.get(name, name) for name in OLD] if new else OLD)
    writer.writerows([[row.get(name, "") for name in OLD] for row in rows])
    return text.getvalue()


def url(name):
    return f"https://cdn.shop.example/s/files/1/products/{name}?v=16"


TEE = [
    {"Handle": "tee", "Title": "Linen tee", "Body (HTML)": "<p>Soft,\n\"light\"</p>",
     "Vendor": "Nord", "Product Category": "Apparel > Shirts", "Type": "Tees",
     "Option1 Name": "Colour", "Option1 Value": "Red", "Option2 Name": "Size",
     "Option2 Value": "S", "Variant SKU": "TRS", "Variant Price": "19.90",
     "Variant Barcode": "4006381333931", "Image Src": url("all.jpg"), "Image Position": "1",
     "Variant Image": url("red.jpg"), "Status": "active"},
    {"Handle": "tee", "Option1 Value": "Red", "Option2 Value": "M", "Variant SKU": "TRM",
     "Variant Price": "19.90", "Image Src": url("red.jpg"), "Image Position": "2",
     "Variant Image": url("red.jpg")},
    {"Handle": "tee", "Option1 Value": "Blue", "Option2 Value": "S", "Variant SKU": "TBS",
     "Variant Price": "21", "Variant Barcode": "96385074", "Image Src": url("blue.jpg"),
     "Image Position": "3", "Variant Image": url("blue.jpg")},
]  # fmt: skip
MUG = [
    {"Handle": "mug", "Title": "Mug", "Vendor": "Nord", "Product Category": "Home > Kitchen > Mugs",
     "Option1 Name": "Title", "Option1 Value": "Default Title", "Variant Price": "5",
     "Image Src": url("mug-back.jpg"), "Image Position": "2"},
    {"Handle": "mug", "Image Src": url("mug-front.jpg"), "Image Position": "1"},
]  # fmt: skip
BELT = [  # sizes only: all its photos show the same
    {"Handle": "belt", "Title": "Belt", "Option1 Name": "Size", "Option1 Value": "80",
     "Variant SKU": "B80", "Image Src": url("belt.jpg"), "Image Position": "1"},
    {"Handle": "belt", "Option1 Value": "90", "Variant SKU": "B90",
     "Image Src": url("belt-2.jpg"), "Image Position": "2"},
]  # fmt: skip
CASE = [  # colours, but no photo says of which it is
    {"Handle": "case", "Title": "Case", "Option1 Name": "Color", "Option1 Value": "Red",
     "Image Src": url("case-1.jpg"), "Image Position": "1"},
    {"Handle": "case", "Option1 Value": "Blue", "Image Src": url("case-2.jpg"),
     "Image Position": "2"},
]  # fmt: skip


def test_both_generations_are_the_same_catalogue(imported):
    rows = TEE + MUG + BELT + CASE
    assert imported({"a.csv": export(rows)}) == imported({"b.csv": export(rows, new=True)})


def test_variants_with_photos_of_their_own(imported):
    rows, rejected = imported({"export.csv": export(TEE)})
    assert not rejected
    assert {name: row["image_url"].split("/")[-1] for name, row in rows.items()} == {
        "tee:Red": "red.jpg?v=16", "tee:Blue": "blue.jpg?v=16", "tee": "all.jpg?v=16",
    }  # fmt: skip
    red = rows["tee:Red"]
    assert red["title"] == "Linen tee - Red"
    assert (red["color"], red["size"], red["sku"]) == ("Red", "S, M", "TRS, TRM")
    assert (red["brand"], red["leaf_category"], red["price"]) == ("Nord", "Tees", "19.90")
    assert rows["tee:Blue"]["product"] == "gtin:00000096385074"
    assert rows["tee"]["product"] == ""  # of which colour, nobody says
    assert {row["group"] for row in rows.values()} == {"tee"}


def test_photos_of_one_variant_are_one_product_in_their_order(imported):
    rows, _ = imported({"export.csv": export(MUG)})
    assert list(rows) == ["mug", "mug~2"]
    assert "mug-front" in rows["mug"]["image_url"]
    assert {row["product"] for row in rows.values()} == {"mug"}
    # The title stands on the first row only, whatever the order of the photos.
    assert {row["title"] for row in rows.values()} == {"Mug"}
    assert rows["mug"]["leaf_category"] == "Mugs"
    assert rows["mug"]["color"] == ""


def test_sizes_look_alike_and_colours_do_not(imported):
    rows, _ = imported({"export.csv": export(BELT + CASE)})
    assert rows["belt"]["product"] == rows["belt~2"]["product"] == "belt"
    assert rows["belt"]["size"] == "80, 90"
    assert rows["case"]["product"] == rows["case~2"]["product"] == ""
    assert rows["case"]["group"] == rows["case~2"]["group"] == "case"


def test_bad_rows_do_not_part_a_handle(imported):
    lines = export(MUG).splitlines()
    rows, rejected = imported({"export.csv": "\n".join([*lines[:2], "mug,short", lines[2]])})
    assert list(rows) == ["mug", "mug~2"]
    (short,) = rejected
    assert short["row"] == "3"
    assert short["reason"] == f"has 2 fields where the header has {len(OLD)}"


def test_rows_without_handle_and_handles_that_come_again(imported):
    rows, rejected = imported({"export.csv": export([*MUG, {"Title": "Lost"}, *BELT, MUG[0]])})
    assert list(rows) == ["mug", "mug~2", "belt", "belt~2"]
    assert [row["reason"] for row in rejected] == ["has no id", "repeats the id of an earlier row"]


def test_photos_that_lie_in_a_folder(imported, tmp_path):
    root = tmp_path / "photos"
    (root / "old").mkdir(parents=True)
    for name in ("mug-front.jpg", "old/mug-back.jpg"):
        (root / name).write_bytes(b"")
    rows, rejected = imported({"export.csv": export(MUG + BELT)}, "--image-root", str(root))
    assert [row["image"] for row in rows.values()] == ["mug-front.jpg", "old/mug-back.jpg"]
    assert [row["id"] for row in rejected] == ["belt", "belt"]
    assert all("not among the given images" in row["reason"] for row in rejected)
