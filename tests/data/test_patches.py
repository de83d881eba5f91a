"""Patch order by hand, and back again."""

import numpy as np
import pytest

from fairseq_item.data.patches import patchify, unpatchify


def test_order_by_hand():
    # 2 x 4 pixels, each (10 y + x, 0, 1): the left 2 x 2 patch first, row by row, channels last.
    image = np.zeros((2, 4, 3), np.uint8)
    image[..., 0] = [[0, 1, 2, 3], [10, 11, 12, 13]]
    image[..., 2] = 1
    expected = [
        [0, 0, 1, 1, 0, 1, 10, 0, 1, 11, 0, 1],
        [2, 0, 1, 3, 0, 1, 12, 0, 1, 13, 0, 1],
    ]
    np.testing.assert_array_equal(patchify(image, 2), expected)


def test_patches_go_row_by_row():
    image = np.arange(6, dtype=np.uint8).reshape(3, 2, 1)
    np.testing.assert_array_equal(patchify(image, 1)[:, 0], range(6))


@pytest.mark.parametrize(("shape", "patch"), [((32, 32, 3), 8), ((4, 12, 3), 4), ((6, 4, 1), 2)])
def test_round_trip(shape, patch):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    patches = patchify(image, patch)
    assert patches.dtype == np.uint8
    assert patches.shape == (shape[0] * shape[1] // patch**2, patch**2 * shape[2])
    np.testing.assert_array_equal(unpatchify(patches, patch, shape[:2]), image)
    if shape[0] == shape[1]:
        np.testing.assert_array_equal(unpatchify(patches, patch), image)
        np.testing.assert_array_equal(unpatchify(patches, patch, shape[0]), image)


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="10 x 8"):
        patchify(np.zeros((10, 8, 3), np.uint8), 4)
    with pytest.raises(ValueError, match="do not make up"):
        unpatchify(np.zeros((5, 48), np.uint8), 4)
    with pytest.raises(ValueError, match="do not make up"):
        unpatchify(np.zeros((4, 48), np.uint8), 4, 9)
    with pytest.raises(ValueError, match="do not make up"):
        unpatchify(np.zeros((4, 47), np.uint8), 4)


def plain_patches(image, p):
    """The definition, patch by patch."""
    height, width = image.shape[:2]
    corners = [(y, x) for y in range(0, height, p) for x in range(0, width, p)]
    return np.stack([image[y : y + p, x : x + p].ravel() for y, x in corners])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_any_layout_in_memory(dtype):
    whole = np.random.default_rng(0).integers(0, 256, (20, 24, 3)).astype(dtype)
    for image in (
        whole,
        whole[:, ::-1],
        whole[4:16, 8:],
        whole.transpose(1, 0, 2),
        whole[..., :2],
    ):
        expected = plain_patches(image, 4)
        np.testing.assert_array_equal(patchify(image, 4), expected)
        back = unpatchify(np.asfortranarray(expected), 4, image.shape[:2])
        np.testing.assert_array_equal(back, image)


def test_patches_into_given_room():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    room = np.zeros((2, 4, 48), np.uint8)
    assert patchify(image, 4, room[1]).base is room
    np.testing.assert_array_equal(room[1], plain_patches(image, 4))
    assert not room[0].any()
    for wrong in (
        np.zeros((4, 47), np.uint8),
        np.zeros((4, 48)),
        np.zeros((4, 96), np.uint8)[:, ::2],
    ):
        with pytest.raises(ValueError, match="room of just that shape"):
            patchify(image, 4, wrong)
