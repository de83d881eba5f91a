"""Shopify's product CSV, both generations of its columns.

help.shopify.com/en/manual/products/import-export/using-csv. Rows of one handle follow one another;
what belongs to the whole article (title, vendor, type) stands in the first of them only, and a
row may hold a variant, a photo, or both.
"""

from dataclasses import dataclass

from fairseq_item.feeds.listing import (
    COLORS,
    SIZES,
    Listing,
    Rejected,
    gtin,
    leaf,
    named,
    price,
    same_gtin,
)
from fairseq_item.feeds.tables import header, table

NAME = "shopify"
LOOKS_FOR = "Handle or URL handle, Title, Image Src or Product image URL"
EXTRA = ("sku", "tags", "status")

# New column name -> the old one, in lower case; either is read.
OLD = {
    "url handle": "handle",
    "product image url": "image src",
    "variant image url": "variant image",
    "sku": "variant sku",
    "barcode": "variant barcode",
    "price": "variant price",
}
NO_OPTION = ("title", "default title")
# Of one handle, held in memory; Shopify allows 2,048 variants and 250 photos.
MAX_ROWS = 4096


@dataclass
class _Variant:
    """A row that holds a variant; ``options`` are pairs of a name and a value."""

    options: list
    image: str
    sku: str
    barcode: str
    price: str

    @property
    def look(self):
        """What of its options a photo can show: those that are no size."""
        return tuple(value for name, value in self.options if name.strip().lower() not in SIZES)


def recognises(path):
    """Whether a file has this layout."""
    names = {OLD.get(name, name) for name in header(path)}
    return {"handle", "title"} <= names and bool({"image src", "variant image"} & names)


def read(path, _):
    """Yield the :class:`Listing` of each look of each handle, and :class:`Rejected` rows."""
    rows = []
    for found in table(path):
        if isinstance(found, Rejected):
            yield found
            continue
        row, record = found
        record = {OLD.get(name, name): value for name, value in record.items()}
        if rows and (record["handle"] != rows[0][1]["handle"] or len(rows) == MAX_ROWS):
            yield from _listings(rows)
            rows = []
        rows.append((row, record))
    if rows:
        yield from _listings(rows)


def _listings(rows):
    row, first = rows[0]
    handle, names = first["handle"], _option_names(first)
    variants = [variant for _, record in rows if (variant := _variant(record, names))]
    gallery = sorted(
        ((_position(record), record["image src"]) for _, record in rows if record.get("image src")),
        key=lambda photo: photo[0],
    )
    photos = [image for _, image in gallery]
    looks = {}
    for variant in variants:
        looks.setdefault(variant.look, []).append(variant)
    shown = {
        look: list(dict.fromkeys(variant.image for variant in found if variant.image))
        for look, found in looks.items()
    }
    if len(looks) < 2 or not any(shown.values()):
        # One look: all photos are its. Several, none with its own photos: none can tell whose.
        images = photos + [image for found in shown.values() for image in found]
        yield _listing(row, first, handle, "", variants, images, one_look=len(looks) < 2)
        return
    for look, found in looks.items():
        label = " / ".join(look)
        yield _listing(row, first, f"{handle}:{label}", label, found, shown[look])
    own = {image for images in shown.values() for image in images}
    rest = [image for image in photos if image not in own]
    if rest:
        yield _listing(row, first, handle, "", [], rest, one_look=False)


def _listing(row, first, name, label, variants, images, one_look=True):
    barcodes = list(dict.fromkeys(variant.barcode for variant in variants if variant.barcode))
    options = list(dict.fromkeys(option for variant in variants for option in variant.options))
    amount, currency = price(next((variant.price for variant in variants), ""))
    category = first.get("type", "") or leaf(first.get("product category", ""))
    return Listing(
        row=row,
        id=name if first["handle"] else "",
        title=f"{first.get('title', '')} - {label}" if label else first.get("title", ""),
        images=images,
        product=same_gtin(barcodes[0]) if len(variants) == 1 and barcodes else "",
        one_look=one_look,
        group=first["handle"],
        values={
            "leaf_category": category,
            "price": amount,
            "currency": currency,
            "brand": first.get("vendor", ""),
            "color": named(options, COLORS),
            "size": named(options, SIZES),
            "gtin": ", ".join(gtin(barcode) or barcode for barcode in barcodes),
            "sku": ", ".join(variant.sku for variant in variants if variant.sku),
            "tags": first.get("tags", ""),
            "status": first.get("status", ""),
        },
    )


def _option_names(first):
    return [first.get(f"option{i} name", "") for i in (1, 2, 3)]


def _variant(record, names):
    """The variant of a row; None where it holds a further photo only."""
    values = [record.get(f"option{i} value", "") for i in (1, 2, 3)]
    marks = [record.get(name, "") for name in ("variant sku", "variant barcode", "variant price")]
    if not any(values) and not any(marks):
        return None
    options = [
        (name, value)
        for name, value in zip(names, values)
        if value and (name.lower(), value.lower()) != NO_OPTION
    ]
    return _Variant(options, record.get("variant image", ""), *marks)


def _position(record):
    position = record.get("image position", "")
    return int(position) if position.isdigit() else 1 << 30
