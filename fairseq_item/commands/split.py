"""Split a catalogue into DIR/train.tsv, DIR/valid.tsv and DIR/test.tsv.

Rows are drawn at random, and rows of one product always stay together. The draw depends on the
ids and the seed alone, not on the order of the rows or the machine, so that a catalogue which is
sorted anew or has grown keeps nearly all rows where they were.
With --stratify every leaf category is split in the same proportions, and none is missing from
train.tsv. Where the catalogue has a split column, rows that fill it go where it says.
With --image-separator a row that names several images becomes a row for each of them, with the same
product: what every later step takes, and item-search --collapse product answers by product.
"""

import logging
from pathlib import Path

from fairseq_item.commands.columns import add_columns, columns_of
from fairseq_item.commands.common import Parser, add_seed, amount, run, say
from fairseq_item.data.catalog import read_catalog
from fairseq_item.errors import InputError
from fairseq_item.files import locked_folder, refuse_overwriting
from fairseq_item.preprocess.split import SPLIT_NAMES, SPLITS, assign, read_groups, write

logger = logging.getLogger(__name__)


def parser():
    """The options of ``item-split``."""
    p = Parser(__doc__)
    p.add_argument(
        "catalog",
        help="catalogue: .tsv, .csv, .jsonl (also .gz), .parquet or a folder of .parquet files",
    )
    p.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    p.add_argument(
        "--ratios", nargs=3, type=amount, default=[90, 5, 5], metavar=("TRAIN", "VALID", "TEST"),
        help="parts that go to each split; with 0 the split is not written",
    )  # fmt: skip
    p.add_argument("--stratify", action="store_true", help="split each leaf category alike")
    p.add_argument(
        "--ignore-split-column", action="store_true", help="draw rows that have a split, too"
    )
    p.add_argument(
        "--image-separator", default="", metavar="TEXT",
        help="what stands between several images of a row, such as '|'; each becomes a row",
    )  # fmt: skip
    add_seed(p, "seed of the draw")
    add_columns(p)
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    if not sum(args.ratios):
        raise InputError("--ratios 0 0 0: at least one must be above 0")
    refuse_overwriting(args.catalog, [Path(args.out, f"{name}.tsv") for name in SPLIT_NAMES])
    require = ("id", "title", "image") + (("leaf_category",) if args.stratify else ())
    catalog = read_catalog(args.catalog, columns_of(args), require, args.image_separator)
    with locked_folder(args.out):
        groups, row_groups = read_groups(catalog, args.stratify, args.ignore_split_column)
        assign(groups, args.ratios, args.seed)
        counts = write(catalog, row_groups, Path(args.out))
    for name, count in counts.items():
        say(f"{Path(args.out) / name}.tsv: {count} rows")
    for name, ratio in zip(SPLITS, args.ratios):
        if ratio > 0 and name not in counts:
            logger.warning("%s has too few rows for any in %s", args.catalog, name)


def cli():
    """Console script ``item-split``."""
    run(main)


if __name__ == "__main__":
    cli()
