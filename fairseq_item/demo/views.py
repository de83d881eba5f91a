"""Viewpoints of a product: front, side, back, a detail of it, and staged.

The listings of a product are as a shop's photos of it: one shows the front, each other one
something else. Colours, proportions and prints stay; a back has no emblem.
"""

import numpy as np
from PIL import Image, ImageChops, ImageOps

from fairseq_item.demo.canvas import Canvas
from fairseq_item.demo.scene import blend, warp
from fairseq_item.demo.stage import stage

# How likely the other views are, as shops have them: sides and backs are shown most.
OTHERS = {"side": 3, "back": 3, "detail": 2, "staged": 2}
# How thick products are, in units of the layer's side. What is not named is round.
DEPTHS = {
    "T-Shirts": 0.015, "Hoodies": 0.03, "Dresses": 0.02, "Jeans": 0.02, "Sneakers": 0.09,
    "Boots": 0.09, "Backpacks": 0.16, "Handbags": 0.12, "Smartphones": 0.03, "Headphones": 0.07,
    "Cameras": 0.12, "Keyboards": 0.04, "Speakers": 0.16, "Pans": 0.03, "Watches": 0.04,
    "Sunglasses": 0.02, "Toy Cars": 0.14, "Soft Toys": 0.1,
}  # fmt: skip
ROUND_SPEAKERS = (1, 3)
SUPERSAMPLING = 2


def choose_views(rng, count):
    """The views of ``count`` listings of a product, in random order; the first five all differ."""
    others = sorted(OTHERS, key=lambda view: rng.random() ** (1 / OTHERS[view]), reverse=True)
    views = ["front", *others]
    views = [views[i % len(views)] for i in range(count)]
    rng.shuffle(views)
    return views


def cut_out(item, view, size, rng):
    """A product without background.

    Args:
        item: :class:`fairseq_item.demo.products.Product`.
        view: "front" or one of ``OTHERS``.
        size: side in pixels; a detail is twice as large, as the camera comes near.
        rng: ``random.Random``, for angles and props.

    Returns:
        (image, alpha): the product, black around it, and how much of each pixel is product.
    """
    leaf, depth = item.leaf, _depth(item)
    seen = {"side": "front" if depth else "side", "back": "back"}.get(view, "front")
    canvas = Canvas(size * SUPERSAMPLING, seen)
    leaf.draw(canvas, item.look)
    if view == "staged":
        canvas = stage(canvas, leaf, rng)
    cutout = canvas.cutout(canvas.side if view == "detail" else size)
    if view == "back":
        cutout = _mirror(*cutout)
    elif view == "side" and depth:
        angle = np.radians(rng.uniform(35, 55))
        from_left = rng.random() < 0.5
        cutout = _aslant(*(cutout if from_left else _mirror(*cutout)), depth, angle)
        cutout = cutout if from_left else _mirror(*cutout)
    return cutout


def _mirror(image, alpha):
    return ImageOps.mirror(image), ImageOps.mirror(alpha)


def _depth(item):
    if item.leaf.name == "Speakers" and item.look.shape in ROUND_SPEAKERS:
        return None
    return DEPTHS.get(item.leaf.name)


def _aslant(image, alpha, depth, angle):
    """A product turned to the right: narrower, smaller at the far end, with its left edge."""
    side = image.width
    width, far = np.cos(angle), 1 - 0.16 * np.sin(angle)
    thick = depth * np.sin(angle)
    left = (1 - width + thick) / 2
    near_left = [(left, 0), (left + width, (1 - far) / 2), (left + width, (1 + far) / 2), (left, 1)]
    image, alpha = (warp(part, near_left, side) for part in (image, alpha))
    edge, covered = image.point(lambda value: int(0.55 * value)), alpha
    reach, end = 1, round(thick * side)
    while reach < end:  # twice as thick each time
        step = min(reach, end - reach)
        edge = blend(ImageChops.offset(edge, -step, 0), edge, covered)
        covered = ImageChops.lighter(ImageChops.offset(covered, -step, 0), covered)
        reach += step
    return blend(edge, image, alpha), covered


def nearest_part(alpha, rng):
    """Where a camera aims for a detail: a point with much product around it, in units of the side,
    from the centre."""
    cells = 16
    share = np.asarray(alpha.resize((cells, cells), Image.Resampling.BOX), float)
    around = sum(np.roll(share, (dy, dx), (0, 1)) for dy in range(-2, 3) for dx in range(-2, 3))
    best = np.argwhere(around >= 0.85 * around.max())
    y, x = best[rng.randrange(len(best))]
    return (x + 0.5) / cells - 0.5, (y + 0.5) / cells - 0.5
