"""Draw a product catalogue with true same-product groups: nothing is downloaded."""

import os

from fairseq_item.commands.common import Parser, run
from fairseq_item.demo.catalog import contact_sheet, write_catalog
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path


def build_parser():
    parser = Parser(__doc__)
    parser.add_argument("--out", metavar="DIR", help="folder for products.tsv and the images")
    parser.add_argument("--products", type=int, default=1500, help="number of products")
    parser.add_argument(
        "--listings",
        type=int,
        nargs=2,
        default=(2, 4),
        metavar=("MIN", "MAX"),
        help="listings a product, at least and at most",
    )
    parser.add_argument("--image-size", type=int, default=256, help="side of the photos in pixels")
    parser.add_argument("--tar", action="store_true", help="write images.tar, not a folder images/")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same bytes")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that draw")
    parser.add_argument(
        "--contact-sheet",
        metavar="FILE.png",
        help="draw a sheet: listings of a product of each kind, and of a near neighbour of it",
    )
    return parser


def main(argv=None):
    args = build_parser().parse_args(argv)
    check_settings(args)
    if args.out:
        write_catalog(args)
    if args.contact_sheet:
        with atomic_path(args.contact_sheet) as path:
            contact_sheet(args).save(path, "PNG")
        print(f"{args.contact_sheet}: contact sheet")


def check_settings(args):
    least, most = args.listings
    if not args.out and not args.contact_sheet:
        raise InputError("nothing to write; name --out or --contact-sheet")
    if args.products < 1:
        raise InputError(f"--products {args.products} is not at least 1")
    if not 1 <= least <= most:
        raise InputError(f"--listings {least} {most}: the least must be from 1 to the most")
    if not 16 <= args.image_size <= 2048:
        raise InputError(f"--image-size {args.image_size} is not between 16 and 2048")
    if args.workers < 1:
        raise InputError(f"--workers {args.workers} is not at least 1")


def cli():
    """Console script ``item-demo``."""
    run(main)


if __name__ == "__main__":
    cli()
