"""Batches by hand."""

import numpy as np
import torch

from fairseq_item.data.collate import (
    ImageBuffer,
    Samples,
    collate_titles,
    flat_positions,
    position_weights,
    stack_images,
)


def arrays(*lists):
    return [np.array(values, np.int64) for values in lists]


def test_titles():
    rows = collate_titles(arrays([7, 8, 9], [], [5]), cls=0, sep=2, pad=1)
    assert rows.tolist() == [[0, 7, 8, 9, 2], [0, 2, 1, 1, 1], [0, 5, 2, 1, 1]]
    assert rows.dtype == torch.int64
    assert collate_titles(arrays([]), cls=0, sep=2, pad=1).tolist() == [[0, 2]]


def test_positions():
    positions = flat_positions(arrays([0, 3], [], [1]), stride=10, shift=1)
    assert positions.tolist() == [1, 4, 22]
    assert positions.dtype == torch.int64
    assert flat_positions(arrays([], []), stride=10, shift=1).shape == (0,)


def test_weights():
    weights = position_weights(arrays([0, 3], [], [1], [2, 4, 5, 6]), [True, True, False, True])
    assert weights.tolist() == [0.5, 0.5, 0.0, 0.25, 0.25, 0.25, 0.25]
    assert weights.dtype == torch.float32


def test_images_lie_side_by_side():
    buffer = ImageBuffer(2, (3, 4))
    for row in range(2):
        buffer.row("patches", row).fill_(row + 1)
    samples = Samples([{"patches": buffer.row("patches", row)} for row in range(2)], buffer)
    stacked = stack_images(samples, "patches")
    assert stacked is buffer.whole("patches")
    assert torch.equal(stacked, stack_images(list(samples), "patches"))
