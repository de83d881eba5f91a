"""Public data sets, each in the layout that it is published in."""

import json

import pytest

from fairseq_item.errors import InputError

ABO = [
    {
        "item_id": "B01", "domain_name": "amazon.in", "main_image_id": "71a",
        "brand": [{"language_tag": "en_IN", "value": "Solimo"}],
        "item_name": [
            {"language_tag": "de_DE", "value": "Hülle"}, {"language_tag": "en_IN", "value": "Case"}
        ],
        "color": [{"language_tag": "en_IN", "value": "Red"}], "other_image_id": ["81b", "99x"],
        "product_type": [{"value": "CELLULAR_PHONE_CASE"}],
    },
    {"item_id": "B01", "domain_name": "amazon.de", "main_image_id": "71a",
     "item_name": [{"language_tag": "de_DE", "value": "Hülle"}]},
    {"item_id": "B02", "domain_name": "amazon.de", "item_name": "not a list"},
]  # fmt: skip
ABO_LISTINGS = "\n".join(map(json.dumps, ABO)) + "\n{broken\n[1]\n"
ABO_IMAGES = "image_id,height,width,path\n71a,9,9,71/71a.jpg\n81b,9,9,81/81b.jpg\n"


def test_abo(imported):
    rows, rejected = imported({"listings_0.json.gz": ABO_LISTINGS, "images.csv.gz": ABO_IMAGES})
    assert list(rows) == ["B01:amazon.in", "B01:amazon.in~2", "B01:amazon.de", "B02:amazon.de"]
    first = rows["B01:amazon.in"]
    assert (first["title"], first["image"], first["image_url"]) == ("Case", "71/71a.jpg", "")
    assert (first["brand"], first["color"]) == ("Solimo", "Red")
    assert first["leaf_category"] == "CELLULAR_PHONE_CASE"
    assert rows["B01:amazon.de"]["title"] == "Hülle"
    # One item in two of Amazon's shops is one product.
    assert {row["product"] for name, row in rows.items() if "B01" in name} == {"B01"}
    assert [row["row"] for row in rejected] == ["1", "4", "5"]
    assert "99x" in rejected[0]["reason"]
    assert "not valid JSON" in rejected[1]["reason"]


def test_abo_in_another_language(imported):
    files = {"listings_0.json": ABO_LISTINGS, "images.csv": ABO_IMAGES}
    rows, _ = imported(files, "--language", "de")
    assert rows["B01:amazon.in"]["title"] == "Hülle"


def test_abo_as_the_archives_unpack(imported, tmp_path):
    for folder in ("listings/metadata", "images/metadata"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(InputError, match=r"images\.csv\.gz"):
        imported({"listings/metadata/listings_0.json.gz": ABO_LISTINGS})
    (tmp_path / "images/metadata/images.csv.gz").write_text(ABO_IMAGES)
    rows, _ = imported({"listings/metadata/listings_0.json.gz": ABO_LISTINGS})
    assert rows["B01:amazon.in"]["image"] == "71/71a.jpg"


def test_shopee(imported):
    rows, rejected = imported({
        "train.csv": "posting_id,image,image_phash,title,label_group\n"
        'train_1,a.jpg,94974f937d4c2433,"Paper Bag, Victoria",249114794\n'
        "train_2,b.jpg,af3f9460c2838f0f,Bag,249114794\n"
        "train_3,b.jpg,af3f9460c2838f0f,Tape,7\n"
        "train_3,c.jpg,0,Again,7\n"
    })  # fmt: skip
    assert rows["train_1"]["title"] == "Paper Bag, Victoria"
    assert rows["train_1"]["product"] == rows["train_2"]["product"] == "249114794"
    assert rows["train_3"]["image"] == "b.jpg"
    assert rows["train_3"]["image_phash"] == "af3f9460c2838f0f"
    assert [(row["row"], row["id"]) for row in rejected] == [("5", "train_3")]


def test_stanford_online_products(imported):
    header = "image_id class_id super_class_id path\n"
    rows, _ = imported({
        "Ebay_train.txt": header + "1 1 1 bicycle_final/111085122871_0.JPG\n"
        "2 1 1 bicycle_final/111085122871_1.JPG\n",
        "Ebay_test.txt": header + "59552 11319 1 sofa_final/251952414262_0.JPG\n",
    })  # fmt: skip
    assert rows["1"]["product"] == rows["2"]["product"] != rows["59552"]["product"]
    assert rows["1"]["image"] == "bicycle_final/111085122871_0.JPG"
    assert rows["59552"]["leaf_category"] == "sofa"
    assert [row["split"] for row in rows.values()] == ["train", "train", "test"]
    assert rows["1"]["title"] == ""


def test_eproduct(imported):
    rows, _ = imported({
        "val.csv": "UUID,IMAGE_PATH,META_CATEG_ID,CATEG_LVL2_ID,LEAF_CATEG_ID,AUCT_TITL\n"
        "u1,val/u1.jpg,1,22,333,Care bear\n",
    })  # fmt: skip
    row = rows["u1"]
    assert (row["title"], row["image"], row["leaf_category"]) == ("Care bear", "val/u1.jpg", "333")
    assert (row["meta_category"], row["category_2"], row["split"]) == ("1", "22", "valid")
    rows, _ = imported({"index.csv": "UUID,IMAGE_PATH\nu9,index/u9.jpg\n"})
    assert (rows["u9"]["title"], rows["u9"]["split"]) == ("", "")


AMAZON = {
    "main_category": "All Beauty", "title": "Brush", "average_rating": 4.5, "rating_number": 8,
    "features": [], "description": [], "price": 9.99, "store": "Lurrose", "videos": [],
    "categories": ["Beauty", "Tools", "Brushes"], "bought_together": None, "parent_asin": "B0A",
    "details": {"Brand": "Lurrose", "Color": "Pink", "UPC": "036000291452"},
    "images": [
        {"thumb": "https://m.example/pt_t.jpg", "large": "https://m.example/pt.jpg",
         "variant": "PT01", "hi_res": None},
        {"thumb": "https://m.example/t.jpg", "large": "https://m.example/l.jpg", "variant": "MAIN",
         "hi_res": "https://m.example/h.jpg"},
    ],
}  # fmt: skip


def test_amazon_reviews(imported):
    columns = {"hi_res": [None], "large": ["https://m.example/x.jpg"], "variant": ["MAIN"]}
    other = {**AMAZON, "parent_asin": "B0B", "images": {**columns, "thumb": [""]}, "price": None,
             "details": {}, "categories": []}  # fmt: skip
    lines = json.dumps(AMAZON) + "\n" + json.dumps(other)
    rows, rejected = imported({"meta_All_Beauty.jsonl.gz": lines})
    assert not rejected
    urls = [row["image_url"] for row in rows.values()]
    assert urls == [f"https://m.example/{name}.jpg" for name in ("h", "pt", "x")]
    first = rows["B0A"]
    assert (first["leaf_category"], first["price"], first["brand"]) == (
        "Brushes",
        "9.99",
        "Lurrose",
    )
    assert first["product"] == rows["B0A~2"]["product"] == "gtin:00036000291452"
    assert (rows["B0B"]["product"], rows["B0B"]["leaf_category"]) == ("", "All Beauty")
