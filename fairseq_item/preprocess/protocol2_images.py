"""Changing an image by relisting protocol 2, as another photographer and another shop would.

In order: what is before the camera (perspective, scene, hand), the camera (white balance, blur),
and what the shop does with the file (watermark, banner, sticker, low resolution, JPEG).
"""

import io
import random

import numpy as np
from PIL import Image, ImageFilter

from fairseq_item.preprocess.protocol2_overlays import (
    add_banner,
    add_hand,
    add_sticker,
    add_watermark,
)
from fairseq_item.preprocess.protocol2_scenes import draw_scene
from fairseq_item.preprocess.relisting_images import background_mask, border_colour

# How the background is told from the product: finer than protocol 1 does, for the edge is seen.
MASK = {"side": 256, "reach": 14, "edge": 90}
# A mask that leaves less of the image than this as the product has eaten into it (a white shirt on
# white), and one that takes less than this is no background.
MIN_PRODUCT = 0.1
MIN_BACKGROUND = 0.1


def alter_image(image, strengths, rng):
    """The image as a second seller might show it: the bytes of a JPEG without metadata.

    Args:
        image: PIL image, mode RGB.
        strengths: :class:`fairseq_item.preprocess.protocol2.Strengths`.
        rng: a ``random.Random``.

    Returns:
        bytes: the JPEG.
    """
    for operation in OPERATIONS:
        # Each draws from numbers of its own, so that none shifts those of another.
        image = operation(image, strengths, random.Random(rng.getrandbits(64)))
    quality = rng.randint(*strengths.jpeg_quality)
    data = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(data, "JPEG", quality=quality)
    return data.getvalue()


def change_view(image, strengths, rng):
    """Perspective, and another scene where the background is plain."""
    border, plain = border_colour(image)
    mask = plain_mask(image, border) if plain and rng.random() < strengths.scene else None
    if rng.random() < strengths.perspective:
        quad = random_quad(image.size, strengths.perspective_shift, plain, rng)
        image = warp(image, quad, border)
        mask = mask and warp(mask, quad, 255)
    return image if mask is None else put_into(image, mask, border, draw_scene(image.size, rng))


def plain_mask(image, border):
    """Where the background is, a PIL image of mode L; None if the product looks alike."""
    mask = background_mask(image, border, **MASK)
    if not MIN_BACKGROUND < mask.mean() < 1 - MIN_PRODUCT:
        return None
    return Image.fromarray(np.rint(255 * mask).astype(np.uint8))


def put_into(image, mask, border, scene):
    """A product in another scene; the shadows that it cast on the old background stay."""
    pixels = np.asarray(image, np.float32)
    # The rim of the old background goes with it; crumbs of it go too.
    mask = mask.filter(ImageFilter.MaxFilter(3)).filter(ImageFilter.MedianFilter(5))
    mask = np.asarray(mask.filter(ImageFilter.GaussianBlur(0.7)), np.float32)[..., None] / 255
    light = (pixels.mean(2) / max(1.0, float(np.mean(border))))[..., None].clip(0.6, 1)
    pixels = pixels + mask * (np.asarray(scene, np.float32) * light - pixels)
    return Image.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8))


def random_quad(size, shift, plain, rng):
    """Four corners (top left, top right, bottom right, bottom left) that the result shows.

    On a plain background they may lie outside of the image; else all are within it.
    """
    width, height = size
    low, high = (-shift / 2, shift / 2) if plain else (0, shift)
    inward = [(rng.uniform(low, high) * width, rng.uniform(low, high) * height) for _ in range(4)]
    corners = ((0, 0), (width, 0), (width, height), (0, height))
    signs = ((1, 1), (-1, 1), (-1, -1), (1, -1))
    return [
        (x + sx * dx, y + sy * dy) for (x, y), (sx, sy), (dx, dy) in zip(corners, signs, inward)
    ]


def warp(image, quad, fill):
    """``image`` seen in perspective: the corners of ``quad`` become those of the result."""
    width, height = image.size
    equations, values = [], []
    for (x, y), (u, v) in zip(((0, 0), (width, 0), (width, height), (0, height)), quad):
        equations.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        equations.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        values += [u, v]
    coefficients = np.linalg.solve(np.array(equations, np.float64), np.array(values, np.float64))
    return image.transform(
        image.size,
        Image.Transform.PERSPECTIVE,
        coefficients.tolist(),
        Image.Resampling.BICUBIC,
        fillcolor=fill,
    )


def hold(image, strengths, rng):
    """Fingers over the edge."""
    if rng.random() >= strengths.hand:
        return image
    return add_hand(image, rng.uniform(*strengths.hand_size) * min(image.size), rng)


def balance_white(image, strengths, rng):
    """The light of another lamp: warmer (more red, less blue) or colder."""
    if rng.random() >= strengths.white_balance:
        return image
    gain = rng.uniform(*strengths.white_balance_gain)
    if rng.random() < 0.4:
        gain = 1 / gain
    gains = np.array([gain, 1, 1 / gain])
    pixels = np.asarray(image) * (gains / gains.max() ** 0.5)
    return Image.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8))


def blur(image, strengths, rng):
    """Out of focus."""
    if rng.random() >= strengths.blur:
        return image
    radius = rng.uniform(*strengths.blur_radius) * min(image.size)
    return image.filter(ImageFilter.GaussianBlur(radius))


def mark(image, strengths, rng):
    """What a shop writes over its images."""
    if rng.random() < strengths.watermark:
        image = add_watermark(image, rng.uniform(*strengths.watermark_opacity), rng)
    if rng.random() < strengths.banner:
        image = add_banner(image, rng)
    if rng.random() < strengths.sticker:
        size = round(rng.uniform(*strengths.sticker_size) * min(image.size))
        image = add_sticker(image, max(4, size), rng)
    return image


def reduce(image, strengths, rng):
    """A small copy, enlarged again."""
    if rng.random() >= strengths.low_resolution:
        return image
    scale = rng.uniform(*strengths.low_resolution_scale)
    small = [max(1, round(scale * side)) for side in image.size]
    return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR)


OPERATIONS = (change_view, hold, balance_white, blur, mark, reduce)
