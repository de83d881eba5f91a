import numpy as np
import pytest
import torch

from fairseq_item.evaluation import image_baselines
from fairseq_item.evaluation.ranking import rank_dense


def test_pixels_equal_brute_force():
    rng = np.random.default_rng(0)
    queries, items = rng.random((4, 12)), rng.random((30, 12))
    items[20] = items[3]
    centred = items - items.mean(axis=0)
    found = rank_dense(*image_baselines.pixels(queries, items), 50)
    for query, (rows, scores) in zip(queries, found):
        q = query - items.mean(axis=0)
        cosines = [round(float(q @ i / np.linalg.norm(q) / np.linalg.norm(i)), 7) for i in centred]
        assert rows.tolist() == sorted(range(30), key=lambda i: (-cosines[i], i))
        np.testing.assert_allclose(scores, np.sort(cosines)[::-1], atol=1e-6)


def test_mean_colours_are_means_of_the_grid_cells():
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    grid = image_baselines.mean_colours([image], 1)[0].reshape(8, 8, 3)
    assert grid[2, 5] == pytest.approx(image[6:9, 15:18].reshape(-1, 3).mean(axis=0))


class MeanColour:
    """A network that sees one thing: the mean colour."""

    name, dim = "mean colour", 3

    def pooled(self, images):
        return torch.as_tensor(images).float().mean((1, 2))


def test_pooled_features_are_directions():
    images = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3)).astype(np.uint8)
    found = image_baselines.pooled_features(MeanColour(), iter(images), 7, batch_size=3)
    expected = images.reshape(7, -1, 3).mean(axis=1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)
