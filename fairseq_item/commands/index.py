"""``item-index``: from folders of embeddings to an index folder."""

import sys

from fairseq_item.commands.common import Parser, run
from fairseq_item.search import calibration, transforms
from fairseq_item.search.build import FUSIONS, WEIGHTS, build_index
from fairseq_item.search.index import EXACT
from fairseq_item.search.vectors import DTYPES


def parser():
    p = Parser(__doc__)
    p.add_argument("embeddings", nargs="+", metavar="DIR", help="folders that item-embed wrote")
    p.add_argument("--out", required=True, metavar="INDEX", help="index folder to write")
    p.add_argument("--factory", default=EXACT, help="faiss factory string; Flat is exact")
    p.add_argument(
        "--transform",
        choices=list(transforms.KINDS),
        default="whiten",
        help="done to each part's embeddings before they are compared; the paper: none",
    )
    p.add_argument("--whiten-dim", type=int, default=0, help="axes that whitening keeps; 0: all")
    p.add_argument(
        "--whiten-shrinkage",
        type=float,
        default=0.01,
        help="0 to 1: how far whitening draws the variances to their mean first",
    )
    p.add_argument(
        "--calibration",
        choices=list(calibration.KINDS),
        default="zscore",
        help="brings the similarities of the three parts to one scale; the paper: none",
    )
    p.add_argument(
        "--fusion",
        choices=FUSIONS,
        default="sum",
        help="of the three similarities; the paper: max, with weights 1 1 1",
    )
    p.add_argument(
        "--weights",
        type=float,
        nargs=3,
        default=WEIGHTS,
        metavar=("GLOBAL", "TITLE", "IMAGE"),
        help="multiply the calibrated similarities; 0 leaves a part out",
    )
    p.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="of the stored vectors; float16 and int8 change 1 and 10 in 1,000 of the first ten",
    )
    p.add_argument("--seed", type=int, default=1, help="of everything drawn at random")
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    meta = build_index(
        args.embeddings,
        args.out,
        factory=args.factory,
        transform=args.transform,
        whiten_dim=args.whiten_dim,
        whiten_shrinkage=args.whiten_shrinkage,
        calibrate=args.calibration,
        fusion=args.fusion,
        weights=args.weights,
        dtype=args.dtype,
        seed=args.seed,
    )
    sys.stdout.write(f"{meta['count']} items indexed in {args.out}\n")


def cli():
    """Console script ``item-index``."""
    run(main)


if __name__ == "__main__":
    cli()
