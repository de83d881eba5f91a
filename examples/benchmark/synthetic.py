"""Synthetic data of the benchmarks: photos, titles, catalogues, a vocabulary, embeddings."""

from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter

QUALITY = 88  # of JPEGs
BLOCK = 8192
KINDS, WORDS = 200, 30_000
# How far listings of a product lie apart by each embedding, and how often they lack it.
NOISE = {"global": 0.9, "title": 0.8, "image": 1.2}
ABSENT = {"global": 0.0, "title": 0.01, "image": 0.03}


def draw_photo(rng, width, height):
    """An image, PIL in RGB, whose JPEG is about as large as that of a product photo."""
    blobs = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
    pixels = np.asarray(blobs.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    # A texture of two pixels a grain: single pixels of noise would be all that JPEG stores.
    grain = rng.integers(-14, 15, (height // 2 + 1, width // 2 + 1, 1), np.int16)
    grain = grain.repeat(2, 0).repeat(2, 1)[:height, :width]
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


def write_photos(folder, count, least=440, most=560, seed=1):
    """Write ``{number}.jpg`` with sides of ``least`` to ``most`` pixels; the paths, in order."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        width, height = (int(side) for side in rng.integers(least, most + 1, 2))
        paths.append(folder / f"{number:06}.jpg")
        draw_photo(rng, width, height).save(paths[-1], quality=QUALITY)
    return paths


def listing_titles(count):
    """Sellers' titles of the synthetic catalogue."""
    from fairseq_item.demo.products import product
    from fairseq_item.demo.titles import listing_title

    return [listing_title(product(1, i), Random(f"title/{i}")) for i in range(count)]


def write_catalog(path, titles, photos):
    """Write a catalogue; ``photos`` are paths, taken in turn where there are fewer than titles."""
    with open(path, "w", encoding="utf-8") as out:
        out.write("id\ttitle\timage\n")
        for i, title in enumerate(titles):
            out.write(f"p{i}\t{title}\t{photos[i % len(photos)].name}\n")
    return path


@cache
def dictionary(count):
    """fairseq's ``Dictionary`` of ``count`` tokens, ``<mask>`` the last of them."""
    from fairseq.data import Dictionary

    symbols = Dictionary()
    for number in range(count - len(symbols) - 1):
        symbols.add_symbol(f"w{number}")
    symbols.add_symbol("<mask>")
    return symbols


def write_embeddings(folder, count, products, dim, seed, prefix):
    """A folder of embeddings of ``count`` listings, in clusters as a model gives them.

    The listings are of so many ``products``, which folders share, and these of ``KINDS``.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(products, size=count)
    items = [{"id": f"{prefix}{i}", "title": _title(drawn[i], rng)} for i in range(count)]
    writer = EmbeddingWriter(folder, items, dim, "float16")
    kinds = np.random.default_rng(0).normal(size=(len(EMBEDDINGS), KINDS, dim)).astype(np.float32)
    for start in range(0, count, BLOCK):
        which = drawn[start : start + BLOCK]
        writer.write(start, *(_rows(which, kinds[p], p, rng) for p in range(len(EMBEDDINGS))))
    writer.finish()


def _title(product, rng):
    """Ten words, few of them frequent, and a code: half of the words are the product's own."""
    own = np.random.default_rng(int(product)).random(5)
    ranks = (WORDS ** np.concatenate([own, rng.random(5)])).astype(int)
    return " ".join(f"word{chr(97 + r % 26)}{r}" for r in ranks) + f" ab-{product % 1000}"


def _rows(which, kinds, column, rng):
    name, dim = EMBEDDINGS[column], kinds.shape[1]
    rows = np.empty((len(which), dim), np.float32)
    # A product's own direction comes from its number: nothing is kept of a million of them.
    for number in np.unique(which):
        own = np.random.Generator(np.random.SFC64([int(number), column]))
        rows[which == number] = own.standard_normal(dim, np.float32)
    rows += kinds[which % KINDS] + 1.5 * kinds[0]  # the cone in which all embeddings lie
    rows += NOISE[name] * rng.standard_normal(rows.shape, np.float32)
    rows[rng.random(len(rows)) < ABSENT[name]] = 0
    return rows
