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
import random
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import tee
from pathlib import Path
from urllib.parse import quote

import PIL

from fairseq_item.data.catalog import TsvWriter
from fairseq_item.data.draw import draw
from fairseq_item.data.images import ImageError, ImageRoot, decode_image
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.preprocess.pack_workers import map_in_order
from fairseq_item.preprocess.relisting_images import change_photo
from fairseq_item.preprocess.relisting_titles import rewrite_title

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
            image = decode_image(self.root.read(row["image"]))
        except (KeyError, ImageError) as error:
            return None, error.args[0]
        return [self._listing(row, image, number) for number in self._numbers()], None

    def _numbers(self):
        return range(1, self.listings + 1)

    def _listing(self, row, image, number):
        # Of their own for title and photo, so that neither's strengths change the other.
        title_rng, photo_rng = (
            random.Random(draw(self.seed, what, row["id"], str(number)))
            for what in ("title", "photo")
        )
        title = rewrite_title(row["title"], self.strengths, title_rng)
        return title, change_photo(image, self.strengths, photo_rng)


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
