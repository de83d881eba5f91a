"""Synthetic scenes to stand behind a product: a studio's gradient, a surface, a room."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def draw_scene(size, rng):
    """A scene of (width, height) pixels: PIL image, mode RGB.

    Args:
        size: (width, height).
        rng: a ``random.Random``.
    """
    return rng.choice((gradient, surface, room))(size, rng)


def gradient(size, rng):
    """A backdrop lit from somewhere: one colour, lighter in the middle of the light."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    distance = np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0, 0.7))
    light = 1.1 - rng.uniform(0.3, 0.7) * distance
    return _as_image(light[..., None] * _colour(rng, (0.05, 0.5), (0.45, 0.95)))


def surface(size, rng):
    """A table, a cloth or a floor seen from above: noise in bands, planks or a weave."""
    width, height = size
    noise = np.random.default_rng(rng.getrandbits(64))
    kind = rng.choice(("wood", "cloth", "stone"))
    if kind == "wood":
        colour = np.array(_colour(rng, (0.3, 0.6), (0.35, 0.8), hues=(0.05, 0.1)))
        grain = _smooth_noise(noise, size, (width / 3, height / 60))
        planks = np.arange(height) // max(1, height // rng.randint(3, 6))
        tones = noise.uniform(0.85, 1.1, planks.max() + 1)[planks]
        seams = np.where(np.diff(planks, prepend=0) > 0, 0.6, 1.0)
        light = (1 + 0.25 * grain) * (tones * seams)[:, None]
        if rng.random() < 0.5:
            light = _turned(light, size)
    elif kind == "cloth":
        colour = np.array(_colour(rng, (0.1, 0.6), (0.3, 0.9)))
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        folds = _smooth_noise(noise, size, (width / 4, height / 4))
        light = 1 + 0.15 * folds + 0.06 * np.sin(x * 1.6) * np.sin(y * 1.6)
    else:
        colour = np.array(_colour(rng, (0.0, 0.15), (0.5, 0.9)))
        light = 1 + sum(
            0.6 / n**0.7 * _smooth_noise(noise, size, (width / n, height / n)) for n in (4, 12, 40)
        )
    return _as_image(light[..., None] * colour)


def _turned(light, size):
    image = Image.fromarray(np.ascontiguousarray(light.T.astype(np.float32)))
    return np.asarray(image.resize(size))


def room(size, rng):
    """A wall over a floor, with a skirting board, and a window or a frame, out of focus."""
    width, height = size
    wall = _colour(rng, (0.03, 0.35), (0.6, 0.95))
    floor = _colour(rng, (0.2, 0.55), (0.3, 0.7), hues=(0.04, 0.12))
    image = Image.new("RGB", size, _bytes(wall))
    pen = ImageDraw.Draw(image)
    horizon = round(height * rng.uniform(0.6, 0.8))
    pen.rectangle([0, horizon, width, height], fill=_bytes(floor))
    middle = rng.uniform(0.2, 0.8) * width
    for i in range(-8, 9):  # boards that run towards the horizon
        ends = (middle + i * width / 12, horizon), (middle + i * width / 3, height)
        pen.line(ends, fill=_bytes(0.8 * np.array(floor)), width=max(1, width // 150))
    board = max(2, height // 30)
    pen.rectangle([0, horizon - board, width, horizon], fill=_bytes((0.93, 0.92, 0.9)))
    left, top = rng.uniform(-0.1, 0.8) * width, rng.uniform(0.02, 0.3) * height
    box = [left, top, left + rng.uniform(0.2, 0.4) * width, top + rng.uniform(0.2, 0.35) * height]
    inside = _colour(rng, (0.0, 0.5), (0.5, 1.0))
    edge = _bytes((0.35, 0.25, 0.2)) if rng.random() < 0.5 else _bytes((0.97, 0.97, 0.97))
    pen.rectangle(box, fill=_bytes(inside), outline=edge, width=max(2, width // 40))
    image = image.filter(ImageFilter.GaussianBlur(width * rng.uniform(0.004, 0.015)))
    fall = np.linspace(rng.uniform(0.75, 1), rng.uniform(0.75, 1), width)[None, :, None]
    return _as_image(np.asarray(image) / 255 * fall)


def _smooth_noise(noise, size, reach):
    """Noise within about -1 and 1 that changes over ``reach`` (x, y) pixels: (height, width)."""
    cells = [max(2, round(side / max(1, far))) for side, far in zip(size, reach)]
    values = noise.normal(0, 0.5, cells[::-1]).astype(np.float32)
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)).clip(-1, 1)


def _colour(rng, saturation, value, hues=(0, 1)):
    """A random colour: three floats within 0 and 1."""
    return colorsys.hsv_to_rgb(rng.uniform(*hues), rng.uniform(*saturation), rng.uniform(*value))


def _bytes(colour):
    return tuple(round(255 * channel) for channel in colour)


def _as_image(values):
    """Floats (height, width, 3), black 0 and white 1, as a PIL image."""
    return Image.fromarray(np.rint(255 * values.clip(0, 1)).astype(np.uint8))
