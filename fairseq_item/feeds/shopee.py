"""Shopee product matching (kaggle.com/c/shopee-product-matching): train.csv and test.csv."""

from fairseq_item.feeds.listing import Listing, Rejected
from fairseq_item.feeds.tables import header, table

NAME = "shopee"
LOOKS_FOR = "posting_id, image, image_phash, title"
EXTRA = ("image_phash",)


def recognises(path):
    """Whether a file has this layout."""
    return {"posting_id", "image", "image_phash", "title"} <= set(header(path))


def read(path, _):
    """Yield a :class:`Listing` per row; label groups are products (test.csv has none)."""
    for found in table(path):
        if isinstance(found, Rejected):
            yield found
            continue
        row, record = found
        yield Listing(
            row=row,
            id=record["posting_id"],
            title=record["title"],
            images=[record["image"]],
            product=record.get("label_group", ""),
            values={"image_phash": record["image_phash"]},
        )
