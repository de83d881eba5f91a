"""Draw a product catalogue with true same-product groups: nothing is downloaded."""

import hashlib
import io
import shutil
import tarfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from PIL import Image

from fairseq_item.data.catalog import TsvWriter
from fairseq_item.demo.canvas import Canvas
from fairseq_item.demo.products import FAMILY, product
from fairseq_item.demo.scene import photograph
from fairseq_item.demo.titles import listing_title
from fairseq_item.files import atomic_path
from fairseq_item.preprocess.pack_workers import map_in_order
from fairseq_item.progress import progress

FIELDS = ("id", "title", "image", "meta_category", "leaf_category", "product")
SUPERSAMPLING = 2
SHEET_FAMILIES = 21  # one of each leaf category


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
