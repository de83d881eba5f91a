"""Stanford Online Products (cvgl.stanford.edu/projects/lifted_struct): Ebay_train.txt, _test.txt.

Photos of eBay's listings without titles; photos of one class are of one product.
"""

from functools import partial

from fairseq_item.feeds.blocks import stem
from fairseq_item.feeds.listing import Listing
from fairseq_item.feeds.tables import header, listings, table

NAME = "sop"
LOOKS_FOR = "image_id class_id super_class_id path"
EXTRA = ("split",)
SPLITS = {"Ebay_train": "train", "Ebay_test": "test"}


def recognises(path):
    """Whether a file has this layout."""
    return {"image_id", "class_id", "super_class_id", "path"} <= set(header(path))


def read(path, _):
    """A :class:`Listing` per photo."""
    return listings(table(path), partial(_listing, path))


def _listing(path, row, record):
    return Listing(
        row=row,
        id=record["image_id"],
        title="",
        images=[record["path"]],
        product=record["class_id"],
        values={
            # Folders are called bicycle_final and so on.
            "leaf_category": record["path"].split("/")[0].removesuffix("_final"),
            "split": SPLITS.get(stem(path), ""),
        },
    )
