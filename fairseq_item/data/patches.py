"""The geometry of patches: a picture as a sequence, and back.

Patches go row by row, left to right; within a patch pixels do the same, channels last.
"""

import math


def patchify(picture, patch_size):
    """Cut a picture into patches.

    Args:
        picture: array of shape (H, W, C), both sides multiples of ``patch_size``.
        patch_size: side p of a patch in pixels.

    Returns:
        array of shape (H/p * W/p, p * p * C), same dtype.

    Raises:
        ValueError: a side is not a multiple of ``patch_size``.
    """
    height, width, channels = picture.shape
    p = patch_size
    if height % p or width % p:
        raise ValueError(f"a picture of {height} x {width} cannot be cut into {p} x {p} patches")
    grid = picture.reshape(height // p, p, width // p, p, channels).transpose(0, 2, 1, 3, 4)
    return grid.reshape(-1, p * p * channels)


def unpatchify(patches, patch_size, image_size=None):
    """Put patches together again: the inverse of ``patchify``.

    Args:
        patches: array of shape (m, p * p * C).
        patch_size: side p of a patch in pixels.
        image_size: (H, W) or the side of a square; without it the picture is a square.

    Returns:
        array of shape (H, W, C), same dtype.

    Raises:
        ValueError: the patches do not make up a picture of that size.
    """
    count, length = patches.shape
    p = patch_size
    if image_size is None:
        image_size = math.isqrt(count) * p
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    rows, columns = height // p, width // p
    if rows * columns != count or (height, width) != (rows * p, columns * p) or length % (p * p):
        raise ValueError(
            f"{count} patches of {length} values do not make up a picture of "
            f"{height} x {width} in patches of {p} x {p}"
        )
    grid = patches.reshape(rows, columns, p, p, -1).transpose(0, 2, 1, 3, 4)
    return grid.reshape(height, width, -1)
