"""Changing an image the way a second seller's photo of the same product might differ."""

import colorsys
import io

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

# A background is plain when nine tenths of the border are this close to its median colour, in
# 0..255 of the channel that differs most.
PLAIN_TOLERANCE = 24
PLAIN_PART = 0.9
# Background is what lies this close to the colour and is connected to the border: little, so that
# a white shirt on white keeps its colour. One pixel on, the edge may differ more.
REACH_TOLERANCE = 8
EDGE_TOLERANCE = 48
# The background is sought on a small copy: the cost is bounded, and the mask's edge is soft.
MASK_SIDE = 128


def change_image(image, strengths, rng):
    """The image as a second seller might show it: the bytes of a JPEG without metadata.

    In order: background tint, flip, rotation, crop, light and colour, JPEG.

    Args:
        image: PIL image, mode RGB.
        strengths: see :class:`fairseq_item.preprocess.relist.Strengths`.
        rng: a ``random.Random``.

    Returns:
        bytes: the JPEG.
    """
    # All is drawn first and in one order, so that no change shifts the numbers of another.
    tinted, tint = rng.random() < strengths.tint, random_tint(rng)
    flip = rng.random() < strengths.flip
    angle = rng.uniform(-strengths.rotate, strengths.rotate)
    area, aspect = rng.uniform(*strengths.crop_area), rng.uniform(0.9, 1 / 0.9)
    left, top = rng.random(), rng.random()
    light = [rng.uniform(1 - strengths.light, 1 + strengths.light) for _ in range(3)]
    quality = rng.randint(*strengths.jpeg_quality)

    border, plain = border_colour(image)
    if tinted and plain:
        image = tint_background(image, border, tint)
        border = tint
    if flip:
        image = ImageOps.mirror(image)
    image = image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=border)
    image = random_crop(image, area, aspect, left, top)
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for enhancer, factor in zip(enhancers, light):
        image = enhancer(image).enhance(factor)
    data = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(data, "JPEG", quality=quality)
    return data.getvalue()


def random_tint(rng):
    """A colour that a backdrop may have, rather light and rather pale: (r, g, b) in 0..255."""
    hue, saturation, value = rng.random(), rng.uniform(0.05, 0.35), rng.uniform(0.7, 1.0)
    return tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue, saturation, value))


def border_colour(image):
    """The median colour of an image's border, and whether the border is plain.

    Returns:
        tuple: (r, g, b) in 0..255, and a bool.
    """
    pixels = np.asarray(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.int16)
    colour = np.median(border, axis=0)
    near = np.abs(border - colour).max(axis=1) <= PLAIN_TOLERANCE
    return tuple(int(c) for c in colour), bool(near.mean() >= PLAIN_PART)


def tint_background(image, border, tint):
    """Recolour what is connected to the border and of its colour; shadows on it are kept."""
    mask = background_mask(image, border)
    shift = np.asarray(tint, np.float32) - np.asarray(border, np.float32)
    pixels = np.asarray(image) + mask[..., None] * shift
    return Image.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8))


def background_mask(image, border, side=MASK_SIDE, reach=REACH_TOLERANCE, edge=EDGE_TOLERANCE):
    """How much each pixel belongs to a plain background, float32 in 0..1, (height, width).

    Args:
        image: PIL image, mode RGB.
        border: colour of the background, in 0..255.
        side, reach, edge: in place of ``MASK_SIDE``, ``REACH_TOLERANCE`` and ``EDGE_TOLERANCE``.
    """
    small = image.copy()
    small.thumbnail((side, side))
    distance = np.abs(np.asarray(small, np.int16) - np.asarray(border, np.int16)).max(axis=2)
    reached = reach_from_border(distance <= reach)
    reached = grow(reached) & (distance <= edge)
    mask = Image.fromarray(reached.astype(np.uint8) * 255)
    mask = mask.resize(image.size, Image.Resampling.BILINEAR)
    return np.asarray(mask, np.float32) / 255


def reach_from_border(open_):
    """The part of a boolean map that can be reached from its border, step by step."""
    reached = np.zeros_like(open_)
    for side in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        reached[side] = open_[side]
    count = -1
    while count != (count := np.count_nonzero(reached)):
        reached = grow(reached) & open_
    return reached


def grow(area):
    """A boolean map with the four neighbours of every pixel that is set."""
    grown = area.copy()
    grown[1:] |= area[:-1]
    grown[:-1] |= area[1:]
    grown[:, 1:] |= area[:, :-1]
    grown[:, :-1] |= area[:, 1:]
    return grown


def random_crop(image, area, aspect, left, top):
    """Keep ``area`` of the image, at an aspect ratio changed by ``aspect``.

    Args:
        left, top: where the crop lies in the room that it has, 0 to 1.
    """
    aspect = min(max(aspect, area), 1 / area)  # as far as the image goes
    width = max(1, round(image.width * (area * aspect) ** 0.5))
    height = max(1, round(image.height * (area / aspect) ** 0.5))
    x = round(left * (image.width - width))
    y = round(top * (image.height - height))
    return image.crop((x, y, x + width, y + height))
