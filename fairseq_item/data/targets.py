"""Leaf categories of a split as classes to predict."""

from pathlib import Path

import numpy as np

from fairseq_item.data.labels import unescape_label
from fairseq_item.data.sharded import open_split, shard_names
from fairseq_item.data.titles import SPECIALS, UNK, read_dictionary
from fairseq_item.data.token_store import TokenStore
from fairseq_item.data.tsv import read_table
from fairseq_item.errors import InputError

# In place of a class: a category that training does not have, and no category at all.
UNKNOWN, NO_CATEGORY = -1, -2


def read_categories(data_bin):
    """Names of the leaf categories of a data-bin, a list in the order of the classes.

    Raises:
        InputError: the data-bin has no leaf categories.
    """
    path = Path(data_bin) / "label" / "dict.txt"
    if not path.exists():
        raise InputError(
            f"{path} is missing; give the catalogue a column leaf_category and run "
            "preprocess/binarize_titles.py"
        )
    ids = read_dictionary(path)
    return [unescape_label(symbol) for symbol in sorted(ids, key=ids.get)[len(SPECIALS) :]]


def read_targets(data_bin, split, classes):
    """The class of each item of a split.

    Args:
        data_bin: the folder.
        split: "train", "valid", ...
        classes: how many there are.

    Returns:
        int64 (n,): a class, or ``UNKNOWN`` or ``NO_CATEGORY``.

    Raises:
        InputError: the labels are missing, or are not of this dictionary.
    """
    labels = open_split(data_bin, split, "label", TokenStore)
    symbols = labels.firsts().astype(np.int64)
    known = (symbols >= UNK) & (symbols < classes + len(SPECIALS))
    if not known.all() or (labels.sizes != 2).any():  # a label and </s>
        raise InputError(
            f"{data_bin}/label/{split}.bin has labels that {data_bin}/label/dict.txt lacks; run "
            "item-binarize again"
        )
    targets = np.where(symbols == UNK, UNKNOWN, symbols - len(SPECIALS))
    if (targets == UNKNOWN).any():
        # The labels alone do not say whether there is a category.
        empty = [not name for name in category_column(data_bin, split)]
        targets[np.array(empty) & (targets == UNKNOWN)] = NO_CATEGORY
    return targets


def category_column(data_bin, split):
    """Yield the leaf category of each item of a split, "" where it has none."""
    for shard in shard_names(data_bin, split):
        items = read_table(Path(data_bin) / "items" / f"{shard}.tsv")
        yield from (name.strip() for name in items.values("leaf_category"))
