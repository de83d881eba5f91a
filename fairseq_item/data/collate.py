"""From samples to batches: NumPy over a whole batch, and images that are written only once."""

import math

import numpy as np
import torch
from torch.utils.data import get_worker_info


class ImageBuffer:
    """Memory for the images of a batch, side by side, so that collating need not copy them.

    In a loader's worker it is shared memory, from which the batch goes to the training process
    without a copy either.

    Args:
        count: products.
        shape: (m, p*p*3) of a product's patches.
    """

    def __init__(self, count, shape):
        self.shape = (count, *shape)
        self._tensors = {}

    def whole(self, key):
        """The images ``key`` of all products, uint8 (count, m, p*p*3); made when first asked."""
        if key not in self._tensors:
            self._tensors[key] = _empty_bytes(self.shape)
        return self._tensors[key]

    def row(self, key, row):
        """Where the image ``key`` of one product goes, uint8 (m, p*p*3)."""
        return self.whole(key)[row]


def _empty_bytes(shape):
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    # As torch's own default_collate does it.
    storage = torch.UntypedStorage._new_shared(math.prod(shape))
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)


class Samples(list):
    """Samples whose images lie in one :class:`ImageBuffer`, in the same order.

    Attributes:
        buffer: the :class:`ImageBuffer`.
    """

    def __init__(self, samples, buffer):
        super().__init__(samples)
        self.buffer = buffer


def stack_images(samples, key):
    """The images ``key`` of a list of samples: uint8 (B, m, p*p*3), copied only if they must."""
    if isinstance(samples, Samples):
        return samples.buffer.whole(key)
    return torch.stack([sample[key] for sample in samples])


def collate_titles(titles, cls, sep, pad):
    """[CLS] tokens [SEP] of each title, padded to the longest: int64 (B, T)."""
    lengths = np.array([len(title) for title in titles])
    rows = np.full((len(titles), lengths.max() + 2), pad, np.int64)
    rows[:, 0] = cls
    rows[:, 1:][np.arange(rows.shape[1] - 1) < lengths[:, None]] = np.concatenate(titles)
    rows[np.arange(len(titles)), lengths + 1] = sep
    return torch.from_numpy(rows)


def flat_positions(positions, stride, shift):
    """Positions within each product as positions in the batch's flat sequence.

    Args:
        positions: list of int64 arrays, one a product.
        stride: positions a product takes in the sequence.
        shift: where the product's first position lies.

    Returns:
        int64 (K,): ``row * stride + shift + position`` of all of them, product by product.
    """
    starts = np.arange(len(positions)) * stride + shift
    return torch.from_numpy(np.concatenate(positions) + np.repeat(starts, _lengths(positions)))


def position_weights(positions, counted):
    """One over the number of its product's positions for each, 0 where it does not count.

    Args:
        positions: list of arrays, one a product.
        counted: list of bools.

    Returns:
        float32 (K,).
    """
    lengths = _lengths(positions)
    weights = np.array(counted) / np.maximum(1, lengths)
    return torch.from_numpy(np.repeat(weights, lengths).astype(np.float32))


def _lengths(arrays):
    return np.array([len(array) for array in arrays])
