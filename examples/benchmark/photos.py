"""Drawn photos for the benchmarks: soft shapes with a texture, so that JPEG has work to do."""

from pathlib import Path

import numpy as np
from PIL import Image

QUALITY = 88


def draw_photo(rng, width, height):
    """An image, PIL in RGB, whose JPEG is about as large as that of a product photo."""
    blobs = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
    pixels = np.asarray(blobs.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    # A texture of two pixels a grain: single pixels of noise would be all that JPEG stores.
    grain = rng.integers(-14, 15, (height // 2 + 1, width // 2 + 1, 1), np.int16)
    grain = grain.repeat(2, 0).repeat(2, 1)[:height, :width]
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


def write_photos(folder, count, least, most, seed=1):
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
