"""Listings of any layout into a catalogue: a row a photo, and a list of what was rejected."""

import re
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field

from fairseq_item.data.text import clean_field, clean_title
from fairseq_item.data.tsv import TsvWriter
from fairseq_item.feeds.listing import Rejected
from fairseq_item.progress import progress

COLUMNS = (
    "id", "title", "image", "product", "group", "leaf_category", "image_url", "price", "currency",
    "brand", "color", "size", "gtin",
)  # fmt: skip
REJECTED = ("file", "row", "id", "reason")


@dataclass
class Settings:
    """How files are read.

    Attributes:
        paths: all of them, for a layout that needs one to read another.
        language: the language of texts that there are several of, such as "en".
        images: :class:`LocalImages` that addresses are looked up in, or None.
    """

    paths: list = field(default_factory=list)
    language: str = "en"
    images: object = None


class _SeenIds:
    """The ids so far, in a file of its own that goes away with it: millions need no memory."""

    def __init__(self):
        self._base = sqlite3.connect("")
        self._base.execute("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")

    def add(self, name):
        """Whether ``name`` was not there yet."""
        cursor = self._base.execute("INSERT OR IGNORE INTO ids VALUES (?)", (name,))
        return cursor.rowcount == 1

    def close(self):
        self._base.close()


def convert(layout, settings, out, rejected):
    """Write the catalogue of ``settings.paths`` and the list of what is not in it.

    Args:
        layout: one of ``registry.LAYOUTS``.
        settings: :class:`Settings`.
        out: TSV with ``COLUMNS`` and the layout's own.
        rejected: TSV of ``REJECTED``.

    Returns:
        Counter: "listings", "rows", "products" (rows with a product), "addresses" (rows whose image
        is an address yet), "rejected".
    """
    counts = Counter()
    fieldnames = dict.fromkeys((*COLUMNS, *layout.EXTRA))
    with (
        TsvWriter(out, fieldnames) as rows,
        TsvWriter(rejected, REJECTED) as rejects,
        closing(_SeenIds()) as seen,
    ):
        for path in settings.paths:
            for found in progress(layout.read(path, settings), "listings", unit="listing"):
                for made in _rows(found, settings.images, seen):
                    if isinstance(made, Rejected):
                        rejects.write({"file": path, **vars(made)})
                        continue
                    rows.write(made)
                    counts["products"] += bool(made["product"])
                    counts["addresses"] += bool(made["image_url"]) and not made["image"]
                counts["listings"] += not isinstance(found, Rejected)
        counts["rows"], counts["rejected"] = rows.count, rejects.count
    return counts


def _rows(found, images, seen):
    """Yield the catalogue rows of a :class:`Listing`, and :class:`Rejected` for what it lacks."""
    if isinstance(found, Rejected):
        yield found
        return
    name = clean_field(found.id).strip()
    addresses = list(dict.fromkeys(image.strip() for image in found.images if image.strip()))
    title = clean_title(found.title)
    if not name:
        yield Rejected(found.row, "", "has no id")
        return
    if not title and not addresses:
        yield Rejected(found.row, name, "has neither a title nor an image")
        return
    product = clean_field(found.product).strip()
    if not product and found.one_look and len(addresses) > 1:
        product = name
    row = {**found.values, "title": title, "product": product, "group": found.group}
    photos = []
    for address in addresses:
        photo = _photo(address, images)
        if isinstance(photo, str):
            yield Rejected(found.row, name, photo)
        else:
            photos.append(photo)
    if not addresses:
        photos.append({"image": "", "image_url": ""})
    for number, photo in enumerate(photos, 1):
        photo_id = name if number == 1 else f"{name}~{number}"
        if seen.add(photo_id):
            yield {**row, **photo, "id": photo_id}
        else:
            yield Rejected(found.row, photo_id, "repeats the id of an earlier row")


def _photo(address, images):
    """The columns ``image`` and ``image_url`` of a photo, or the reason that it is rejected."""
    if address.startswith("//"):
        address = f"https:{address}"
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", address)
    if scheme and scheme[1].lower() not in ("http", "https"):
        return f"image address {address[:200]} is neither http nor https"
    url = address if scheme else ""
    if images is None:
        return {"image": "" if url else address, "image_url": url}
    name = images.find(address)
    if name is None:
        return f"image {address[:200]} is not among the given images, or several have its name"
    return {"image": name, "image_url": url}
