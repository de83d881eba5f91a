"""Amazon Reviews 2023, item metadata (amazon-reviews-2023.github.io): meta_*.jsonl, also .gz.

A line is a parent item: its colours and sizes are not told apart, and its photos are those of the
one that its page shows first.
"""

from fairseq_item.feeds.blocks import first_line
from fairseq_item.feeds.listing import Listing, gtin, price, same_gtin
from fairseq_item.feeds.tables import json_lines, listings

NAME = "amazon-reviews"
LOOKS_FOR = "JSON Lines with parent_asin, title, images"
EXTRA = ("main_category", "store", "average_rating", "rating_number")
SIZES = ("hi_res", "large", "thumb")


def recognises(path):
    """Whether a file has this layout."""
    line = first_line(path)
    return line.startswith("{") and '"parent_asin"' in line and '"images"' in line


def read(path, _):
    """A :class:`Listing` per line, and :class:`Rejected` for lines that are none."""
    return listings(json_lines(path), _listing)


def _listing(row, record):
    details = record.get("details")
    details = details if isinstance(details, dict) else {}
    categories = record.get("categories") or [record.get("main_category")]
    amount, currency = price(_text(record.get("price")))
    upc = _text(details.get("UPC"))
    return Listing(
        row=row,
        id=_text(record.get("parent_asin")),
        title=_text(record.get("title")),
        images=_images(record.get("images")),
        product=same_gtin(upc),
        values={
            "leaf_category": _text(categories[-1]) if isinstance(categories, list) else "",
            "price": amount,
            "currency": currency,
            "brand": _text(details.get("Brand")) or _text(record.get("store")),
            "color": _text(details.get("Color")),
            "size": _text(details.get("Size")),
            "gtin": gtin(upc) or upc,
            **{name: _text(record.get(name)) for name in EXTRA},
        },
    )


def _images(images):
    """Addresses, each in the largest size there is: of a list of dicts, or of a dict of lists."""
    if isinstance(images, dict):
        columns = [images.get(size) or [] for size in SIZES]
        images = [dict(zip(SIZES, values)) for values in zip(*columns)]
    if not isinstance(images, list):
        return []
    found = [image for image in images if isinstance(image, dict)]
    found.sort(key=lambda image: image.get("variant") != "MAIN")
    return [
        next((_text(image.get(size)) for size in SIZES if image.get(size)), "") for image in found
    ]


def _text(value):
    return "" if value is None or isinstance(value, (list, dict)) else str(value)
