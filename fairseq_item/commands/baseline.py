"""``item-baseline``: what needs no training, to hold a model's scores against.

``tfidf`` compares titles by the words they share, ``pixels`` compares images by the colours of an
8 x 8 grid. Both write hits as ``item-search`` does. The items are ``items/{split}.tsv`` files of
data-bins; ``pixels`` reads the images that lie beside them, in ``image/{split}.bin``.
"""

import sys

from fairseq_item.commands.common import Parser, run
from fairseq_item.errors import InputError
from fairseq_item.evaluation.baselines import (
    baseline,
)
from fairseq_item.search.hits import write_hits


def main(argv=None):
    p = Parser(__doc__)
    p.add_argument("method", choices=("tfidf", "pixels"), help="what is compared")
    p.add_argument(
        "--queries", required=True, nargs="+", metavar="TSV", help="items of the queries"
    )
    p.add_argument("--index", required=True, nargs="+", metavar="TSV", help="items searched")
    p.add_argument("-k", type=int, default=10, help="answers a query")
    p.add_argument("--out", required=True, metavar="TSV", help="hits file to write")
    args = p.parse_args(argv)
    if args.k < 1:
        raise InputError(f"-k is {args.k}; it must be 1 or more")
    hits = baseline(args.method, args.queries, args.index, args.k)
    count = write_hits(args.out, hits)
    sys.stdout.write(f"{count} hits of {len(hits)} queries written to {args.out}\n")


def cli():
    """Console script ``item-baseline``."""
    run(main)


if __name__ == "__main__":
    cli()
