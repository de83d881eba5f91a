"""Google Merchant Center product data: text (tabs or commas), RSS 2.0 and Atom 1.0.

Names of attributes are those of the product data specification
(support.google.com/merchants/answer/7052112); in text files blanks may stand for underscores.
"""

from fairseq_item.feeds.blocks import first_line
from fairseq_item.feeds.listing import Listing, gtin, leaf, price, same_gtin
from fairseq_item.feeds.tables import header, listings, table
from fairseq_item.feeds.xml_items import items, root

NAME = "google"
LOOKS_FOR = "id, title, image_link (text, or RSS 2.0 and Atom with g: elements)"
EXTRA = (
    "mpn", "condition", "availability", "gender", "age_group", "material", "pattern", "link",
    "google_product_category", "product_type",
)  # fmt: skip


def recognises(path):
    """Whether a file has this layout."""
    if _is_xml(path):
        return root(path) in ("rss", "feed", "rdf")
    return {"id", "title", "image_link"} <= set(map(_name, header(path)))


def read(path, _):
    """A :class:`Listing` per item, and :class:`Rejected` for rows that are none."""
    return listings(_items(path) if _is_xml(path) else listings(table(path), _item), _listing)


def _is_xml(path):
    return first_line(path).lstrip().startswith("<")


def _name(column):
    """A column's name as the specification writes it: "image link" and "g:image_link" too."""
    return column.removeprefix("g:").replace(" ", "_")


def _item(row, record):
    record = {_name(name): value for name, value in record.items()}
    # Several values of a text attribute have commas between them; an address has none.
    further = [link.strip() for link in record.get("additional_image_link", "").split(",")]
    return row, record, further


def _items(path):
    for line, values in items(path):
        record = {name: all_values[0] for name, all_values in values.items()}
        yield line, record, values.get("additional_image_link", [])


def _listing(row, record, further):
    get = record.get
    amount, currency = price(get("sale_price", "") or get("price", ""))
    return Listing(
        row=row,
        id=get("id", ""),
        title=get("title", ""),
        images=[get("image_link", ""), *further],
        product=_product(record),
        group=get("item_group_id", ""),
        values={
            **{name: get(name, "") for name in ("brand", "color", "size", *EXTRA)},
            "leaf_category": _category(record),
            "price": amount,
            "currency": currency,
            "gtin": gtin(get("gtin", "")) or get("gtin", ""),
        },
    )


def _product(record):
    """Equal GTINs, but for bundles and multipacks, which carry the GTIN of what is in them."""
    if record.get("is_bundle", "").lower() in ("yes", "true"):
        return ""
    same, pack = same_gtin(record.get("gtin", "")), record.get("multipack", "")
    return f"{same}x{pack}" if same and pack not in ("", "0", "1") else same


def _category(record):
    """Google's category where it is a path; else the shop's own; else Google's number."""
    category = record.get("google_product_category", "")
    if category.isdigit():
        category = record.get("product_type", "") or category
    return leaf(category or record.get("product_type", "").split(",")[0])
