"""Shopee product matching (kaggle.com/c/shopee-product-matching): train.csv and test.csv."""

from fairseq_item.feeds.listing import Listing
from fairseq_item.feeds.tables import header, listings, table

NAME = "shopee"
LOOKS_FOR = "posting_id, image, image_phash, title"
EXTRA = ("image_phash",)


def recognises(path):
    """Whether a file has this layout."""
    return {"posting_id", "image", "image_phash", "title"} <= set(header(path))


def read(path, _):
    """A :class:`Listing` per row; label groups are products (test.csv has none)."""
    return listings(table(path), _listing)


def _listing(row, record):
    return Listing(
        row=row,
        id=record["posting_id"],
        title=record["title"],
        images=[record["image"]],
        product=record.get("label_group", ""),
        values={"image_phash": record["image_phash"]},
    )
