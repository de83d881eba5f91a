"""Same-product search with real second photos, from a checkout of magento/magento2-sample-data.

Of every product in every colour the catalogue has the main photo. Where there is another view
(the back, else another), that is the photo of a query, whose title is the catalogue's, rewritten
as item-relist rewrites titles. Photos are left where they are: the image root of both is
CHECKOUT/pub/media/catalog/product.

Writes DIR/products.tsv, DIR/query.tsv, DIR/truth.tsv and DIR/meta.json.

usage: python examples/second_photos/make_benchmark.py CHECKOUT --out DIR
"""

import csv
import html
import json
import random
from pathlib import Path

from fairseq_item.commands.common import Parser, add_seed, run, say
from fairseq_item.data.draw import draw
from fairseq_item.data.images import ImageRoot
from fairseq_item.data.text import clean_title
from fairseq_item.data.tsv import write_tsv
from fairseq_item.errors import InputError
from fairseq_item.preprocess.equal_listings import ListingKey, same_products
from fairseq_item.preprocess.protocol1 import Protocol1
from fairseq_item.preprocess.protocol2 import Protocol2

PRODUCTS = "app/code/Magento/ConfigurableSampleData/fixtures/products.csv"
IMAGES = "pub/media/catalog/product"
COLUMNS = ("id", "title", "image", "style", "leaf_category")
NEEDED = ("sku", "product_type", "name", "categories", "additional_attributes", "base_image",
          "additional_images", "configurable_variations")  # fmt: skip
IN_TITLE = ("material", "pattern")


def read_styles(path):
    """The rows of the shop's CSV: (those of styles, sku -> row of each style's size and colour).

    Raises:
        InputError: the file is missing or another one.
    """
    try:
        with open(path, newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path} is not there; name a checkout of magento/magento2-sample-data"
        ) from None
    missing = [name for name in NEEDED if not rows or name not in rows[0]]
    if missing:
        raise InputError(f"{path} has no column {missing[0]}; name a checkout of another version")
    styles = [row for row in rows if row["product_type"] == "configurable"]
    return styles, {row["sku"]: row for row in rows if row["product_type"] == "simple"}


def read_products(path):
    """Every style in every colour, a dict with ``COLUMNS`` and ``views``: other photos of it."""
    styles, variants = read_styles(path)
    products = {}
    for style in styles:
        for sku, colour in variations(style):
            variant = variants.get(sku)
            if variant is None or not variant["base_image"]:
                continue
            name = "-".join([style["sku"], colour]).lower().replace(" ", "-")
            image = variant["base_image"].strip("/")
            views = [view.strip("/ ") for view in variant["additional_images"].split(",")]
            values = name, title(style, colour), image, style["sku"].lower(), category(style)
            product = products.setdefault(name, {**dict(zip(COLUMNS, values)), "views": []})
            product["views"] += [v for v in views if v and v not in (image, *product["views"])]
    return list(products.values())


def variations(style):
    """(sku, colour) of each size and colour of a style: "sku=MH01-XS-Black,size=XS,..."."""
    for variation in style["configurable_variations"].split("|"):
        values = attributes(variation)
        if "color" in values:
            yield values["sku"], values["color"]


def attributes(text):
    return dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)


def title(style, colour):
    values = attributes(style["additional_attributes"])
    words = [style["name"], colour, *(values.get(name, "") for name in IN_TITLE)]
    return clean_title(html.unescape(" ".join(words)).replace("|", " "))


def category(style):
    return style["categories"].split(",")[0].split("/")[-1]


def second_view(product, root):
    """The back, or else the first other view whose file is there; None without."""
    for view in sorted(product["views"], key=lambda view: "_back" not in view):
        try:
            root.read(view)
        except KeyError:
            continue
        return view
    return None


def make_queries(products, protocol, seed, root):
    """Second listings of the products that have a second view: rows as of ``products``."""
    for product in products:
        view = second_view(product, root)
        if view:
            rng = random.Random(draw(seed, "second photos", product["id"]))
            second = {"id": f"{product['id']}-second", "source_id": product["id"]}
            yield {**product, **second, "image": view, "title": protocol.title(product, rng)}


def main(argv=None):
    parser = Parser(__doc__.split("\n\nusage")[0])
    parser.add_argument("checkout", help="checkout of magento/magento2-sample-data")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--protocol", type=int, choices=(1, 2), default=1, help="of item-relist, for the titles"
    )
    add_seed(parser, "seed of the titles")
    args = parser.parse_args(argv)
    checkout, out = Path(args.checkout), Path(args.out)

    products = read_products(checkout / PRODUCTS)
    root = ImageRoot(checkout / IMAGES)
    protocol = Protocol1() if args.protocol == 1 else Protocol2.for_catalog(products)
    queries = list(make_queries(products, protocol, args.seed, root))
    if not queries:
        raise InputError(f"{root.path} has no second photo of a product; name a whole checkout")
    same, equal = same_products(products, ListingKey(root))
    truth = [
        {"query_id": query["id"], "item_id": item_id}
        for query in queries
        for item_id in same.get(query["source_id"], [query["source_id"]])
    ]
    out.mkdir(parents=True, exist_ok=True)
    write_tsv(out / "products.tsv", COLUMNS, products)
    write_tsv(out / "query.tsv", (*COLUMNS, "source_id"), queries)
    write_tsv(out / "truth.tsv", ["query_id", "item_id"], truth)
    meta = {
        "source": "magento/magento2-sample-data",
        "titles": {"protocol": protocol.name, "version": protocol.version, "seed": args.seed},
        "products": len(products),
        "queries": len(queries),
        "equal_listings": equal,
    }
    (out / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    say(f"{out}: {len(products)} product-colours, {len(queries)} of them with a second photo")


if __name__ == "__main__":
    run(main)
