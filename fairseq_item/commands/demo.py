"""Draw a synthetic catalogue with true same-product groups: nothing is downloaded."""

from pathlib import Path

from fairseq_item.commands.common import Parser, add_seed, add_workers, positive, run, say
from fairseq_item.demo.catalog import contact_sheet, write_catalog
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path, check_output, locked_folder


def parser():
    """The options of ``item-demo``."""
    p = Parser(__doc__)
    p.add_argument("--out", metavar="DIR", help="folder for products.tsv and the images")
    p.add_argument("--products", type=positive, default=1500, help="number of products")
    p.add_argument(
        "--listings", type=positive, nargs=2, default=(2, 4), metavar=("MIN", "MAX"),
        help="listings a product, at least and at most",
    )  # fmt: skip
    p.add_argument("--image-size", type=positive, default=256, help="side of the images in pixels")
    p.add_argument("--tar", action="store_true", help="write images.tar, not a folder images/")
    add_seed(p, "the same seed draws the same bytes")
    add_workers(p)
    p.add_argument(
        "--contact-sheet", metavar="FILE.png",
        help="draw a sheet: listings of a product of each kind, and of a near neighbour of it",
    )  # fmt: skip
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    least, most = args.listings
    if not args.out and not args.contact_sheet:
        raise InputError("nothing to write; name --out or --contact-sheet")
    if least > most:
        raise InputError(f"--listings {least} {most}: the smaller must come first")
    if not 16 <= args.image_size <= 2048:
        raise InputError(f"--image-size {args.image_size} is not between 16 and 2048")
    settings = args.products, (least, most), args.image_size, args.seed
    if args.contact_sheet:
        check_output(args.contact_sheet)
    if args.out:
        out = Path(args.out)
        with locked_folder(out):
            count = write_catalog(out, *settings, args.tar, args.num_workers)
        say(f"{out / 'products.tsv'}: {count} listings of {args.products} products")
        say(f"{out / ('images.tar' if args.tar else 'images')}: {count} images")
    if args.contact_sheet:
        with atomic_path(args.contact_sheet) as path:
            contact_sheet(*settings).save(path, "PNG")
        say(f"{args.contact_sheet}: contact sheet")


def cli():
    """Console script ``item-demo``."""
    run(main)


if __name__ == "__main__":
    cli()
