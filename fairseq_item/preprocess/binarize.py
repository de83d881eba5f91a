"""Titles of a data-bin as token ids, leaf categories as labels."""

import logging
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from fairseq_item.data.labels import escape_label
from fairseq_item.data.sharded import items_digest
from fairseq_item.data.titles import SPECIALS, UNK, read_dictionary
from fairseq_item.data.token_store import TokenWriter
from fairseq_item.data.tsv import read_table
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.progress import progress

logger = logging.getLogger(__name__)

CHUNK = 1024  # titles a worker takes at a time


@dataclass
class TitleCounts:
    """What one split's titles came to."""

    titles: int = 0
    empty: int = 0
    tokens: int = 0


def read_items(data_bin, split):
    """The table ``items/{split}.tsv`` of a data-bin."""
    return read_table(Path(data_bin) / "items" / f"{split}.tsv", ["title"])


@contextmanager
def _writer(data_bin, split, kind, symbols):
    """A ``TokenWriter`` of a split's titles or labels, bound to its items.

    Raises:
        InputError: the items are changed meanwhile.
    """
    digest = items_digest(data_bin, split)
    with TokenWriter(Path(data_bin) / kind / split, symbols, digest) as writer:
        yield writer
        if items_digest(data_bin, split) != digest:
            raise InputError(
                f"{data_bin}/items/{split}.tsv was changed while it was read; run again"
            )


@dataclass
class Encoder:
    """Turns consecutive titles into their token ids; goes to worker processes once."""

    tokenizer: object

    def __call__(self, titles):
        return [self.tokenizer.encode(title) for title in titles]


def binarize_titles(data_bin, split, tokenizer, engine):
    """Write ``title/{split}.bin``, ``.idx`` and ``.json``; returns :class:`TitleCounts`.

    ``engine`` makes the tokens; see ``engines``.
    """
    counts = TitleCounts()
    with _writer(data_bin, split, "title", len(tokenizer)) as writer:
        items = read_items(data_bin, split)
        titles = items.values("title")
        chunks = iter(lambda: list(islice(titles, CHUNK)), [])
        made = chain.from_iterable(engine.map(Encoder(tokenizer), chunks))
        for ids in progress(made, f"titles of {split}", len(items), "title"):
            writer.add(ids)
            counts.titles += 1
            counts.empty += not len(ids)
            counts.tokens += len(ids)
    return counts


def has_labels(data_bin, split):
    """Whether the items of a split have a column ``leaf_category``."""
    return "leaf_category" in read_items(data_bin, split).fieldnames


def label_ids(data_bin, splits):
    """The dictionary of labels: made from the training splits, or if none is given, read.

    Returns:
        dict: symbol -> id.

    Raises:
        InputError: no training split is given, and there is no dictionary yet.
    """
    path = Path(data_bin) / "label" / "dict.txt"
    training = [split for split in splits if re.fullmatch(r"train\d*", split)]
    if training:
        _write_label_dictionary(path, (read_items(data_bin, split) for split in training))
    elif not path.exists():
        raise InputError(f"{path} is missing; binarize the training split with the others")
    return read_dictionary(path)


def _write_label_dictionary(path, tables):
    names = (name for items in tables for name in items.values("leaf_category"))
    counts = Counter(escape_label(name) for name in names)
    counts.pop(SPECIALS[UNK], None)
    # fairseq's order: by count, then by name.
    ordered = sorted(counts.items(), key=lambda label: (-label[1], label[0]))
    with atomic_path(path) as temporary:
        text = "".join(f"{label} {count}\n" for label, count in ordered)
        temporary.write_text(text, encoding="utf-8", newline="\n")


def binarize_labels(data_bin, split, ids):
    """Write ``label/{split}.bin``, ``.idx`` and ``.json``; returns how many labels there are.

    Items without a category, and categories that are not in ``ids``, are <unk>: both are counted
    in the log.
    """
    unknown, missing = Counter(), 0
    with _writer(data_bin, split, "label", len(ids)) as writer:
        for name in read_items(data_bin, split).values("leaf_category"):
            label = ids.get(escape_label(name), UNK)
            writer.add([label])
            if not name.strip():
                missing += 1
            elif label == UNK:
                unknown[name] += 1
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
    return count
