"""Vector drawing for the demo catalogue: shaded parts with smooth outlines, on one layer.

Coordinates are in the unit square, x to the right and y down. Edges are hard on the layer; it is
drawn larger than it is shown, and made smooth when it is brought to size.
"""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw


def smooth(points, closed=True, steps=7):
    """A curve through ``points``: (x, y), or (x, y, 0) where it has a corner.

    Returns:
        array of shape (n, 2).
    """
    positions = np.array([point[:2] for point in points], float)
    corner = np.array([len(point) == 3 for point in points])
    after, before = np.roll(positions, -1, 0), np.roll(positions, 1, 0)
    tangents = np.where(corner[:, None], 0, (after - before) / 2)
    ends = np.roll(tangents, -1, 0)
    if not closed:
        positions, after, ends = positions[:-1], after[:-1], ends[:-1]
        tangents[0] = 0
        ends[-1] = 0
        tangents = tangents[:-1]
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * positions
        + (t**3 - 2 * t**2 + t) * tangents
        + (3 * t**2 - 2 * t**3) * after
        + (t**3 - t**2) * ends
    )
    curve = curve.transpose(1, 0, 2).reshape(-1, 2)
    return curve if closed else np.vstack([curve, [points[-1][:2]]])


def mirrored(*right):
    """Outline of a symmetric shape from its right half, top to bottom; the axis is x = 0.5."""
    left = [(1 - point[0], *point[1:]) for point in reversed(right) if point[0] != 0.5]
    return smooth([*right, *left])


def ellipse(x, y, rx, ry, start=0.0, end=360.0):
    """Outline of an ellipse, or of its arc between two angles in degrees (0 right, 90 down)."""
    angles = np.radians(np.linspace(start, end, 40))
    return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], axis=1)


def box(left, top, right, bottom, radius=0.0):
    """Outline of a rectangle with round corners."""
    if not radius:
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    radius = min(radius, (right - left) / 2, (bottom - top) / 2)
    corners = [
        (right - radius, top + radius, -90),
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
    ]
    angles = np.linspace(0, 90, 8)
    arcs = []
    for x, y, start in corners:
        turn = np.radians(angles + start)
        arcs.append(np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1))
    return np.concatenate(arcs)


def band(points, width):
    """Outline of a ribbon ``width`` wide along an open curve."""
    points = np.asarray(points, float)
    along = np.gradient(points, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
    normal *= width / 2 / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    return np.concatenate([points + normal, (points - normal)[::-1]])


def mix(colour, other, share):
    """``colour`` with a ``share`` of ``other`` in it."""
    return tuple(round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))


def darker(colour, share=0.3):
    return mix(colour, (0, 0, 0), share)


def lighter(colour, share=0.3):
    return mix(colour, (255, 255, 255), share)


def bright(colour):
    """Perceived lightness of a colour, 0 to 1."""
    return (0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]) / 255


# Light falls from the upper left. Each gives lightness from -1 to 1 over the unit square.
SHADES = {
    "flat": lambda x, y: 0.25 - 0.4 * (0.4 * x + 0.6 * y),
    "round": lambda x, y: 0.75 * np.exp(-(((x - 0.28) / 0.14) ** 2)) - 1.1 * np.abs(x - 0.4) ** 1.6,
    "tube": lambda x, y: 0.7 * np.exp(-(((y - 0.25) / 0.16) ** 2)) - 1.1 * np.abs(y - 0.38) ** 1.6,
    "ball": lambda x, y: (
        0.8 * np.exp(-((x - 0.33) ** 2 + (y - 0.28) ** 2) / 0.04)
        - 1.3 * ((x - 0.42) ** 2 + (y - 0.4) ** 2)
    ),
    "metal": lambda x, y: 0.45 * np.sin(9 * x + 0.6) * np.exp(-x) - 0.7 * np.abs(x - 0.45) ** 2,
    "gloss": lambda x, y: np.where(x + 0.55 * y < 0.55, 0.35 - 0.3 * y, -0.05 - 0.2 * y),
    "cloth": lambda x, y: (
        0.07 * np.sin(9 * x + 5 * np.sin(3 * y)) * (0.3 + y)
        + 0.06 * np.sin(23 * x - 8 * y + 3 * np.sin(5 * y))
        - 0.6 * np.abs(x - 0.45) ** 1.8
        - 0.05
    ),
    "cloth2": lambda x, y: (
        0.07 * np.sin(7 * x + 6 * y + 1) * (0.4 + 0.6 * y)
        + 0.06 * np.sin(19 * x * (0.5 + y) + 4 * np.sin(4 * x))
        - 0.6 * np.abs(x - 0.45) ** 1.8
        - 0.05
    ),
    "worn": lambda x, y: (
        0.28 * np.exp(-(((x - 0.5) / 0.2) ** 2) - ((y - 0.5) / 0.28) ** 2)
        + 0.05 * np.sin(31 * y + 4 * np.sin(9 * x))
        - 0.5 * np.abs(x - 0.5) ** 1.6
    ),
}


@lru_cache(maxsize=256)
def _shade(kind, strength):
    """A shade as two small images: what to multiply with, and what to add as light."""
    y, x = np.mgrid[0:48, 0:48] / 47.0
    light = np.clip(SHADES[kind](x, y) * strength, -1, 1)
    dark = Image.fromarray((255 * (1 + np.minimum(light, 0))).astype(np.uint8))
    glow = Image.fromarray((255 * np.maximum(light, 0)).astype(np.uint8))
    return Image.merge("RGB", [dark] * 3), Image.merge("RGB", [glow] * 3)


class Canvas:
    """A square layer on which a product is put together from parts.

    Args:
        side: side of the layer in pixels.
        view: "front", "back" or, for round products, "side": what a drawing shows of them.

    Attributes:
        image: RGB image, black where nothing was drawn.
        alpha: L image, 255 where something was.
    """

    def __init__(self, side, view="front"):
        self.side, self.view = side, view
        self.image = Image.new("RGB", (side, side))
        self.alpha = Image.new("L", (side, side))
        self._draw = ImageDraw.Draw(self.image)
        self._draw_alpha = ImageDraw.Draw(self.alpha)

    def part(self, outline, fill, shade="flat", strength=1.0, edge=0.35):
        """Draw a filled shape.

        Args:
            outline: array of shape (n, 2).
            fill: colour, or an image as large as the layer that shows through the shape.
            shade: one of ``SHADES``, spread over the shape's extent, or None.
            strength: how strong the shade is.
            edge: how much darker a thin line around the shape is; 0 draws none.
        """
        pixels = np.asarray(outline) * self.side
        left, top = np.clip(np.floor(pixels.min(0)), 0, self.side).astype(int)
        right, bottom = np.clip(np.ceil(pixels.max(0)) + 1, 0, self.side).astype(int)
        if right <= left or bottom <= top:
            return
        size = (int(right - left), int(bottom - top))
        points = [tuple(point) for point in (pixels - (left, top)).tolist()]
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).polygon(points, fill=255)
        if isinstance(fill, Image.Image):
            area = fill.crop((left, top, right, bottom))
        else:
            area = Image.new("RGB", size, fill)
        if shade:
            dark, glow = _shade(shade, strength)
            resample = Image.Resampling.BILINEAR
            area = ImageChops.multiply(area, dark.resize(size, resample))
            area = ImageChops.screen(area, glow.resize(size, resample))
        if edge:
            average = (
                fill.resize((1, 1)).getpixel((0, 0)) if isinstance(fill, Image.Image) else fill
            )
            width = max(1, round(self.side * 0.005))
            line = ImageDraw.Draw(area)
            line.line([*points, points[0]], fill=darker(average, edge), width=width, joint="curve")
        self.image.paste(area, (int(left), int(top)), mask)
        self.alpha.paste(255, (int(left), int(top)), mask)

    def line(self, points, colour, width=0.006):
        """Draw an open line, ``width`` in units of the layer's side."""
        pixels = [tuple(point) for point in (np.asarray(points) * self.side).tolist()]
        width = max(1, round(width * self.side))
        self._draw.line(pixels, fill=colour, width=width, joint="curve")
        self._draw_alpha.line(pixels, fill=255, width=width, joint="curve")

    def stitches(self, points, colour, dash=2):
        """Draw a seam: a broken thin line along a curve."""
        points = np.asarray(points)
        for start in range(0, len(points) - 1, 2 * dash):
            self.line(points[start : start + dash + 1], colour, 0.004)

    def stamp(self, image, alpha, left, top, right):
        """Draw a cutout into a square; ``left``, ``top`` and ``right`` in units of the side."""
        side = round((right - left) * self.side)
        image, alpha = (part.resize((side, side)) for part in (image, alpha))
        # Hard edges, as of all that is on a layer.
        alpha = alpha.point(lambda value: 255 * (value > 127))
        position = (round(left * self.side), round(top * self.side))
        self.image.paste(image, position, alpha)
        self.alpha.paste(255, position, alpha)

    def cutout(self, size):
        """The layer brought to ``size`` pixels: image, multiplied by its alpha, and alpha."""
        smaller = (size, size)
        box = Image.Resampling.BOX
        return self.image.resize(smaller, box), self.alpha.resize(smaller, box)
