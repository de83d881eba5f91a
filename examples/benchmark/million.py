"""Embeddings of a synthetic catalogue of a million products, by a trained model.

    python examples/benchmark/million.py --checkpoint MODEL --out million

Every product of the demo catalogue has a seller's title of its own. Drawing a million images would
take hours: so many as ``--images`` are drawn, each product gets one of its leaf category, and every
embedded image is another crop of it in another light. Title and image are embedded together by the
model, so that the embeddings are real ones of real inputs. Queries are second listings of some of
the products: another title, another crop.

It goes on where an earlier run of the same arguments ended. ``items/`` and ``queries/`` are folders
of embeddings, float16.
"""

import argparse
import io
import sys
import time
from collections import defaultdict
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from fairseq_item.commands.common import positive, run
from fairseq_item.data.images import fit_square, to_rgb
from fairseq_item.data.patches import patchify
from fairseq_item.demo.catalog import draw_listings
from fairseq_item.demo.products import product
from fairseq_item.demo.titles import listing_title
from fairseq_item.files import atomic_path
from fairseq_item.search.embeddings import EmbeddingWriter

SEED = 1
DRAWN_SIDE = 96
BATCH = 256
CHUNK = 25_000
IMAGE_CHUNK = 5000


def parser():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--checkpoint", required=True, help="model folder or checkpoint file")
    p.add_argument("--out", required=True, help="folder to write")
    p.add_argument("--products", type=positive, default=1_100_000)
    p.add_argument("--images", type=positive, default=15_000, help="how many are drawn")
    p.add_argument("--queries", type=positive, default=5000)
    return p


def draw(numbers, side, fit):
    """One image of each product: (b, side, side, 3) uint8."""
    images = []
    for number in numbers:
        _, data = draw_listings(number, SEED, (1, 1), DRAWN_SIDE)[0]
        images.append(np.asarray(fit_square(to_rgb(Image.open(io.BytesIO(data))), side, fit)))
    return np.stack(images)


def in_chunks(folder, count, size, make, doing):
    """Files of ``make(start, stop)``, those that are there already left as they are; the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths, begun = [], time.time()
    for start in range(0, count, size):
        path = folder / f"{start}.npy"
        paths.append(path)
        if path.exists():
            continue
        with atomic_path(path) as temporary, open(temporary, "wb") as handle:
            np.save(handle, make(start, min(start + size, count)))
        sys.stderr.write(
            f"{doing}: {min(start + size, count)} of {count}, {time.time() - begun:.0f} s\n"
        )
    return paths


def images_of_leaves(count):
    """Leaf category -> positions of its images."""
    positions = defaultdict(list)
    for number in range(count):
        positions[product(SEED, number).leaf.name].append(number)
    return positions


def lit(image, size, rng):
    """A random crop of an image, mirrored or not, in another light: (size, size, 3) uint8."""
    top, left = (rng.randint(0, image.shape[0] - size) for _ in range(2))
    crop = image[top : top + size, left : left + size]
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    gain = np.array([rng.uniform(0.7, 1.2) * rng.uniform(0.95, 1.05) for _ in range(3)])
    return np.clip(crop * gain.astype(np.float32), 0, 255).astype(np.uint8)


class Shop:
    """What sellers list: titles, and crops of the images that were drawn."""

    def __init__(self, hub, images):
        self.hub, self.images = hub, images
        self.leaves = images_of_leaves(len(images))

    def title(self, number, which):
        """The title of a listing of a product."""
        return listing_title(product(SEED, number), Random(f"{SEED}/{which}/title/{number}"))

    def patches(self, number, which):
        """What the model sees of a listing of a product."""
        name = product(SEED, number).leaf.name
        of_leaf = self.leaves[name] or range(len(self.images))  # where very few were drawn
        rng = Random(f"{SEED}/{which}/image/{number}")
        place = of_leaf[Random(f"image/{number}").randrange(len(of_leaf))]
        geometry = self.hub.geometry
        image = lit(self.images[place], geometry.image_size, rng)
        return patchify(image, geometry.patch_size)

    def embed(self, numbers, which):
        """(3, b, d) float16."""
        return np.concatenate(
            [
                self._batch(numbers[start : start + BATCH], which)
                for start in range(0, len(numbers), BATCH)
            ],
            axis=1,
        )

    def _batch(self, numbers, which):
        import torch

        titles = [self.title(number, which) for number in numbers]
        patches = np.stack([self.patches(number, which) for number in numbers])
        title, _, _ = self.hub.inputs(titles, [None] * len(titles))
        rows = self.hub.embed(title, torch.from_numpy(patches))
        return np.stack(rows).astype(np.float16)

    def write(self, folder, numbers, which, paths, meta):
        """A folder of embeddings of those in ``paths``."""
        items = []
        for number in numbers:
            item = product(SEED, number)
            title = listing_title(item, Random(f"{SEED}/{which}/title/{number}"))
            items.append({"id": f"p{number}", "title": title, "leaf_category": item.leaf.name})
        with EmbeddingWriter(folder, items, self.hub.dim, "float16", meta) as writer:
            start = 0
            for path in paths:
                rows = np.load(path)
                writer.write(start, *rows)
                start += rows.shape[1]
            writer.finish()


def main(argv=None):
    args = parser().parse_args(argv)
    import torch

    from fairseq_item import ItemModel

    torch.set_num_threads(1)
    hub = ItemModel.from_pretrained(args.checkpoint, device="cpu")
    out, count = Path(args.out), min(args.images, args.products)
    paths = in_chunks(
        out / "images",
        count,
        IMAGE_CHUNK,
        lambda start, stop: draw(range(start, stop), hub.stored_image_size, hub.fit),
        "drawn",
    )
    shop = Shop(hub, np.concatenate([np.load(path) for path in paths]))
    meta = {"checkpoint": str(Path(args.checkpoint).resolve()), "checkpoint_digest": hub.digest}
    asked = Random(SEED).sample(range(args.products), min(args.queries, args.products))
    for which, numbers in (("queries", asked), ("items", range(args.products))):
        embed = lambda start, stop, n=numbers, w=which: shop.embed(n[start:stop], w)  # noqa: E731
        # Which products are asked for depends on how many there are; the rest does not.
        parts = out / (f"{which}.parts" if which == "items" else f"{which}.{args.products}.parts")
        paths = in_chunks(parts, len(numbers), CHUNK, embed, f"embedded {which}")
        shop.write(out / which, numbers, which, paths, meta)
    sys.stderr.write(f"{args.products} products in {out}\n")


if __name__ == "__main__":
    run(main)
