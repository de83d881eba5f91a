"""The image as the model sees it: augmented in training, the centre in evaluation.

Each way of cropping comes twice: for an image in memory, and for one in a store, of which only
the rows that the crop looks at are read.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

FLIP = Image.Transpose.FLIP_LEFT_RIGHT


def center_crop(image, size):
    """The middle ``size`` x ``size`` pixels of a square uint8 image; enlarged if it is smaller.

    Args:
        image: uint8 array of shape (height, width, 3).
        size: pixels along a side of the result.

    Returns:
        uint8 array of shape (size, size, 3).
    """
    height, width = image.shape[:2]
    if height < size or width < size:
        return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    top, left = (height - size) // 2, (width - size) // 2
    return image[top : top + size, left : left + size]


def stored_center_crop(store, i, size):
    """:func:`center_crop` of image ``i`` of a store (``side(i)``, ``rows(i, top, bottom)``)."""
    side = store.side(i)
    if side < size:
        return center_crop(store.rows(i, 0, side), size)
    start = (side - size) // 2
    return store.rows(i, start, start + size)[:, start : start + size]


def crop_box(height, width, rng, scale, ratio=(3 / 4, 4 / 3)):
    """A random box of ``scale`` of the area and a log-uniform aspect ratio (Inception's crop).

    Args:
        height, width: pixels of the image.
        rng: ``numpy.random.Generator``.
        scale: (low, high) share of the area.
        ratio: (low, high) width over height.

    Returns:
        (left, top, right, bottom) in pixels, as floats within the image.
    """
    area = height * width * rng.uniform(*scale)
    aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
    box_width = min(width, math.sqrt(area * aspect))
    box_height = min(height, math.sqrt(area / aspect))
    left = rng.uniform(0, width - box_width)
    top = rng.uniform(0, height - box_height)
    return left, top, left + box_width, top + box_height


@dataclass(frozen=True)
class Crop:
    """A box of an image, brought to a square with antialiasing and perhaps mirrored.

    Attributes:
        box: (left, top, right, bottom) in pixels, floats.
        size: pixels along a side of the result.
        mirrored: whether left and right change places.
    """

    box: tuple
    size: int
    mirrored: bool

    @classmethod
    def draw(cls, height, width, size, rng, scale, flip):
        """A random crop of an image; see :func:`random_resized_crop`."""
        box = crop_box(height, width, rng, scale)
        return cls(box, size, bool(rng.random() < flip))

    def rows(self, height):
        """(top, bottom): the rows of an image of ``height`` that the result depends on."""
        _, top, _, bottom = self.box
        # The triangle that weighs the pixels reaches one pixel far, further where it shrinks.
        reach = math.ceil(max(1.0, (bottom - top) / self.size)) + 1
        return max(0, math.floor(top) - reach), min(height, math.ceil(bottom) + reach)

    def apply(self, rows, above=0):
        """The cropped image.

        Args:
            rows: uint8 (h, width, 3): at least those of :meth:`rows`.
            above: rows of the image above them that were left out.

        Returns:
            uint8 array of shape (size, size, 3).
        """
        left, top, right, bottom = self.box
        if above:
            # Pillow takes a box in single precision: rounded before they are shifted, its sides
            # lie just where they do in the whole image, and so the pixels are the same.
            top, bottom = (float(np.float32(side)) - above for side in (top, bottom))
        image = Image.fromarray(rows).resize(
            (self.size, self.size), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
        )
        # Mirrored by Pillow: in an array it would cost five times as much to go backwards.
        return np.asarray(image.transpose(FLIP) if self.mirrored else image)


def random_resized_crop(image, size, rng, scale=(0.6, 1.0), flip=0.5):
    """A random crop brought to ``size`` x ``size`` with antialiasing, mirrored half of the time.

    Args:
        image: uint8 array of shape (height, width, 3).
        size: pixels along a side of the result.
        rng: ``numpy.random.Generator``.
        scale: (low, high) share of the area that is kept.
        flip: probability of a horizontal flip.

    Returns:
        uint8 array of shape (size, size, 3).
    """
    return Crop.draw(*image.shape[:2], size, rng, scale, flip).apply(image)


def stored_random_crop(store, i, size, rng, scale=(0.6, 1.0), flip=0.5):
    """:func:`random_resized_crop` of image ``i`` of a store (``side(i)``, ``rows(...)``)."""
    side = store.side(i)
    crop = Crop.draw(side, side, size, rng, scale, flip)
    top, bottom = crop.rows(side)
    return crop.apply(store.rows(i, top, bottom), top)
