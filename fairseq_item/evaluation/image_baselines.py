"""Images compared without training: by mean colours, or by a frozen network's features."""

import numpy as np

from fairseq_item.data.originals import pooled_batches
from fairseq_item.errors import InputError
from fairseq_item.evaluation.ranking import directions
from fairseq_item.progress import progress

GRID = 8


def pixels(queries, items):
    """Mean colours as directions: less the index's mean, of length 1.

    Args:
        queries: (q, d) float.
        items: (n, d) float.

    Returns:
        (q, d) and (n, d).
    """
    mean = items.mean(axis=0)
    return directions(queries - mean), directions(items - mean)


def mean_colours(images, count):
    """Mean colours of an 8 x 8 grid over each image.

    Args:
        images: iterable of (H, W, 3) uint8.
        count: how many there are.

    Returns:
        (count, 8 * 8 * 3) float32.
    """
    grids = np.zeros((count, GRID * GRID * 3), np.float32)
    for i, image in enumerate(progress(images, "mean colours", count, "image")):
        edges = np.arange(GRID) * len(image) // GRID
        sums = np.add.reduceat(np.add.reduceat(image.astype(np.float64), edges, 0), edges, 1)
        sizes = np.diff(np.append(edges, len(image)))
        grids[i] = (sums / (sizes[:, None, None] * sizes[None, :, None])).ravel()
    return grids


def pooled_features(network, images, count, batch_size=32):
    """What a frozen network sees in images.

    Args:
        network: ``data.frozen.FrozenNetwork``.
        images: iterable of (H, W, 3) uint8, all of one size.
        count: how many there are.
        batch_size: images computed at once.

    Returns:
        (count, dim) float32, of length 1.
    """
    features = np.zeros((count, network.dim), np.float32)
    images, start = progress(images, network.name, count, "image"), 0
    for rows in pooled_batches(network, images, batch_size):
        features[start : start + len(rows)] = rows
        start += len(rows)
    return directions(features)


def stored_images(path, count):
    """Yield the images of the data-bin that the items file ``path`` lies in.

    Raises:
        InputError: there is no store of ``count`` images.
    """
    from fairseq_item.data.image_store import ImageStore

    store = ImageStore(path.resolve().parent.parent / "image" / path.stem)
    if len(store) != count:
        raise InputError(f"{path} has {count} items, {store.prefix}.bin {len(store)} images")
    return (store.image(i) for i in range(count))
