import numpy as np
import pytest
from PIL import Image

from fairseq_item.data.augment import (
    Crop,
    center_crop,
    crop_box,
    random_resized_crop,
    stored_center_crop,
    stored_random_crop,
)
from fairseq_item.data.image_store import ImageStore, ImageStoreWriter


def test_center_crop_by_hand():
    image = np.arange(6 * 6 * 3, dtype=np.uint8).reshape(6, 6, 3)
    assert (center_crop(image, 4) == image[1:5, 1:5]).all()
    assert center_crop(image, 6) is not None
    assert (center_crop(image, 6) == image).all()


def test_small_images_are_enlarged():
    assert center_crop(np.full((4, 4, 3), 9, np.uint8), 8).shape == (8, 8, 3)


def test_boxes_lie_within_the_image_and_keep_the_area():
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
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    whole = np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        crop = random_resized_crop(image, 16, rng, scale=(50.0, 50.0), flip=0.0)
        assert (crop == whole).all()


def test_flip_mirrors():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 12:] = 255
    plain = random_resized_crop(image, 16, np.random.default_rng(1), (0.9, 1.0), flip=0.0)
    mirrored = random_resized_crop(image, 16, np.random.default_rng(1), (0.9, 1.0), flip=1.0)
    assert (plain[:, ::-1] == mirrored).all()
    assert plain[:, -1].mean() == pytest.approx(255)


def plain_crop(image, size, rng, scale, flip):
    """The whole image through Pillow, mirrored as an array."""
    box = crop_box(*image.shape[:2], rng, scale)
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, box=box)
    result = np.asarray(resized)
    return result[:, ::-1] if rng.random() < flip else result


@pytest.fixture(scope="module", params=["patches", "jpeg"])
def store(request, tmp_path_factory):
    """Four images of noise, 64 pixels, in patches of 8."""
    prefix = tmp_path_factory.mktemp("store") / request.param
    with ImageStoreWriter(prefix, request.param, 64, 8) as writer:
        for image in np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3), np.uint8):
            writer.add(image)
    return ImageStore(prefix)


@pytest.mark.parametrize("scale", [(0.6, 1.0), (0.02, 0.3), (1.0, 1.0)])
@pytest.mark.parametrize("size", [8, 40, 56, 96])
def test_stored_crop_is_that_of_the_whole_image(store, size, scale):
    images = [store.image(i) for i in range(4)]
    mirrored = 0
    for seed in range(150):
        i, ours, plain = seed % 4, np.random.default_rng(seed), np.random.default_rng(seed)
        crop = stored_random_crop(store, i, size, ours, scale, flip=0.5)
        expected = plain_crop(images[i], size, plain, scale, flip=0.5)
        np.testing.assert_array_equal(crop, expected)
        whole = random_resized_crop(images[i], size, np.random.default_rng(seed), scale, 0.5)
        np.testing.assert_array_equal(whole, expected)
        assert ours.random() == plain.random()  # as many numbers were drawn
        mirrored += Crop.draw(64, 64, size, np.random.default_rng(seed), scale, 0.5).mirrored
    assert 40 < mirrored < 110


def test_a_small_crop_reads_few_rows():
    top, bottom = Crop((0.0, 100.2, 256.0, 140.9), 224, False).rows(256)
    assert (top, bottom) == (98, 143)
    # 200 rows shrunk to 50: a pixel weighs in four pixels around it
    assert Crop((0.0, 20.0, 256.0, 220.0), 50, False).rows(256) == (15, 225)


@pytest.mark.parametrize("size", [8, 41, 64, 80])
def test_stored_centre_is_that_of_the_whole_image(store, size):
    for i in range(4):
        expected = center_crop(store.image(i), size)
        np.testing.assert_array_equal(stored_center_crop(store, i, size), expected)
