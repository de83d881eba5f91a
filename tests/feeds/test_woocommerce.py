"""WooCommerce's export, as its wiki's Product-CSV-Import-Schema has it."""

HEADER = (
    'ID,Type,SKU,"GTIN, UPC, EAN, or ISBN",Name,Published,"Sale price","Regular price",Categories,'
    'Tags,Images,Parent,Brands,"Attribute 1 name","Attribute 1 value(s)","Attribute 2 name",'
    '"Attribute 2 value(s)"\n'
)
ROWS = (
    '44,variable,tee,,"V-Neck Tee",1,,,"Clothing, Clothing > Tshirts",,'
    '"https://w.example/a.jpg, https://w.example/b.jpg",,Nord,Color,"Blue, Red",Size,"L, M"\n'
    '46,simple,hood,4006381333931,Hoodie,1,,45,"Clothing > Hoodies",,'
    '"https://w.example/h\\,1.jpg, https://w.example/h2.jpg",,,Color,Blue,,\n'
    '47,"simple, downloadable, virtual",,,Album,1,"12,50",15,Music,,https://w.example/m.jpg,,,,,,\n'
    '76,variation,tee-red,,"V-Neck Tee - Red",1,,20,,,https://w.example/r.jpg,tee,,Color,Red,Size,\n'
    '50,variable,,,Belt,1,,,Belts,,"https://w.example/1.jpg, https://w.example/2.jpg",,,Size,'
    '"80, 90",,\n'
    "77,variation,,,Belt - 80,1,,20,,,,id:50,,Size,80,,\n"
)


def test_products_and_variations(imported):
    rows, rejected = imported({"wc-product-export.csv": HEADER + ROWS})
    assert list(rows) == ["44", "44~2", "46", "46~2", "47", "76", "50", "50~2", "77"]
    assert not rejected
    red = rows["76"]
    assert red["title"] == "V-Neck Tee - Red"
    assert (red["color"], red["price"], red["sku"]) == ("Red", "20", "tee-red")
    assert red["leaf_category"] == "Clothing"  # its parent's first category
    assert red["brand"] == "Nord"
    assert rows["46"]["image_url"] == "https://w.example/h,1.jpg"
    assert rows["47"]["price"] == "12.50"
    assert rows["77"]["image_url"] == ""


def test_truth(imported):
    rows, _ = imported({"wc-product-export.csv": HEADER + ROWS})
    product = {name: row["product"] for name, row in rows.items()}
    assert product["46"] == product["46~2"] == "gtin:04006381333931"
    assert product["44"] == product["44~2"] == ""  # photos of several colours
    assert product["50"] == product["50~2"] == "50"  # sizes alone
    assert rows["44"]["group"] == rows["76"]["group"] == "tee"
    assert rows["50"]["group"] == rows["77"]["group"] == "id:50"
    assert rows["46"]["group"] == ""
