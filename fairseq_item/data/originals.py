"""Original images, read from their own files for a pretrained network."""

from itertools import islice

import numpy as np

from fairseq_item.data.images import ImageError, decode_image, fit_square
from fairseq_item.errors import InputError
from fairseq_item.parallel import map_in_threads


def original_images(path, names, root, side, first=0, threads=1):
    """Yield images from their own files, brought to ``side`` x ``side`` pixels.

    Args:
        path: items file that names them, for errors.
        names: list of their names below the root.
        root: ``ImageRoot``.
        side: in pixels.
        first: how many of ``names`` are passed over.
        threads: how many decode side by side, ahead of what is taken.

    Yields:
        (side, side, 3) uint8, in the order of ``names``.

    Raises:
        InputError: a file is missing or damaged.
    """

    def read(i):
        try:
            image = decode_image(root.read(names[i]), target=side)
        except (KeyError, ImageError) as error:
            raise InputError(
                f"{path} row {i + 2}: the image {names[i]!r} in {root.path} is {error.args[0]}; "
                "name the right --image-root"
            ) from None
        return np.asarray(fit_square(image, side))

    return map_in_threads(read, range(first, len(names)), threads)


def pooled_batches(network, images, batch_size):
    """Yield the pooled features of images, (b, dim) float32 arrays, a batch at a time.

    Args:
        network: ``data.frozen.FrozenNetwork``.
        images: iterable of (H, W, 3) uint8, all of one size.
        batch_size: images computed at once.
    """
    images = iter(images)
    while batch := list(islice(images, batch_size)):
        yield network.pooled(np.stack(batch)).cpu().numpy()
