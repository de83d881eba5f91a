"""Second listings of a catalogue's products, as queries whose answers are known."""

import hashlib
import json
import random
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from itertools import tee
from pathlib import Path
from urllib.parse import quote

import PIL

from fairseq_item.data.draw import draw
from fairseq_item.data.images import ImageError, ImageRoot, decode_image
from fairseq_item.data.tsv import TsvWriter
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path, sweep
from fairseq_item.progress import progress

FILES = {
    "query.tsv": "queries",
    "truth.tsv": "true matches",
    "rejected.tsv": "products whose image cannot be read",
}


@dataclass
class Relister:
    """Makes the second listings of a row; sent to the worker processes once.

    Attributes:
        root: where the catalogue's images lie.
        protocol: :class:`protocol1.Protocol1` or :class:`protocol2.Protocol2`.
        listings: second listings a row.
        seed: of every draw.
    """

    root: ImageRoot
    protocol: object
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
        # Of their own for title and image, so that neither's strengths change the other.
        # ("photo" stays: another name would be another draw.)
        title_rng, image_rng = (
            random.Random(draw(self.seed, what, row["id"], str(number)))
            for what in ("title", "photo")
        )
        return self.protocol.title(row, title_rng), self.protocol.image(image, image_rng)


def relist(drawn, relister, wanted, engine):
    """Yield (row, listings, reason) until ``wanted`` rows had listings and no reason against."""
    rows, results = tee(drawn)
    with closing(engine.map(relister, results)) as results:
        for row, (listings, reason) in zip(rows, results):
            yield row, listings, reason
            wanted -= reason is None
            if not wanted:
                return


def write_benchmark(catalog, rows, relister, wanted, out, engine, same, equal):
    """Draw products, relist them, and write the benchmark.

    Args:
        catalog: the catalogue.
        rows: all its rows.
        relister: :class:`Relister`.
        wanted: number of products; those whose image cannot be read are replaced.
        out: folder to write to.
        engine: what relists; see ``engines``.
        same: row id -> ids of all rows of its product, for those that are not alone.
        equal: rows that repeat the image and title of another.

    Returns:
        list: rows written to each of ``FILES``.

    Raises:
        InputError: no image can be read.
    """
    drawn = sorted(rows, key=lambda row: draw(relister.seed, "choice", row["id"]))
    (out / "images").mkdir(parents=True, exist_ok=True)
    sweep(out / "images")
    with ExitStack() as stack:
        writer = BenchmarkWriter(stack, out, catalog.fieldnames, rows, same)
        made = relist(drawn, relister, wanted, engine)
        for row, listings, reason in progress(made, "relisting", wanted, "product"):
            if reason is None:
                writer.add(row, listings)
            else:
                writer.reject(row, reason)
        if not writer.query.count:
            raise InputError(
                f"none of the images of {catalog.path} can be read from {relister.root.path} "
                f"({row['image']}: {reason}); name the right --image-root"
            )
    counts = [file.count for file in (writer.query, writer.truth, writer.rejected)]
    write_meta(out, catalog.path, len(rows), relister, counts, equal)
    return counts


class BenchmarkWriter:
    """Writes the files of a benchmark; they take their places when ``stack`` closes without error.

    Args:
        stack: an ``ExitStack``.
        out: folder to write to.
        fieldnames: columns of the catalogue.
        rows: all rows of the catalogue.
        same: row id -> ids of all rows of its product, for those that are not alone.
    """

    def __init__(self, stack, out, fieldnames, rows, same):
        self.out, self.same = out, same
        self.ids = {row["id"] for row in rows}
        # A query belongs to no split of the catalogue.
        columns = [name for name in fieldnames if name not in ("split", "source_id")]
        headers = [*columns, "source_id"], ["query_id", "item_id"], ["id", "image", "reason"]
        self.query, self.truth, self.rejected = (
            stack.enter_context(TsvWriter(out / name, header))
            for name, header in zip(FILES, headers)
        )

    def reject(self, row, reason):
        self.rejected.write({"id": row["id"], "image": row["image"], "reason": reason})

    def add(self, row, listings):
        for number, (title, jpeg) in enumerate(listings, 1):
            query_id = f"{row['id']}-relisted-{number}"
            if query_id in self.ids:
                raise InputError(f"the catalogue has the id '{query_id}' already; rename that row")
            image = image_name(query_id)
            with atomic_path(self.out / "images" / image) as path:
                path.write_bytes(jpeg)
            query = {"id": query_id, "title": title, "image": image, "source_id": row["id"]}
            self.query.write({**row, **query})
            for item_id in self.same.get(row["id"], [row["id"]]):
                self.truth.write({"query_id": query_id, "item_id": item_id})


def image_name(query_id):
    """A file name for any id: slashes and their like escaped, and short enough for a disk."""
    name = quote(query_id, safe=" ")
    if len(name) > 200:
        name = hashlib.blake2b(query_id.encode(), digest_size=16).hexdigest()
    return f"{name}.jpg"


def write_meta(folder, catalog, rows, relister, counts, equal):
    """Write ``meta.json``: what the benchmark was made of, and what it has.

    Args:
        folder: where it goes.
        catalog: path of the catalogue.
        rows: number of its rows.
        relister: :class:`Relister`.
        counts: rows of each of ``FILES``.
        equal: rows that repeat the image and title of another.
    """
    meta = {
        "protocol": relister.protocol.name,
        "version": relister.protocol.version,
        "catalog": Path(catalog).name,
        "catalog_rows": rows,
        "seed": relister.seed,
        "listings": relister.listings,
        "strengths": asdict(relister.protocol.strengths),
        **dict(zip(("queries", "true_matches", "rejected"), counts)),
        "equal_listings": equal,
        "pillow": PIL.__version__,
    }
    with atomic_path(folder / "meta.json") as path:
        path.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
