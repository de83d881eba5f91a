"""A synthetic catalogue with true same-product groups: nothing is downloaded."""

import hashlib
import io
import re
import tarfile
from contextlib import closing, contextmanager
from functools import partial
from random import Random

from PIL import Image

from fairseq_item.data.tsv import TsvWriter
from fairseq_item.demo.products import FAMILY, product
from fairseq_item.demo.scene import photograph
from fairseq_item.demo.stage import WORN
from fairseq_item.demo.titles import listing_title
from fairseq_item.demo.views import choose_views, cut_out, nearest_part
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.parallel import map_in_order
from fairseq_item.progress import progress

FIELDS = ("id", "title", "image", "meta_category", "leaf_category", "product", "view")
SHEET_FAMILIES = 21  # one of each leaf category


def draw_listings(number, seed, listings, size):
    """All listings of a product.

    Returns:
        list of (row, JPEG bytes): row is a dict with the columns ``FIELDS``.
    """
    item = product(seed, number)
    rng = Random(f"{seed}/listings/{number}")
    result = []
    for listing, view in enumerate(choose_views(rng, rng.randint(*listings))):
        name = f"{seed}/listing/{number}/{listing}"
        rng = Random(name)
        row = {
            "id": hashlib.sha256(name.encode()).hexdigest()[:12],
            "title": listing_title(item, rng),
            "meta_category": item.leaf.meta,
            "leaf_category": item.leaf.name,
            "product": f"p{number:06d}",
            "view": view,
        }
        row["image"] = f"{row['id']}.jpg"
        cutout = cut_out(item, view, size, rng)
        worn = view == "staged" and item.leaf.name in WORN
        aim = nearest_part(cutout[1], rng) if view == "detail" else None
        image = photograph(rng, cutout, size, item.leaf.stands, worn, aim)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(55, 95))
        result.append((row, buffer.getvalue()))
    return result


def write_catalog(out, products, listings=(2, 4), size=256, seed=1, tar=False, workers=1):
    """Write ``products.tsv`` and the images.

    Args:
        out: folder.
        products: how many.
        listings: listings a product, at least and at most.
        size: side of the images in pixels.
        seed: the same seed draws the same bytes.
        tar: write ``images.tar``, not a folder ``images/``.
        workers: processes that draw.

    Returns:
        int: number of listings.
    """
    table = out / "products.tsv"
    if not tar:
        _refuse_others(out / "images")
    # Written last: a folder without it is not whole.
    table.unlink(missing_ok=True)
    draw = partial(draw_listings, seed=seed, listings=listings, size=size)
    opened = open_tar(out / "images.tar") if tar else open_folder(out / "images")
    results = map_in_order(draw, range(products), workers)
    # Closed at once, or the processes would be ended whenever the interpreter comes to it.
    with TsvWriter(table, FIELDS) as writer, opened as add, closing(results):
        for made in progress(results, "drawing", products, "product"):
            for row, data in made:
                add(row["image"], data)
                writer.write(row)
    return writer.count


def _refuse_others(folder):
    """Refuse to empty a folder that holds what no earlier run drew."""
    for path in folder.iterdir() if folder.exists() else ():
        if not re.fullmatch(r"[0-9a-f]{12}\.jpg", path.name):
            raise InputError(f"{path} was not drawn by item-demo; name another folder with --out")


@contextmanager
def open_folder(path):
    """Yield ``add(name, data)`` that writes into a folder, emptied of what an earlier run left."""
    path.mkdir(parents=True, exist_ok=True)
    for image in path.iterdir():
        image.unlink()
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


def contact_sheet(products, listings=(2, 4), size=256, seed=1):
    """Up to four listings of a product of each family, and beside them those of a neighbour.

    Args:
        products, listings, size, seed: as of :func:`write_catalog`.

    Returns:
        PIL.Image.Image
    """
    side, gap, columns = 128, 6, 4
    families = min(SHEET_FAMILIES, -(-products // FAMILY))
    block = columns * (side + gap) + 3 * gap
    sheet = Image.new("RGB", (2 * block, families * (side + gap)), (255, 255, 255))
    for family in range(families):
        for half, member in enumerate((0, 1 + family % (FAMILY - 1))):
            made = draw_listings(family * FAMILY + member, seed, listings, size)
            for column, (_, data) in enumerate(made[:columns]):
                image = Image.open(io.BytesIO(data)).resize((side, side), Image.Resampling.LANCZOS)
                sheet.paste(image, (half * block + column * (side + gap), family * (side + gap)))
    return sheet
