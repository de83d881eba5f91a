"""``item-index``: from folders of embeddings to an index folder."""

from fairseq_item.commands.common import Parser, add_seed, amount, fraction, run, say
from fairseq_item.search import calibration, transforms
from fairseq_item.search.build import build_index
from fairseq_item.search.fusion import FUSIONS
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
        help="done to each kind of embeddings before they are compared; the paper: none",
    )
    p.add_argument(
        "--whiten-shrinkage",
        type=shrinkage,
        default="auto",
        metavar="S",
        help="0 to 1: how far whitening draws the variances to their mean first; auto: (d / n)^2 "
        "of n items and d values, within 0.01 and 1",
    )
    p.add_argument(
        "--calibration",
        choices=list(calibration.KINDS),
        default="zscore",
        help="brings the similarities to one scale; the paper: none",
    )
    p.add_argument(
        "--fusion",
        choices=FUSIONS,
        default="sum",
        help="of the similarities; the paper: max, with weights 1 1 1",
    )
    p.add_argument(
        "--weights",
        type=amount,
        nargs="+",
        metavar="W",
        help="of global, title, image, lexical: multiply the calibrated similarities; 0 leaves one "
        "out; default: 0.5 0 0.5 1, with image features 0.5 0 1 1",
    )
    p.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="of the stored vectors; float16 and int8 change 1 and 10 in 1,000 of the first ten",
    )
    add_seed(p)
    return p


def shrinkage(text):
    return text if text == "auto" else fraction(text)


def main(argv=None):
    args = parser().parse_args(argv)
    meta = build_index(
        args.embeddings,
        args.out,
        factory=args.factory,
        transform=args.transform,
        whiten_shrinkage=None if args.whiten_shrinkage == "auto" else args.whiten_shrinkage,
        calibrate=args.calibration,
        fusion=args.fusion,
        weights=args.weights,
        dtype=args.dtype,
        seed=args.seed,
    )
    say(f"{meta['count']} items indexed in {args.out}")


def cli():
    """Console script ``item-index``."""
    run(main)


if __name__ == "__main__":
    cli()
