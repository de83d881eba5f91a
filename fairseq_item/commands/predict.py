"""``item-predict``: the most probable leaf categories of each product of a split.

Writes a TSV with the columns id, rank, category and probability. Where the products have leaf
categories, Acc@1 and Acc@5 are printed as JSON, in percent of the products that have one; a
category that training did not have counts as wrong.
"""

from collections.abc import Sequence

import numpy as np

from fairseq_item.commands.common import Parser, add_answers, add_computing, add_splits, run, show
from fairseq_item.errors import InputError
from fairseq_item.evaluation.classification import FIRST, accuracies, write_predictions
from fairseq_item.files import check_output
from fairseq_item.search.embed import batches, choose_device, open_products


def parser() -> Parser:
    """The options of ``item-predict``."""
    p = Parser(__doc__)
    p.add_argument(
        "--checkpoint",
        required=True,
        metavar="MODEL",
        help="model folder or checkpoint file of a classifier",
    )
    p.add_argument("--data", required=True, metavar="DATA_BIN", help="data-bin folder")
    add_splits(p, "test", "splits to predict")
    p.add_argument("--out", required=True, metavar="TSV", help="predictions file to write")
    add_answers(p, FIRST, "categories a product")
    add_computing(p)
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of ``item-predict``."""
    args = parser().parse_args(argv)
    check_output(args.out)
    from fairseq_item import ItemModel

    hub = ItemModel.from_pretrained(args.checkpoint, device=choose_device(args.device))
    if hub.categories is None:
        raise InputError(
            f"{args.checkpoint} predicts no categories; fine-tune it with --task "
            "item_classification"
        )
    items, dataset = open_products(args.data, args.splits, hub)
    rows = [
        hub.best(**inputs, k=max(args.k, FIRST))
        for inputs in batches(
            hub, dataset, 0, len(items), args.batch_size, args.num_workers, "predicting"
        )
    ]
    if not rows:
        raise InputError(
            f"{args.data} has no products in {','.join(args.splits)}; predict another split"
        )
    classes, probabilities = map(np.concatenate, zip(*rows))
    write_predictions(
        args.out, items.column("id"), hub.categories, classes[:, : args.k], probabilities
    )
    result = accuracies(items.column("leaf_category"), hub.categories, classes)
    show({**result, "predictions": str(args.out)})


def cli():
    """Console script ``item-predict``."""
    run(main)


if __name__ == "__main__":
    cli()
