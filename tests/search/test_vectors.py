import numpy as np
import pytest

from fairseq_item.errors import InputError
from fairseq_item.search import vectors as module
from fairseq_item.search.embeddings import normalise
from fairseq_item.search.vectors import DTYPES, Vectors, half_to_float32, scale_path, to_int8


def rows(count=50, dim=24, seed=0):
    made = normalise(np.random.default_rng(seed).normal(size=(count, dim)))
    made[7] = 0
    return made


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 0), ("float16", 5e-4), ("int8", 4e-3)]
)
def test_round_trip(tmp_path, dtype, tolerance):
    path, written = tmp_path / "title.npy", rows()
    made = Vectors.create(path, dtype, written.shape)
    made.write(0, written[:20])
    made.write(20, written[20:])
    made.flush()
    read = Vectors.open(path, written.shape)
    assert np.load(path).dtype == dtype
    assert read[:].dtype == np.float32
    np.testing.assert_allclose(read[:], written, atol=tolerance)
    assert not read[:][7].any()
    chosen = np.array([9, 3, 3])
    np.testing.assert_array_equal(read[chosen], read[:][chosen])
    buffer = np.empty((40, 24), np.float32)
    np.testing.assert_array_equal(read.stretch(5, 25, buffer), read[5:25])


def test_half_precision_is_numpys_for_every_finite_number():
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)].reshape(-1, 64)
    expected = halves.astype(np.float32).view(np.int32)  # bits, for the sign of zero
    np.testing.assert_array_equal(half_to_float32(halves).view(np.int32), expected)


def test_int8_rows_are_unit_vectors_nearest_to_the_direction():
    written = rows(dim=256)
    steps, scales = to_int8(written)
    stored = steps * scales[:, None]
    assert np.abs(steps).max(axis=1)[:7].tolist() == [127] * 7
    np.testing.assert_allclose(np.linalg.norm(np.delete(stored, 7, 0), axis=1), 1, atol=1e-6)
    assert ((stored * written).sum(axis=1)[:7] > 0.9998).all()


def test_reading_all_of_it_keeps_little_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 1000)
    released = []
    monkeypatch.setattr(module, "release", released.append)
    path, written = tmp_path / "title.npy", rows()
    Vectors.create(path, "float32", written.shape).write(0, written)
    released.clear()
    read = Vectors.open(path, written.shape)
    first = read[0:10]
    assert not released
    second = read[10:20]
    assert len(released) == 1
    assert released[0] is read.stored
    np.testing.assert_array_equal(np.concatenate([first, second]), written[:20])


@pytest.mark.parametrize("dtype", module.DTYPES)
@pytest.mark.parametrize("kept", [100, 1 << 20])
def test_rows_at_any_positions(tmp_path, monkeypatch, dtype, kept):
    monkeypatch.setattr(module, "KEPT", kept)
    path, written = tmp_path / "title.npy", rows()
    Vectors.create(path, dtype, written.shape).write(0, written)
    read = Vectors.open(path, written.shape)
    which = np.random.default_rng(1).integers(len(written), size=50)
    np.testing.assert_array_equal(read[which], read[:][which])
    assert (read[which] != 0).any()
    assert read[which[:0]].shape == (0, written.shape[1])


def test_what_was_released_is_read_again(tmp_path):
    path, written = tmp_path / "title.npy", rows()
    made = Vectors.create(path, "int8", written.shape)
    made.write(0, written)
    before = made[:].copy()
    module.release(made.stored)  # before it was flushed
    np.testing.assert_array_equal(made[:], before)
    module.release(written)  # an array that is no map


def test_files_that_do_not_fit(tmp_path):
    path, written = tmp_path / "title.npy", rows()
    with pytest.raises(InputError, match=r"title\.npy is missing; run item-index"):
        Vectors.open(path, written.shape)
    Vectors.create(path, "int8", written.shape).write(0, written)
    with pytest.raises(InputError, match=r"shape \(50, 24\) where \(51, 24\) of float32"):
        Vectors.open(path, (51, 24))
    scale_path(path).unlink()
    with pytest.raises(InputError, match=r"title\.scale\.npy is missing"):
        Vectors.open(path, written.shape)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="is damaged"):
        Vectors.open(path, written.shape)


def test_scales_of_an_older_index_go(tmp_path):
    path, written = tmp_path / "title.npy", rows()
    for dtype in ("int8", *DTYPES[:2]):
        Vectors.create(path, dtype, written.shape)
        assert scale_path(path).exists() == (dtype == "int8")
