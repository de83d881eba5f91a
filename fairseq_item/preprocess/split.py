"""Dividing a catalogue into train, valid and test, rows of one product together."""

from collections import Counter
from contextlib import ExitStack

from fairseq_item.data.draw import draw
from fairseq_item.data.tsv import TsvWriter
from fairseq_item.errors import InputError

SPLITS = ("train", "valid", "test")
SPLIT_NAMES = {
    **{name: name for name in (*SPLITS, "query")},
    "training": "train",
    **dict.fromkeys(("val", "validation", "dev"), "valid"),
    **dict.fromkeys(("testing", "eval", "evaluation"), "test"),
}


class Group:
    """Rows that stay together: those of one product, or a single one.

    Attributes:
        key: what the draw depends on.
        stratum: its leaf category when stratifying.
        rows: number of rows.
        split: where it goes, once that is known.
    """

    __slots__ = ("key", "rows", "split", "stratum")

    def __init__(self, key, stratum):
        self.key, self.stratum, self.rows, self.split = key, stratum, 0, None


def read_groups(catalog, stratify, ignore_split_column):
    """All groups of a catalogue, and for every row the group that it belongs to.

    Args:
        catalog: the catalogue.
        stratify: whether leaf categories are strata.
        ignore_split_column: whether rows that have a split are drawn like all others.

    Raises:
        InputError: a split has a name that is none, or rows of one product have two.
    """
    groups, row_groups = {}, []
    for number, row in catalog:
        # A product may have the name of another row's id.
        key = ("product", row["product"]) if row.get("product") else ("id", row["id"])
        group = groups.get(key)
        if group is None:
            stratum = row["leaf_category"] if stratify else ""
            group = groups[key] = Group("\0".join(key), stratum)
        group.rows += 1
        row_groups.append(group)
        if row.get("split") and not ignore_split_column:
            name = split_name(row["split"], catalog.where(number))
            if group.split not in (None, name):
                raise InputError(
                    f"{catalog.where(number)} puts product '{row['product']}' into {name}, an "
                    f"earlier row into {group.split}; give all its rows the same split, or use "
                    "--ignore-split-column"
                )
            group.split = name
    return list(groups.values()), row_groups


def split_name(value, where):
    name = SPLIT_NAMES.get(value.strip().lower())
    if name is None:
        raise InputError(
            f"{where} has the split '{value}'; write train, valid, test or query, or use "
            "--ignore-split-column"
        )
    return name


def assign(groups, ratios, seed):
    """Draw a split for every group that has none.

    Strata are gone through one after another, and what rounding gave one too much or too little
    is made good in the next: each is split to within a group of the ratios, and so is the whole.
    """
    strata = {}
    for group in groups:
        if group.split is None:
            strata.setdefault(group.stratum, []).append(group)
    due = Counter()
    for stratum in sorted(strata, key=lambda name: draw(seed, name)):
        members = sorted(strata[stratum], key=lambda group: draw(seed, group.key))
        rows = sum(group.rows for group in members)
        for name, ratio in zip(SPLITS, ratios):
            due[name] += rows * ratio / sum(ratios)
        # Train comes last and takes the rest, at least one group of every stratum.
        free = len(members) - (ratios[0] > 0)
        for name in ("test", "valid"):
            while members and free > 0 and members[-1].rows / 2 <= due[name]:
                take(members.pop(), name, due)
                free -= 1
        rest = "train" if ratios[0] > 0 else ("valid" if ratios[1] > 0 else "test")
        for group in members:
            take(group, rest, due)


def take(group, name, due):
    group.split = name
    due[name] -= group.rows


def write(catalog, row_groups, folder):
    """Write each row into its split's file.

    Args:
        catalog: the catalogue.
        row_groups: the group of each of its rows.
        folder: where ``{split}.tsv`` go; those of an earlier run that are not written are removed.

    Returns:
        dict: split -> number of rows, of the splits that have any.
    """
    names = [name for name in (*SPLITS, "query") if any(g.split == name for g in row_groups)]
    for name in SPLITS:
        if name not in names:  # left from an earlier run, it would overlap with this one
            (folder / f"{name}.tsv").unlink(missing_ok=True)
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(TsvWriter(folder / f"{name}.tsv", catalog.fieldnames))
            for name in names
        }
        for (_, row), group in zip(catalog, row_groups, strict=True):
            if "split" in row:
                row["split"] = group.split
            writers[group.split].write(row)
    return {name: writer.count for name, writer in writers.items()}
