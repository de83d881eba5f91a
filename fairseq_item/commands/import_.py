"""Make a catalogue of a shop's own files or of a public data set, with the truth that they hold.

Layouts: Google Merchant feeds (text, RSS, Atom), Shopify and WooCommerce CSV, Amazon Berkeley
Objects, Shopee product matching, Stanford Online Products, eProduct, Amazon Reviews 2023. The
header tells which it is. Files may be gzipped.

The catalogue has a row a photo. Rows of one product (an equal GTIN, a label, several photos of
one variant) share the column product; colours and sizes of one article share the column group.
Addresses stand in image_url until item-fetch has downloaded them. What cannot be used is listed
with its reason.
"""

from pathlib import Path

from fairseq_item.commands.common import Parser, run, say
from fairseq_item.data.image_root import ImageRoot
from fairseq_item.errors import InputError
from fairseq_item.feeds.convert import Settings, convert
from fairseq_item.feeds.local_images import LocalImages
from fairseq_item.feeds.registry import LAYOUTS, find_layout
from fairseq_item.files import refuse_overwriting


def parser():
    """The options of ``item-import``."""
    p = Parser(__doc__)
    p.add_argument("files", nargs="+", metavar="FILE", help="feed, export or metadata")
    p.add_argument("--out", required=True, metavar="TSV", help="catalogue to write")
    p.add_argument(
        "--rejected", metavar="TSV", help="list of what is not in it; beside --out by default"
    )
    p.add_argument("--layout", choices=LAYOUTS, help="take this one, if a file has several")
    p.add_argument(
        "--image-root", metavar="PATH",
        help="folder or uncompressed tar that has the photos already: they are looked up by the "
        "last part of their addresses, and nothing needs to be downloaded",
    )  # fmt: skip
    p.add_argument(
        "--language", default="en", metavar="CODE", help="of texts that there are in several"
    )
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    out = Path(args.out)
    rejected = Path(args.rejected or out.with_suffix(".rejected.tsv"))
    for path in args.files:
        refuse_overwriting(path, [out, rejected])
    layout = _layout(args.files, args.layout)
    images = LocalImages(ImageRoot(args.image_root).names()) if args.image_root else None
    settings = Settings(args.files, args.language, images)
    counts = convert(layout, settings, out, rejected)
    if not counts["rows"]:
        raise InputError(f"{args.files[0]} has no row that can be used; see {rejected}")
    say(
        f"{out}: {counts['rows']} rows of {counts['listings']} listings ({layout.NAME}); "
        f"{counts['products']} rows name their product"
    )
    if counts["rejected"]:
        say(f"{rejected}: {counts['rejected']} rows or photos that are not in it, with reasons")
    if counts["addresses"]:
        say(f"Download their images: item-fetch {out} --out images")


def _layout(paths, name):
    """The layout of all files: the one that is named, or the one that they have."""
    if name:
        for path in paths:
            if not LAYOUTS[name].recognises(path):
                raise InputError(
                    f"{path} is not of the layout {name}: it lacks {LAYOUTS[name].LOOKS_FOR}"
                )
        return LAYOUTS[name]
    layouts = {find_layout(path).NAME: path for path in paths}
    if len(layouts) > 1:
        (first, path), (second, other), *_ = layouts.items()
        raise InputError(
            f"{path} is {first} and {other} is {second}; import them into a catalogue each"
        )
    return LAYOUTS[next(iter(layouts))]


def cli():
    """Console script ``item-import``."""
    run(main)


if __name__ == "__main__":
    cli()
