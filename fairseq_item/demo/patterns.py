"""Prints and emblems: what can be on a product, told by the image alone."""

import numpy as np
from PIL import Image, ImageDraw

from fairseq_item.demo.canvas import ellipse, mix, smooth


def _stripes(draw, side, colours, step=0.07):
    for i in range(0, int(1 / step) + 1, 2):
        draw.rectangle([0, i * step * side, side, (i + 1) * step * side], fill=colours[1])


def _pinstripes(draw, side, colours):
    for i in range(24):
        x = (i + 0.5) / 24 * side
        draw.line([x, 0, x, side], fill=colours[1], width=max(1, side // 90))


def _broad(draw, side, colours):
    for i, colour in enumerate((colours[1], colours[2])):
        draw.rectangle([0, (0.42 + 0.11 * i) * side, side, (0.53 + 0.11 * i) * side], fill=colour)


def _diagonal(draw, side, colours):
    step = side * 0.12
    for i in range(-9, 10):
        x = i * step
        draw.polygon([(x, 0), (x + step / 2, 0), (x + step / 2 + side, side), (x + side, side)],
                     fill=colours[1])  # fmt: skip


def _dots(draw, side, colours):
    step, radius = side * 0.085, side * 0.022
    for row in range(13):
        for column in range(13):
            x, y = (column + row % 2 / 2) * step, row * step
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colours[1])


def _checks(draw, side, colours):
    step = side * 0.09
    for row in range(12):
        for column in range(row % 2, 12, 2):
            x, y = column * step, row * step
            draw.rectangle([x, y, x + step, y + step], fill=colours[1])


def _plaid(draw, side, colours):
    step = side * 0.17
    wide, thin = side * 0.06, max(1, side // 120)
    both = mix(colours[0], colours[1], 0.55)
    for i in range(7):
        draw.rectangle([0, i * step, side, i * step + wide], fill=both)
    for i in range(7):
        x = i * step
        draw.rectangle([x, 0, x + wide, side], fill=both)
        for k in range(7):
            draw.rectangle([x, k * step, x + wide, k * step + wide], fill=colours[1])
        draw.line([x + 1.6 * wide, 0, x + 1.6 * wide, side], fill=colours[2], width=thin)
        draw.line([0, x + 1.6 * wide, side, x + 1.6 * wide], fill=colours[2], width=thin)


def _zigzag(draw, side, colours):
    for row in range(9):
        y = (row + 0.3) * side / 8
        points = [(i * side / 16, y + (i % 2) * side / 20) for i in range(17)]
        draw.line(points, fill=colours[1 + row % 2], width=max(1, side // 45), joint="curve")


def _leaves(draw, side, colours):
    step = side * 0.13
    for row in range(9):
        for column in range(9):
            x, y = (column + row % 2 / 2) * step, row * step
            turn = (row * 7 + column * 5) % 8 * 45
            for k in range(5):
                angle = np.radians(turn + 72 * k)
                cx, cy = x + np.cos(angle) * step * 0.17, y + np.sin(angle) * step * 0.17
                r = step * 0.14
                draw.ellipse([cx - r, cy - r, cx + r, cy + r], fill=colours[1])
            r = step * 0.1
            draw.ellipse([x - r, y - r, x + r, y + r], fill=colours[2])


def _camouflage(draw, side, colours):
    shades = (mix(colours[0], (0, 0, 0), 0.45), mix(colours[0], (235, 225, 190), 0.45), colours[1])
    rng = np.random.default_rng(3)  # one cloth, many cuts
    for i in range(60):
        x, y = rng.uniform(0, side, 2)
        for _ in range(4):
            dx, dy = rng.uniform(-0.05, 0.05, 2) * side
            rx, ry = rng.uniform(0.02, 0.06, 2) * side
            x, y = x + dx, y + dy
            draw.ellipse([x - rx, y - ry, x + rx, y + ry], fill=shades[i % 3])


def _two_tone(draw, side, colours):
    draw.rectangle([0, side * 0.55, side, side], fill=colours[1])


def _half(draw, side, colours):
    draw.rectangle([side * 0.5, 0, side, side], fill=colours[1])


PATTERNS = {
    "stripes": _stripes,
    "pinstripes": _pinstripes,
    "broad": _broad,
    "diagonal": _diagonal,
    "dots": _dots,
    "checks": _checks,
    "plaid": _plaid,
    "zigzag": _zigzag,
    "leaves": _leaves,
    "camouflage": _camouflage,
    "two-tone": _two_tone,
    "half": _half,
}


def print_on(side, pattern, colours):
    """The material of a product: its colour if plain, or an image of ``side`` pixels.

    Args:
        side: side of the layer it will be seen through.
        pattern: one of ``PATTERNS``, or "plain".
        colours: three colours, the ground first.
    """
    if pattern == "plain":
        return colours[0]
    image = Image.new("RGB", (side, side), colours[0])
    PATTERNS[pattern](ImageDraw.Draw(image), side, colours)
    return image


def _turned(points, x, y, r):
    return np.asarray(points) * r + (x, y)


def _ring(count, inner=1.0, turn=-90.0):
    """Corners of a star of ``count`` rays, or of a polygon where ``inner`` is 1."""
    total = 2 * count if inner != 1 else count
    angles = np.radians(turn + 360 / total * np.arange(total))
    radius = np.where(np.arange(total) % 2, inner, 1.0)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)


HEART = smooth([(0, -0.35, 0), (0.45, -0.8), (0.95, -0.35), (0.5, 0.35), (0, 0.9, 0),
                (-0.5, 0.35), (-0.95, -0.35), (-0.45, -0.8)])  # fmt: skip
BOLT = [(0.2, -1), (-0.6, 0.15), (-0.05, 0.15), (-0.25, 1), (0.6, -0.25), (0.05, -0.25)]
LEAF = smooth([(0, -1, 0), (0.6, -0.2), (0.35, 0.6), (0, 1, 0), (-0.35, 0.6), (-0.6, -0.2)])
WAVE = smooth([(-1, 0.2, 0), (-0.5, -0.45), (0.1, 0.05), (1, -0.6, 0), (0.5, 0.35), (-0.1, 0.3),
               (-0.5, -0.05)])  # fmt: skip
ARROW = [(-1, -0.3), (0.1, -0.3), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.3), (-1, 0.3)]
CROSS = [(-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3), (0.3, 1), (-0.3, 1),
         (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3)]  # fmt: skip

EMBLEMS = {
    "star": _ring(5, 0.42),
    "sun": _ring(10, 0.6),
    "hexagon": _ring(6),
    "triangle": _ring(3),
    "diamond": _ring(4),
    "heart": HEART,
    "bolt": BOLT,
    "leaf": LEAF,
    "wave": WAVE,
    "arrow": ARROW,
    "cross": CROSS,
    "ring": None,
    "moon": None,
    "bars": None,
}


def emblem(canvas, name, x, y, radius, colour, ground):
    """Draw one of ``EMBLEMS`` around (x, y), turned away in a side view; nothing for "none", and
    nothing on a back.

    Args:
        colour: of the emblem.
        ground: of what it is on, seen through its openings.
    """
    if name == "none" or canvas.view == "back":
        return
    if canvas.view == "side":
        x, radius = x + radius, 0.8 * radius
    flat = {"shade": None, "edge": 0.15}
    if name == "ring":
        canvas.part(ellipse(x, y, radius, radius), colour, **flat)
        canvas.part(ellipse(x, y, radius * 0.6, radius * 0.6), ground, **flat)
        canvas.part(ellipse(x, y, radius * 0.25, radius * 0.25), colour, **flat)
    elif name == "moon":
        canvas.part(ellipse(x, y, radius, radius), colour, **flat)
        canvas.part(ellipse(x + radius * 0.4, y - radius * 0.2, radius * 0.8, radius * 0.8), ground,
                    shade=None, edge=0)  # fmt: skip
    elif name == "bars":
        for i, height in enumerate((0.5, 0.8, 1.0)):
            left = x + (i - 1.4) * radius * 0.65
            points = [(left, y + radius * 0.8), (left + radius * 0.4, y + radius * 0.8),
                      (left + radius * 0.75, y + radius * (0.8 - 1.6 * height)),
                      (left + radius * 0.35, y + radius * (0.8 - 1.6 * height))]  # fmt: skip
            canvas.part(points, colour, **flat)
    else:
        canvas.part(_turned(EMBLEMS[name], x, y, radius), colour, **flat)
