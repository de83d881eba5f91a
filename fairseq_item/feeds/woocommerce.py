"""WooCommerce's product CSV (its own exporter).

github.com/woocommerce/woocommerce/wiki/Product-CSV-Import-Schema. A variable product is a row, and
each of its variations another one that names it in ``Parent``, by SKU or as ``id:ID``.
"""

import re
from functools import partial

from fairseq_item.feeds.listing import (
    COLORS,
    SIZES,
    Listing,
    gtin,
    leaf,
    named,
    price,
    same_gtin,
)
from fairseq_item.feeds.tables import header, listings, table

NAME = "woocommerce"
LOOKS_FOR = "ID, Type, SKU, Name, Images"
EXTRA = ("sku", "type", "tags")
GTIN = "gtin, upc, ean, or isbn"


def recognises(path):
    """Whether a file has this layout."""
    return {"type", "sku", "name", "images"} <= set(header(path))


def read(path, _):
    """A :class:`Listing` per row, and :class:`Rejected` for rows that are none."""
    parents = {}  # what variations leave to their parent: category and brand, a line of text each
    return listings(table(path), partial(_listing, parents))


def _listing(parents, row, record):
    get = record.get
    kinds = {kind.strip().lower() for kind in get("type", "").split(",")}
    name = get("id", "") or get("sku", "")
    key = get("sku", "") or f"id:{name}"
    options = _options(record)
    shared = leaf(_values(get("categories", ""))[0]), get("brands", "")
    group, one_look = "", True
    if "variable" in kinds:
        group, parents[key] = key, shared
        one_look = not any(
            len(_values(values)) > 1 and option.lower() not in SIZES for option, values in options
        )
    elif "variation" in kinds:
        group = get("parent", "")
        inherited = parents.get(group, ("", ""))
        shared = shared[0] or inherited[0], shared[1] or inherited[1]
    amount, currency = price(get("sale price", "") or get("regular price", ""))
    return Listing(
        row=row,
        id=name,
        title=get("name", ""),
        images=_values(get("images", "")),
        product=same_gtin(get(GTIN, "")),
        one_look=one_look,
        group=group,
        values={
            "leaf_category": shared[0],
            "brand": shared[1],
            "price": amount,
            "currency": currency,
            "color": named(options, COLORS),
            "size": named(options, SIZES),
            "gtin": gtin(get(GTIN, "")) or get(GTIN, ""),
            "sku": get("sku", ""),
            "type": get("type", ""),
            "tags": get("tags", ""),
        },
    )


def _values(text):
    """A list of values; a comma inside one has a backslash before it."""
    return [part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", text)]


def _options(record):
    numbers = (re.fullmatch(r"attribute (\d+) name", name) for name in record)
    return [
        (record[found[0]], record.get(f"attribute {found[1]} value(s)", ""))
        for found in numbers
        if found and record[found[0]]
    ]
