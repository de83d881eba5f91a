"""Draw a product catalogue with true same-product groups: nothing is downloaded."""

import hashlib
import io
import os
import shutil
import tarfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

import _path  # noqa: F401
from demo_canvas import Canvas
from demo_products import FAMILY, product
from demo_scene import photograph
from demo_titles import listing_title
from pack_workers import map_in_order
from PIL import Image

from fairseq_item.cli import arguments, progress, run
from fairseq_item.data.catalog import TsvWriter
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path

FIELDS = ("id", "title", "image", "meta_category", "leaf_category", "product")
SUPERSAMPLING = 2
SHEET_FAMILIES = 21  # one of each leaf category


def build_parser():
    parser = arguments(__doc__)
    parser.add_argument("--out", metavar="DIR", help="folder for products.tsv and the pictures")
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


def draw_listings(number, seed, listings, size):
    """All listings of a product.

    Returns:
        list of (row, JPEG bytes): row is a dict with the columns ``FIELDS``.
    """
    item = product(seed, number)
    canvas = Canvas(size * SUPERSAMPLING)
    item.leaf.draw(canvas, item.look)
    cutout = canvas.cutout(size)
    result = []
    for listing in range(Random(f"{seed}/listings/{number}").randint(*listings)):
        name = f"{seed}/listing/{number}/{listing}"
        rng = Random(name)
        row = {
            "id": hashlib.sha256(name.encode()).hexdigest()[:12],
            "title": listing_title(item, rng),
            "meta_category": item.leaf.meta,
            "leaf_category": item.leaf.name,
            "product": f"p{number:06d}",
        }
        row["image"] = f"{row['id']}.jpg"
        photo = photograph(rng, cutout, item.leaf.stands)
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=rng.randint(55, 95))
        result.append((row, buffer.getvalue()))
    return result


def write_catalog(args):
    out = Path(args.out)
    table = out / "products.tsv"
    # Written last: a folder without it is not whole.
    table.unlink(missing_ok=True)
    draw = partial(
        draw_listings, seed=args.seed, listings=tuple(args.listings), size=args.image_size
    )
    results = map_in_order(draw, range(args.products), args.workers)
    opened = open_tar(out / "images.tar") if args.tar else open_folder(out / "images")
    with TsvWriter(table, FIELDS) as writer, opened as add:
        for listings in progress(results, "drawing", args.products, "product"):
            for row, data in listings:
                add(row["image"], data)
                writer.write(row)
    print(f"{table}: {writer.count} listings of {args.products} products")
    print(f"{out / ('images.tar' if args.tar else 'images')}: {writer.count} photos")


@contextmanager
def open_folder(path):
    """Yield ``add(name, data)`` that writes into a folder, emptied of what an earlier run left."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    yield lambda name, data: (path / name).write_bytes(data)


@contextmanager
def open_tar(path):
    """Yield ``add(name, data)`` that appends to a tar whose bytes depend on nothing else."""
    with atomic_path(path) as temporary, tarfile.open(temporary, "w") as tar:

        def add(name, data):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

        yield add


def contact_sheet(args):
    """Up to four listings of a product of each family, and beside them those of a neighbour."""
    size, gap, places = 128, 6, 4
    families = min(SHEET_FAMILIES, -(-args.products // FAMILY))
    block = places * (size + gap) + 3 * gap
    sheet = Image.new("RGB", (2 * block, families * (size + gap)), (255, 255, 255))
    for family in range(families):
        for side, member in enumerate((0, 1 + family % (FAMILY - 1))):
            number = family * FAMILY + member
            listings = draw_listings(number, args.seed, tuple(args.listings), args.image_size)
            for place, (_, data) in enumerate(listings[:places]):
                photo = Image.open(io.BytesIO(data)).resize((size, size), Image.Resampling.LANCZOS)
                sheet.paste(photo, (side * block + place * (size + gap), family * (size + gap)))
    return sheet


if __name__ == "__main__":
    run(main)
