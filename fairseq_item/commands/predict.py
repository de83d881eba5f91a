"""``item-predict``: the most probable leaf categories of each product of a split.

Writes a TSV with the columns id, rank, category and probability. Where the products have leaf
categories, Acc@1 and Acc@5 are printed as JSON, in percent of the products that have one; a
category that training did not have counts as wrong.
"""

import json
import sys

import numpy as np

from fairseq_item.commands.common import Parser, run
from fairseq_item.errors import InputError
from fairseq_item.evaluation.classification import FIRST, accuracies, write_predictions
from fairseq_item.search.embed import batches, choose_device, open_products


def parser():
    """The options of ``item-predict``."""
    p = Parser(__doc__)
    p.add_argument(
        "--checkpoint", required=True, help="model folder or checkpoint file of a classifier"
    )
    p.add_argument("--data", required=True, help="data-bin folder")
    p.add_argument("--split", default="test", help="splits to predict, with commas between them")
    p.add_argument("--out", required=True, metavar="TSV", help="predictions file to write")
    p.add_argument("-k", type=int, default=FIRST, help="categories a product")
    p.add_argument("--batch-size", type=int, default=128, help="products computed at once")
    p.add_argument("--num-workers", type=int, default=0, help="processes that read products")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return p


def main(argv=None):
    """Entry point of ``item-predict``."""
    args = parser().parse_args(argv)
    if args.k < 1:
        raise InputError(f"-k is {args.k}; it must be 1 or more")
    from fairseq_item import ItemModel

    hub = ItemModel.from_pretrained(args.checkpoint, device=choose_device(args.device))
    if hub.categories is None:
        raise InputError(
            f"{args.checkpoint} predicts no categories; fine-tune it with --task "
            "item_classification"
        )
    items, dataset = open_products(args.data, args.split.split(","), hub)
    rows = [
        hub.best(**inputs, k=max(args.k, FIRST))
        for inputs in batches(
            hub, dataset, 0, len(items), args.batch_size, args.num_workers, "predicting"
        )
    ]
    if not rows:
        raise InputError(f"{args.data} has no products in {args.split}; predict another split")
    classes, probabilities = map(np.concatenate, zip(*rows))
    write_predictions(
        args.out, items.column("id"), hub.categories, classes[:, : args.k], probabilities
    )
    result = accuracies(items.column("leaf_category"), hub.categories, classes)
    sys.stdout.write(json.dumps({**result, "predictions": str(args.out)}) + "\n")


def cli():
    """Console script ``item-predict``."""
    run(main)


if __name__ == "__main__":
    cli()
