import numpy as np
import pytest
from PIL import Image

from fairseq_item.data.augment import center_crop, crop_box, random_resized_crop


def test_center_crop_by_hand():
    picture = np.arange(6 * 6 * 3, dtype=np.uint8).reshape(6, 6, 3)
    assert (center_crop(picture, 4) == picture[1:5, 1:5]).all()
    assert center_crop(picture, 6) is not None
    assert (center_crop(picture, 6) == picture).all()


def test_small_pictures_are_enlarged():
    assert center_crop(np.full((4, 4, 3), 9, np.uint8), 8).shape == (8, 8, 3)


def test_boxes_lie_within_the_picture_and_keep_the_area():
    areas = []
    for seed in range(500):
        left, top, right, bottom = crop_box(80, 60, np.random.default_rng(seed), (0.3, 1.0))
        assert 0 <= left < right <= 60
        assert 0 <= top < bottom <= 80
        areas.append((right - left) * (bottom - top) / 4800)
    assert min(areas) > 0.25
    assert max(areas) <= 1.0
    assert np.std(areas) > 0.1


def test_crop_of_everything_is_a_plain_resize():
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    whole = np.asarray(Image.fromarray(picture).resize((16, 16), Image.Resampling.BILINEAR))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        crop = random_resized_crop(picture, 16, rng, scale=(50.0, 50.0), flip=0.0)
        assert (crop == whole).all()


def test_flip_mirrors():
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:, 12:] = 255
    plain = random_resized_crop(picture, 16, np.random.default_rng(1), (0.9, 1.0), flip=0.0)
    mirrored = random_resized_crop(picture, 16, np.random.default_rng(1), (0.9, 1.0), flip=1.0)
    assert (plain[:, ::-1] == mirrored).all()
    assert plain[:, -1].mean() == pytest.approx(255)
