#!/usr/bin/env python3
"""Same-product search benchmark from any catalogue: second listings of its products.

For products drawn at random, writes one or more further listings as another seller might have
made them: the photo cropped, rotated, flipped, lit otherwise, its background tinted where that is
plain, saved anew as JPEG; the title with words dropped, shuffled, abbreviated and mistyped, and
with seller's filler. The catalogue itself is the index that they are searched in.

Writes DIR/query.tsv, DIR/images/, DIR/truth.tsv (query_id, item_id), DIR/rejected.tsv (drawn
products whose photo cannot be read; others are drawn in their place) and DIR/meta.json. With the
same seed, catalogue and version of Pillow the bytes are the same, whatever the order of the rows.
"""

import hashlib
import json
import os
import random
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, fields
from itertools import tee
from pathlib import Path
from urllib.parse import quote

import _path  # noqa: F401
import PIL
from pack_workers import map_in_order
from relisting_photos import change_photo
from relisting_titles import rewrite_title

from fairseq_item.cli import arguments, progress, run
from fairseq_item.data.catalog import Columns, TsvWriter, add_column_arguments, read_catalog
from fairseq_item.data.draw import draw
from fairseq_item.data.pictures import ImageRoot, PictureError, decode_picture
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path

PROTOCOL = "relistings"
# To be raised whenever the same seed would give other listings.
VERSION = 1


@dataclass(frozen=True)
class Strengths:
    """How far a second listing goes from the first."""

    drop: float = 0.35
    shuffle: float = 1.0
    filler: float = 0.8
    abbreviate: float = 0.3
    typo: float = 0.05
    crop_area: tuple = (0.75, 1.0)
    rotate: float = 8.0
    flip: float = 0.5
    light: float = 0.2
    tint: float = 0.5
    jpeg_quality: tuple = (60, 90)


HELP = {
    "drop": "probability that a word of the title is dropped",
    "shuffle": "probability that a title's words are shuffled",
    "filler": "probability that seller's filler is added to a title",
    "abbreviate": "probability that a word which has a short form is abbreviated",
    "typo": "probability that a word is mistyped",
    "crop_area": "part of the photo's area that a crop keeps, from and to",
    "rotate": "greatest rotation either way, in degrees",
    "flip": "probability that a photo is mirrored",
    "light": "greatest change of brightness, contrast and colour, as a part",
    "tint": "probability that a plain background is tinted",
    "jpeg_quality": "JPEG quality, from and to",
}
PROBABILITIES = ("drop", "shuffle", "filler", "abbreviate", "typo", "flip", "tint")


def build_parser():
    parser = arguments(__doc__)
    parser.add_argument("catalog", help="catalogue: .tsv, .csv, .jsonl (also .gz) or .parquet")
    parser.add_argument(
        "--image-root", required=True, metavar="PATH", help="folder or uncompressed tar of pictures"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--products", type=int, metavar="N", help="number of products to relist")
    amount.add_argument(
        "--fraction", type=float, default=0.1, metavar="F", help="of the catalogue to relist"
    )
    parser.add_argument("--listings", type=int, default=1, help="second listings a product")
    parser.add_argument("--seed", type=int, default=1, help="seed of every draw")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    group = parser.add_argument_group("strengths")
    for field in fields(Strengths):
        pair = isinstance(field.default, tuple)
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default[0]) if pair else float,
            nargs=2 if pair else None,
            metavar=("FROM", "TO") if pair else "X",
            default=field.default,
            help=HELP[field.name],
        )
    add_column_arguments(parser)
    return parser


def main(argv=None):
    args = build_parser().parse_args(argv)
    strengths = strengths_from(args)
    catalog = read_catalog(args.catalog, Columns.from_args(args))
    rows = [row for _, row in catalog]
    wanted = number_wanted(args, len(rows))
    drawn = sorted(rows, key=lambda row: draw(args.seed, "choice", row["id"]))
    relister = Relister(ImageRoot(args.image_root), strengths, args.listings, args.seed)

    out = Path(args.out)
    (out / "images").mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        writer = BenchmarkWriter(stack, out, catalog.fieldnames, rows)
        made = relist(drawn, relister, wanted, args.workers)
        for row, listings, reason in progress(made, "relisting", wanted, "product"):
            if reason is None:
                writer.add(row, listings)
            else:
                writer.reject(row, reason)
        if not writer.query.count:
            raise InputError(
                f"none of the photos of {args.catalog} can be read from {args.image_root} "
                f"({row['image']}: {reason}); name the right --image-root"
            )
    report(args, strengths, writer)


def strengths_from(args):
    values = {}
    for field in fields(Strengths):
        value = getattr(args, field.name)
        values[field.name] = tuple(value) if isinstance(value, list) else value
    strengths = Strengths(**values)
    if not all(0 <= values[name] <= 1 for name in PROBABILITIES):
        raise InputError(f"--{', --'.join(PROBABILITIES)} are probabilities; use 0 to 1")
    if not 0 < strengths.crop_area[0] <= strengths.crop_area[1] <= 1:
        raise InputError("--crop-area must be two parts above 0, at most 1, the smaller first")
    if not 1 <= strengths.jpeg_quality[0] <= strengths.jpeg_quality[1] <= 95:
        raise InputError("--jpeg-quality must be two numbers from 1 to 95, the smaller first")
    if not (0 <= strengths.rotate <= 180 and 0 <= strengths.light < 1):
        raise InputError("--rotate must be 0 to 180 degrees and --light at least 0 and below 1")
    return strengths


def number_wanted(args, rows):
    wanted = round(args.fraction * rows) if args.products is None else args.products
    if not 0 < wanted <= rows:
        raise InputError(
            f"{args.catalog} has {rows} rows, of which {wanted} were asked for; change "
            "--products or --fraction"
        )
    if args.listings < 1 or args.workers < 1:
        raise InputError("--listings and --workers must be at least 1")
    return wanted


@dataclass
class Relister:
    """Makes the second listings of a row; sent to the worker processes once."""

    root: ImageRoot
    strengths: Strengths
    listings: int
    seed: int

    def __call__(self, row):
        """Returns (listings, None), each of them (title, JPEG), or (None, reason)."""
        try:
            picture = decode_picture(self.root.read(row["image"]))
        except (KeyError, PictureError) as error:
            return None, error.args[0]
        return [self._listing(row, picture, number) for number in self._numbers()], None

    def _numbers(self):
        return range(1, self.listings + 1)

    def _listing(self, row, picture, number):
        # Of their own for title and photo, so that neither's strengths change the other.
        title_rng, photo_rng = (
            random.Random(draw(self.seed, what, row["id"], str(number)))
            for what in ("title", "photo")
        )
        title = rewrite_title(row["title"], self.strengths, title_rng)
        return title, change_photo(picture, self.strengths, photo_rng)


def relist(drawn, relister, wanted, workers):
    """Yield (row, listings, reason) until ``wanted`` rows had listings and no reason against."""
    rows, results = tee(drawn)
    try:
        with closing(map_in_order(relister, results, workers)) as results:
            for row, (listings, reason) in zip(rows, results):
                yield row, listings, reason
                wanted -= reason is None
                if not wanted:
                    return
    except BrokenProcessPool:
        raise InputError("a worker was killed, for memory perhaps; use fewer --workers") from None


class BenchmarkWriter:
    """Writes the files of a benchmark; they take their places when ``stack`` closes without error.

    Args:
        stack: an ``ExitStack``.
        out: folder to write to.
        fieldnames: columns of the catalogue.
        rows: all rows of the catalogue.
    """

    def __init__(self, stack, out, fieldnames, rows):
        self.out = out
        self.ids = {row["id"] for row in rows}
        self.same_product = {}
        for row in rows:
            if row.get("product"):
                self.same_product.setdefault(row["product"], []).append(row["id"])
        # A query belongs to no split of the catalogue.
        columns = [name for name in fieldnames if name not in ("split", "source_id")]
        self.query, self.truth, self.rejected = (
            stack.enter_context(TsvWriter(out / f"{name}.tsv", names))
            for name, names in (
                ("query", [*columns, "source_id"]),
                ("truth", ["query_id", "item_id"]),
                ("rejected", ["id", "image", "reason"]),
            )
        )

    def reject(self, row, reason):
        self.rejected.write({"id": row["id"], "image": row["image"], "reason": reason})

    def add(self, row, listings):
        for number, (title, photo) in enumerate(listings, 1):
            query_id = f"{row['id']}-relisted-{number}"
            if query_id in self.ids:
                raise InputError(f"the catalogue has the id '{query_id}' already; rename that row")
            image = image_name(query_id)
            with atomic_path(self.out / "images" / image) as path:
                path.write_bytes(photo)
            query = {"id": query_id, "title": title, "image": image, "source_id": row["id"]}
            self.query.write({**row, **query})
            for item_id in self.same_product.get(row.get("product"), [row["id"]]):
                self.truth.write({"query_id": query_id, "item_id": item_id})


def image_name(query_id):
    """A file name for any id: slashes and their like escaped, and short enough for a disk."""
    name = quote(query_id, safe=" ")
    if len(name) > 200:
        name = hashlib.blake2b(query_id.encode(), digest_size=16).hexdigest()
    return f"{name}.jpg"


def report(args, strengths, writer):
    """Write ``meta.json`` and say what lies where."""
    meta = {
        "protocol": PROTOCOL,
        "version": VERSION,
        "catalog": Path(args.catalog).name,
        "catalog_rows": len(writer.ids),
        "seed": args.seed,
        "listings": args.listings,
        "strengths": asdict(strengths),
        "queries": writer.query.count,
        "true_matches": writer.truth.count,
        "rejected": writer.rejected.count,
        "pillow": PIL.__version__,
    }
    with atomic_path(writer.out / "meta.json") as path:
        path.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    for file, what in (
        (writer.query, "queries"),
        (writer.truth, "true matches"),
        (writer.rejected, "products whose photo cannot be read"),
    ):
        print(f"{file.path}: {file.count} {what}")
    print(f"{writer.out / 'images'}: {writer.query.count} photos")


if __name__ == "__main__":
    run(main)
