"""A store gives back what was put in, says when it is not whole, and is fairseq's format."""

import hashlib
import json
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from fairseq_item.data.image_store import ImageStore, ImageStoreWriter
from fairseq_item.data.patches import patchify
from fairseq_item.errors import InputError

SIZE, PATCH = 32, 8


def images(count=5):
    """Smooth images, so that JPEG keeps them nearly as they are."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        yield np.asarray(small.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def write(prefix, codec="patches", count=5):
    with ImageStoreWriter(prefix, codec, SIZE, PATCH, jpeg_quality=95) as writer:
        for image in images(count):
            writer.add(image)
    return str(prefix)


@pytest.fixture(params=["patches", "jpeg"])
def prefix(request, tmp_path):
    return write(tmp_path / "image" / "train", request.param)


def test_round_trip(prefix):
    store = ImageStore(prefix)
    assert len(store) == store.meta.count == 5
    for i, image in enumerate(images()):
        result = store.image(i)
        assert result.shape == (SIZE, SIZE, 3)
        assert result.dtype == np.uint8
        if store.meta.codec == "patches":
            np.testing.assert_array_equal(result, image)
        else:
            assert np.abs(result.astype(int) - image).mean() < 4
        np.testing.assert_array_equal(store.patches(i), patchify(result, PATCH))
    store.verify()


def test_rows_are_those_of_the_image(prefix):
    store = ImageStore(prefix)
    assert store.side(0) == SIZE
    for top, bottom in ((0, SIZE), (0, 1), (7, 9), (8, 16), (13, SIZE), (5, 5)):
        np.testing.assert_array_equal(store.rows(2, top, bottom), store.image(2)[top:bottom])


def test_only_the_patches_of_the_rows_are_read(tmp_path):
    prefix = write(tmp_path / "train")
    store, row = ImageStore(prefix), PATCH * SIZE * 3
    os.truncate(f"{prefix}.bin", 4 * SIZE * SIZE * 3 + 2 * row)  # half of the last image
    assert store.rows(4, 3, 2 * PATCH).shape == (13, SIZE, 3)
    with pytest.raises(InputError, match="ends within item 4"):
        store.rows(4, 3, 2 * PATCH + 1)


def test_what_is_read_was_fetched_before(prefix, monkeypatch):
    store, fetched, read = ImageStore(prefix), set(), set()

    def fadvise(_, start, length, advice):
        fetched.update(range(start, start + length))

    def pread(descriptor, length, start, pread=os.pread):
        read.update(range(start, start + length))
        return pread(descriptor, length, start)

    monkeypatch.setattr(os, "posix_fadvise", fadvise, raising=False)
    monkeypatch.setattr(os, "POSIX_FADV_WILLNEED", 3, raising=False)
    monkeypatch.setattr(os, "pread", pread)
    store.prefetch(np.array([4, 1]))
    for i in (1, 4):
        store.image(i)
    assert read == fetched != set()


def test_raw(tmp_path):
    patches = ImageStore(write(tmp_path / "patches"))
    np.testing.assert_array_equal(patches.raw(1), patches.patches(1).ravel())
    jpeg = ImageStore(write(tmp_path / "jpeg", "jpeg"))
    assert jpeg.raw(1)[:2].tobytes() == b"\xff\xd8"


def test_meta(prefix):
    meta = ImageStore(prefix).meta
    assert (meta.image_size, meta.patch_size, meta.channels, meta.version) == (SIZE, PATCH, 3, 1)
    assert meta.fit == "pad"
    assert meta.jpeg_quality == (95 if meta.codec == "jpeg" else None)


def test_images_and_arrays_are_the_same(tmp_path):
    write(tmp_path / "arrays")
    with ImageStoreWriter(tmp_path / "pil", "patches", SIZE, PATCH) as writer:
        for image in images():
            writer.add(Image.fromarray(image))
    first, second = ((tmp_path / f"{name}.bin").read_bytes() for name in ("arrays", "pil"))
    assert first == second


def test_pickled_store_reads_on_its_own(prefix):
    store = ImageStore(prefix)
    data = pickle.dumps(store)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data).image(3), store.image(3))


def test_empty_store(tmp_path):
    store = ImageStore(write(tmp_path / "none", count=0))
    assert len(store) == 0
    store.verify()


def test_fairseq_reads_it(prefix):
    indexed_dataset = pytest.importorskip("fairseq.data.indexed_dataset")
    theirs, ours = indexed_dataset.MMapIndexedDataset(prefix), ImageStore(prefix)
    assert len(theirs) == len(ours)
    for i in range(len(ours)):
        np.testing.assert_array_equal(theirs[i].numpy(), ours.raw(i))


def edit(prefix, **changes):
    """Change a description as an earlier version would have written it: without a seal."""
    path = f"{prefix}.json"
    with open(path) as handle:
        values = {**json.load(handle), "seal": ..., **changes}
    with open(path, "w") as handle:
        json.dump({name: value for name, value in values.items() if value is not ...}, handle)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 4}, "5 items"),
        ({"version": 2}, "version 2"),
        ({"codec": "webp"}, "no store known"),
        ({"image_size": "32"}, "no store known"),
        ({"checksum": ...}, "damaged"),
        ({"colour": "red"}, "damaged"),
        ({"version": ...}, "damaged"),
        ({"patch_size": 0}, "no store known"),
        ({"patch_size": 5}, "no store known"),
        ({"count": -1}, "no store known"),
        ({"image_size": 10**9}, "no store known"),
        ({"channels": 4}, "no store known"),
        ({"count": True}, "no store known"),
        ({"index": "0" * 64}, "not the file that was written here"),
    ],
)
def test_description_that_does_not_fit(tmp_path, changes, message):
    prefix = write(tmp_path / "train")
    edit(prefix, **changes)
    with pytest.raises(InputError, match=message):
        ImageStore(prefix)


def test_a_description_that_was_changed(tmp_path):
    prefix = write(tmp_path / "train")
    with open(f"{prefix}.json") as handle:
        seal = json.load(handle)["seal"]
    edit(prefix, patch_size=16, seal=seal)
    with pytest.raises(InputError, match=r"was changed after it was written; run item-pack again"):
        ImageStore(prefix)
    edit(prefix, patch_size=PATCH, seal=seal)
    ImageStore(prefix)


def test_stores_of_an_earlier_version_are_read(tmp_path):
    prefix = write(tmp_path / "train")
    edit(prefix, items=..., index=...)
    store = ImageStore(prefix)
    assert len(store) == 5
    store.check_items("of any items")


def test_a_store_goes_with_its_own_items_alone(tmp_path):
    with ImageStoreWriter(tmp_path / "train", "patches", SIZE, PATCH) as writer:
        writer.add(next(images()))
        writer.finish("a" * 64)
        writer.finish = lambda: None
    store = ImageStore(tmp_path / "train")
    store.check_items("a" * 64)
    with pytest.raises(
        InputError, match=r"train\.bin belongs to another items file; run item-pack"
    ):
        store.check_items("b" * 64)


def test_an_index_of_another_store(tmp_path):
    """Sizes of JPEGs cannot be told from one another; the digest can."""
    one, two = (write(tmp_path / name, "jpeg") for name in ("one", "two"))
    sizes = np.fromfile(f"{one}.idx", np.uint8)
    sizes[26] ^= 1  # the first item a byte longer or shorter, as one flipped bit makes it
    sizes.tofile(f"{one}.idx")
    with pytest.raises(InputError, match="item 1 has|bytes where"):
        ImageStore(one)
    ImageStore(two)


def test_sizes_that_do_not_fit(tmp_path):
    prefix = write(tmp_path / "train")
    edit(prefix, image_size=64)
    with pytest.raises(InputError, match="3072"):
        ImageStore(prefix)


@pytest.mark.parametrize("suffix", ["bin", "idx", "json"])
def test_missing_file(prefix, tmp_path, suffix):
    (tmp_path / "image" / f"train.{suffix}").unlink()
    with pytest.raises(InputError, match="missing"):
        ImageStore(prefix)


@pytest.mark.parametrize("content", ["", "[]", "null", '{"version":', "\x00"])
def test_damaged_json(tmp_path, content):
    prefix = write(tmp_path / "train")
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(InputError, match="damaged"):
        ImageStore(prefix)


def test_verify_sees_one_changed_bit(prefix, tmp_path):
    path = tmp_path / "image" / "train.bin"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="checksum"):
        ImageStore(prefix).verify()


def test_damaged_jpeg_item(tmp_path):
    prefix = write(tmp_path / "train", "jpeg")
    path = tmp_path / "train.bin"
    path.write_bytes(b"\0" * len(path.read_bytes()))
    with pytest.raises(InputError, match="item 2 is damaged"):
        ImageStore(prefix).image(2)


def test_failed_writer_leaves_the_old_store(tmp_path):
    prefix = write(tmp_path / "train")
    writer = ImageStoreWriter(prefix, "patches", SIZE, PATCH)
    with pytest.raises(ValueError, match="shape"), writer:
        writer.add(np.zeros((8, 8, 3), np.uint8))
    assert len(ImageStore(prefix)) == 5
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"train.bin", "train.idx", "train.json"}


@pytest.mark.parametrize("harm", [None, "cut", "changed", "gone"])
def test_a_writer_goes_on_where_another_stopped(tmp_path, harm):
    prefix = tmp_path / "train"
    write(tmp_path / "whole")
    first = ImageStoreWriter(prefix, "patches", SIZE, PATCH)
    for image in list(images())[:3]:
        first.add(image)
    stored = first.unfinished.read_bytes()
    sums = [hashlib.sha256(stored[i * 3072 : (i + 1) * 3072]).hexdigest() for i in range(3)]
    first.close()
    if harm == "cut":
        os.truncate(first.unfinished, 3 * 3072 - 1)
    elif harm == "changed":
        first.unfinished.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
    elif harm == "gone":
        first.unfinished.unlink()
    second = ImageStoreWriter(prefix, "patches", SIZE, PATCH, resume=True)
    recovered = [second.recover([3072], sha256) for sha256 in sums]
    assert recovered == {None: [True] * 3, "gone": [False] * 3}.get(harm, [True, True, False])
    for image in list(images())[sum(recovered) :]:
        second.add(image)
    second.finish()
    for suffix in ("bin", "idx", "json"):
        ours, theirs = (tmp_path / f"{name}.{suffix}" for name in ("train", "whole"))
        assert ours.read_bytes() == theirs.read_bytes()
    ImageStore(prefix).verify()


def test_wrong_settings(tmp_path):
    with pytest.raises(ValueError, match="webp"):
        ImageStoreWriter(tmp_path / "train", "webp")
    with pytest.raises(ValueError, match="multiple"):
        ImageStoreWriter(tmp_path / "train", "patches", 100, 16)
