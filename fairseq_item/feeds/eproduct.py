"""eProduct (Yuan et al., arxiv.org/abs/2107.05856): train.csv, val.csv, index.csv, query_*.csv.

The columns are those that the challenge's public loaders read. Only train and val have titles and
categories; which products of index are those of query was never published.
"""

from functools import partial

from fairseq_item.feeds.blocks import stem
from fairseq_item.feeds.listing import Listing
from fairseq_item.feeds.tables import header, listings, table

NAME = "eproduct"
LOOKS_FOR = "UUID, IMAGE_PATH"
EXTRA = ("meta_category", "category_2", "split")
SPLITS = {"train": "train", "val": "valid"}


def recognises(path):
    """Whether a file has this layout."""
    return {"uuid", "image_path"} <= set(header(path))


def read(path, _):
    """A :class:`Listing` per row."""
    return listings(table(path), partial(_listing, path))


def _listing(path, row, record):
    return Listing(
        row=row,
        id=record["uuid"],
        title=record.get("auct_titl", ""),
        images=[record["image_path"]],
        values={
            "leaf_category": record.get("leaf_categ_id", ""),
            "meta_category": record.get("meta_categ_id", ""),
            "category_2": record.get("categ_lvl2_id", ""),
            "split": SPLITS.get(stem(path), ""),
        },
    )
