"""The picture as the model sees it: augmented in training, the centre in evaluation."""

import math

import numpy as np
from PIL import Image


def center_crop(picture, size):
    """The middle ``size`` x ``size`` pixels of a square uint8 picture; enlarged if it is smaller.

    Args:
        picture: uint8 array of shape (height, width, 3).
        size: pixels along a side of the result.

    Returns:
        uint8 array of shape (size, size, 3).
    """
    height, width = picture.shape[:2]
    if height < size or width < size:
        return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR))
    top, left = (height - size) // 2, (width - size) // 2
    return picture[top : top + size, left : left + size]


def crop_box(height, width, rng, scale, ratio=(3 / 4, 4 / 3)):
    """A random box of ``scale`` of the area and a log-uniform aspect ratio (Inception's crop).

    Args:
        height, width: pixels of the picture.
        rng: ``numpy.random.Generator``.
        scale: (low, high) share of the area.
        ratio: (low, high) width over height.

    Returns:
        (left, top, right, bottom) in pixels, as floats within the picture.
    """
    area = height * width * rng.uniform(*scale)
    aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
    box_width = min(width, math.sqrt(area * aspect))
    box_height = min(height, math.sqrt(area / aspect))
    left = rng.uniform(0, width - box_width)
    top = rng.uniform(0, height - box_height)
    return left, top, left + box_width, top + box_height


def random_resized_crop(picture, size, rng, scale=(0.6, 1.0), flip=0.5):
    """A random crop brought to ``size`` x ``size`` with antialiasing, mirrored half of the time.

    Args:
        picture: uint8 array of shape (height, width, 3).
        size: pixels along a side of the result.
        rng: ``numpy.random.Generator``.
        scale: (low, high) share of the area that is kept.
        flip: probability of a horizontal flip.

    Returns:
        uint8 array of shape (size, size, 3).
    """
    box = crop_box(*picture.shape[:2], rng, scale)
    image = Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR, box=box)
    result = np.asarray(image)
    return result[:, ::-1] if rng.random() < flip else result
