"""Same-product search benchmark from any catalogue: second listings of its products.

For products drawn at random, writes one or more further listings as another seller might have
made them: the image cropped, rotated, flipped, lit otherwise, its background tinted where that is
plain, saved anew as JPEG; the title with words dropped, shuffled, abbreviated and mistyped, and
with seller's filler. The catalogue itself is the index that they are searched in.

That is --protocol 1, whose strengths can be set. --protocol 2 is frozen, and made of what no
training view imitates: perspective, another scene behind plain backgrounds, fingers, white
balance, blur, watermark, banner, sticker, low resolution, strong JPEG; units converted, attributes
reworded, synonyms, the brand moved or left out (that of a column brand, or else learnt from how
titles begin), slips to a neighbouring key, boilerplate.

Equal listings, of the same image and title, count as one product in the truth.

Writes DIR/query.tsv, DIR/images/, DIR/truth.tsv (query_id, item_id), DIR/rejected.tsv (drawn
products whose image cannot be read; others are drawn in their place) and DIR/meta.json. With the
same seed, catalogue and version of Pillow the bytes are the same, whatever the order of the rows.
"""

from dataclasses import fields

from fairseq_item.commands.columns import add_columns, add_index, columns_of, read_others
from fairseq_item.commands.common import (
    Parser,
    add_engine,
    add_seed,
    add_workers,
    amount,
    engine_of,
    fraction,
    positive,
    run,
    say,
)
from fairseq_item.data.catalog import read_catalog
from fairseq_item.data.remote_root import open_root
from fairseq_item.errors import InputError
from fairseq_item.files import locked_folder, refuse_overwriting
from fairseq_item.preprocess.equal_listings import ListingKey, Rows, same_products
from fairseq_item.preprocess.protocol1 import Protocol1, Strengths
from fairseq_item.preprocess.protocol2 import Protocol2
from fairseq_item.preprocess.relist import FILES, Relister, write_benchmark
from fairseq_item.remote import output

HELP = {
    "drop": "probability that a word of the title is dropped",
    "shuffle": "probability that a title's words are shuffled",
    "filler": "probability that seller's filler is added to a title",
    "abbreviate": "probability that a word which has a short form is abbreviated",
    "typo": "probability that a word is mistyped",
    "crop_area": "part of the image's area that a crop keeps, from and to",
    "rotate": "greatest rotation either way, in degrees",
    "flip": "probability that an image is mirrored",
    "light": "greatest change of brightness, contrast and colour, as a part",
    "tint": "probability that a plain background is tinted",
    "jpeg_quality": "JPEG quality, from and to",
}
PROBABILITIES = ("drop", "shuffle", "filler", "abbreviate", "typo", "flip", "tint")


def parser():
    """The options of ``item-relist``."""
    p = Parser(__doc__)
    p.add_argument(
        "catalog",
        help="catalogue: .tsv, .csv, .jsonl (also .gz), .parquet or a folder of .parquet files",
    )
    p.add_argument(
        "--image-root",
        required=True,
        metavar="PATH",
        help="folder, uncompressed tar or URL of images",
    )
    p.add_argument("--out", required=True, metavar="DIR", help="folder to write to, or its URL")
    number = p.add_mutually_exclusive_group()
    number.add_argument(
        "--products", type=positive, metavar="N", help="number of products to relist"
    )
    number.add_argument(
        "--fraction", type=fraction, default=0.1, metavar="F", help="of the catalogue to relist"
    )
    p.add_argument("--listings", type=positive, default=1, help="second listings a product")
    p.add_argument(
        "--equal-apart", action="store_true", help="count equal listings as what product says"
    )
    add_index(p)
    add_seed(p, "seed of every draw")
    add_workers(p)
    add_engine(p)
    p.add_argument(
        "--protocol", type=int, choices=(1, 2), default=1, help="how listings are changed"
    )
    group = p.add_argument_group("strengths of protocol 1")
    for field in fields(Strengths):
        pair = isinstance(field.default, tuple)
        kind = fraction if field.name in PROBABILITIES else amount
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=positive if field.name == "jpeg_quality" else kind,
            nargs=2 if pair else None,
            metavar=("FROM", "TO") if pair else "X",
            default=field.default,
            help=HELP[field.name],
        )
    add_columns(p)
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    with output(args.out) as out:
        relist(args, out)


def relist(args, out):
    """Write a benchmark to the folder ``out``."""
    strengths = strengths_from(args)
    if args.protocol == 2 and strengths != Strengths():
        raise InputError("the strengths of --protocol 2 are frozen; leave those flags out")
    for source in (args.catalog, *args.index):
        refuse_overwriting(source, [out / name for name in FILES])
    refuse_overwriting(args.image_root, [out / "images"])
    catalog = read_catalog(args.catalog, columns_of(args))
    rows = [row for _, row in catalog]
    wanted = args.products or round(args.fraction * len(rows))
    if not 0 < wanted <= len(rows):
        raise InputError(
            f"{args.catalog} has {len(rows)} rows, of which {wanted} were asked for; change "
            "--products or --fraction"
        )
    protocol = Protocol1(strengths) if args.protocol == 1 else Protocol2.for_catalog(rows)
    relister = Relister(open_root(args.image_root), protocol, args.listings, args.seed)
    key = None if args.equal_apart else ListingKey(relister.root)
    relisted = rows, relister, wanted, out, engine_of(args)
    with locked_folder(out):
        same, equal = same_products(Rows([catalog, *read_others(args)]), key)
        counts = write_benchmark(catalog, *relisted, same, equal)
    for count, (name, what) in zip(counts, FILES.items()):
        say(f"{out / name}: {count} {what}")
    say(f"{out / 'images'}: {counts[0]} images")
    if equal:
        say(f"{equal} rows repeat the image and title of another; they count as one product")


def strengths_from(args):
    values = {}
    for field in fields(Strengths):
        value = getattr(args, field.name)
        values[field.name] = tuple(value) if isinstance(value, list) else value
    strengths = Strengths(**values)
    if not 0 < strengths.crop_area[0] <= strengths.crop_area[1] <= 1:
        raise InputError("--crop-area must be two parts above 0, at most 1, the smaller first")
    if not strengths.jpeg_quality[0] <= strengths.jpeg_quality[1] <= 95:
        raise InputError("--jpeg-quality must be two numbers from 1 to 95, the smaller first")
    if strengths.rotate > 180 or strengths.light >= 1:
        raise InputError("--rotate must be 0 to 180 degrees and --light at least 0 and below 1")
    return strengths


def cli():
    """Console script ``item-relist``."""
    run(main)


if __name__ == "__main__":
    cli()
