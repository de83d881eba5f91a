"""``item-predict``: the most probable leaf categories of each product of a split.

Writes a TSV with the columns id, rank, category and probability. Where the products have leaf
categories, Acc@1 and Acc@5 are printed as JSON, in percent of the products that have one; a
category that training did not have counts as wrong.
"""

import json
import sys

import numpy as np

from fairseq_item.cli import arguments, run
from fairseq_item.data.tsv import TsvWriter
from fairseq_item.errors import InputError
from fairseq_item.retrieval.embed import batches, choose_device, open_products

FIRST = 5


def parser():
    """The options of ``item-predict``."""
    p = arguments(__doc__)
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


def write_predictions(path, ids, categories, classes, probabilities):
    """Write a line for each product and rank.

    Args:
        path: the file.
        ids: list of n ids.
        categories: names of the classes.
        classes, probabilities: (n, k), the most probable first.
    """
    with TsvWriter(path, ["id", "rank", "category", "probability"]) as writer:
        for name, *columns in zip(ids, classes, probabilities):
            for rank, (number, probability) in enumerate(zip(*columns), start=1):
                category = categories[number]
                row = {"id": name, "rank": str(rank), "category": category}
                writer.write({**row, "probability": f"{probability:.6f}"})


def accuracies(truth, categories, classes):
    """How often the true category is the first, or among the first five.

    Args:
        truth: list of n names of categories, "" where a product has none.
        categories: names of the classes.
        classes: int64 (n, k), k at least 5 unless there are fewer classes; best first.

    Returns:
        dict: ``products``, ``with_category``, ``unknown_category`` (training did not have it: never
        right) and, if any product has a category, ``Acc@1`` and ``Acc@5`` in percent of those.
    """
    number = {name: i for i, name in enumerate(categories)}
    true = np.array([number.get(name.strip(), -1) for name in truth])
    labelled = np.array([bool(name.strip()) for name in truth])
    result = {
        "products": len(truth),
        "with_category": int(labelled.sum()),
        "unknown_category": int((labelled & (true < 0)).sum()),
    }
    if labelled.any():
        right = (classes[:, :FIRST] == true[:, None])[labelled]
        result["Acc@1"] = round(100 * float(right[:, 0].mean()), 2)
        result["Acc@5"] = round(100 * float(right.any(1).mean()), 2)
    return result


def cli():
    """Console script ``item-predict``."""
    run(main)


if __name__ == "__main__":
    cli()
