"""Batches by hand."""

import numpy as np
import torch

from fairseq_item.data.collate import (
    ImageRoom,
    Samples,
    collate_titles,
    flat_places,
    place_weights,
    stack_images,
)


def arrays(*lists):
    return [np.array(values, np.int64) for values in lists]


def test_titles():
    rows = collate_titles(arrays([7, 8, 9], [], [5]), cls=0, sep=2, pad=1)
    assert rows.tolist() == [[0, 7, 8, 9, 2], [0, 2, 1, 1, 1], [0, 5, 2, 1, 1]]
    assert rows.dtype == torch.int64
    assert collate_titles(arrays([]), cls=0, sep=2, pad=1).tolist() == [[0, 2]]


def test_places():
    places = flat_places(arrays([0, 3], [], [1]), stride=10, shift=1)
    assert places.tolist() == [1, 4, 22]
    assert places.dtype == torch.int64
    assert flat_places(arrays([], []), stride=10, shift=1).shape == (0,)


def test_weights():
    weights = place_weights(arrays([0, 3], [], [1], [2, 4, 5, 6]), [True, True, False, True])
    assert weights.tolist() == [0.5, 0.5, 0.0, 0.25, 0.25, 0.25, 0.25]
    assert weights.dtype == torch.float32


def test_images_lie_side_by_side():
    room = ImageRoom(2, (3, 4))
    for row in range(2):
        room.place("patches", row).fill_(row + 1)
    samples = Samples([{"patches": room.place("patches", row)} for row in range(2)], room)
    stacked = stack_images(samples, "patches")
    assert stacked is room.whole("patches")
    assert torch.equal(stacked, stack_images(list(samples), "patches"))
