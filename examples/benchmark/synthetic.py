"""Synthetic data of the benchmarks: photos, titles, catalogues, a vocabulary."""

from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

QUALITY = 88  # of JPEGs


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
