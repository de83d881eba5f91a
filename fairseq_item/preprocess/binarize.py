#!/usr/bin/env python3
"""Titles of DATA_BIN/items/{split}.tsv to DATA_BIN/title, leaf categories to DATA_BIN/label.

Needs title/bpe.model and title/dict.txt (train_bpe.py) and items/ (pack_images.py). Titles are
stored whole; the model cuts them to the length that it takes.

title/{split}.bin and .idx are, byte for byte, what fairseq itself writes for the same tokens.
To make them with its tools, write each title's tokens on a line, then preprocess:

  cut -f 2 items/train.tsv | tail -n +2 | spm_encode --model title/bpe.model > train.bpe
  fairseq-preprocess --only-source --srcdict title/dict.txt --trainpref train.bpe --destdir title2

label/{split}.bin holds a category's id and </s> for every item. label/dict.txt has the categories
of the training splits, the most frequent first; spaces, % and < in names are escaped as in a URL.
A category that training does not have, or none, is <unk>; how many there are is reported.
"""

import logging
import re
from collections import Counter

from fairseq_item.data.catalog import iter_items
from fairseq_item.data.labels import escape_label
from fairseq_item.data.titles import SPECIALS, UNK, read_dictionary
from fairseq_item.data.token_store import TokenWriter
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.progress import progress

logger = logging.getLogger("binarize_titles")


def items_path(root, split):
    return root / "items" / f"{split}.tsv"


def binarize_titles(root, split, tokenizer):
    prefix = root / "title" / split
    items = iter_items(items_path(root, split), ["title"])
    empty = tokens = 0
    with TokenWriter(prefix, len(tokenizer)) as writer:
        for item in progress(items, f"titles of {split}", unit="title"):
            ids = tokenizer.encode(item["title"])
            writer.add(ids)
            tokens += len(ids)
            empty += not len(ids)
    count = len(writer.sizes)
    note = f", {empty} of them empty" if empty else ""
    mean = tokens / max(count - empty, 1)
    print(f"{prefix}.bin: {count} titles{note}, {mean:.1f} tokens a title")


def has_labels(path):
    return any("leaf_category" in item for item in iter_items(path))


def label_ids(root, splits):
    """The dictionary of labels: made from the training splits, or if none is given, read."""
    path = root / "label" / "dict.txt"
    training = [split for split in splits if re.fullmatch(r"train\d*", split)]
    if not training:
        if not path.exists():
            raise InputError(f"{path} is missing; binarize the training split with the others")
        return read_dictionary(path)
    counts = Counter()
    for split in training:
        items = iter_items(items_path(root, split), ["leaf_category"])
        counts.update(escape_label(item["leaf_category"]) for item in items)
    counts.pop(SPECIALS[UNK], None)
    # fairseq's order: by count, then by name.
    ordered = sorted(counts.items(), key=lambda label: (-label[1], label[0]))
    with atomic_path(path) as temporary:
        text = "".join(f"{label} {count}\n" for label, count in ordered)
        temporary.write_text(text, encoding="utf-8", newline="\n")
    print(f"{path}: {len(ordered)} leaf categories")
    return read_dictionary(path)


def binarize_labels(root, split, ids):
    prefix = root / "label" / split
    unknown, missing = Counter(), 0
    with TokenWriter(prefix, len(ids)) as writer:
        for item in iter_items(items_path(root, split), ["leaf_category"]):
            label = ids.get(escape_label(item["leaf_category"]), UNK)
            writer.add([label])
            if label == UNK and item["leaf_category"].strip():
                unknown[item["leaf_category"]] += 1
            missing += not item["leaf_category"].strip()
    count = len(writer.sizes)
    if missing:
        logger.warning("%s: %d of %d items have no leaf category", split, missing, count)
    if unknown:
        listed = ", ".join(f"{name} ({n})" for name, n in unknown.most_common(20))
        logger.warning(
            "%s: %d of %d items are of %d leaf categories that training lacks: %s%s",
            split, sum(unknown.values()), count, len(unknown), listed,
            ", ..." if len(unknown) > 20 else "",
        )  # fmt: skip
    print(f"{prefix}.bin: {count} labels")
