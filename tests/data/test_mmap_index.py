import mmap
import os
import pickle

import numpy as np
import pytest

from fairseq_item.data.mmap_index import MMapIndex, MMapIndexWriter
from fairseq_item.errors import InputError

DTYPES = [np.uint8, np.int8, np.int16, np.int32, np.int64, np.uint16, np.uint32]


def make_items(dtype, lengths=(3, 0, 1, 500, 0)):
    generator = np.random.default_rng(1)
    info = np.iinfo(dtype)
    return [generator.integers(info.min, info.max, n, dtype, endpoint=True) for n in lengths]


def write(prefix, items, dtype):
    with MMapIndexWriter(prefix, dtype) as writer:
        for item in items:
            writer.add(item)


def files_of(prefix):
    with open(f"{prefix}.bin", "rb") as data, open(f"{prefix}.idx", "rb") as index:
        return data.read(), index.read()


@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(tmp_path, dtype):
    items = make_items(dtype)
    write(tmp_path / "a", items, dtype)
    index = MMapIndex(tmp_path / "a")
    assert index.dtype == dtype
    assert index.sizes.tolist() == [len(item) for item in items]
    for i, item in enumerate(items):
        assert index[i].dtype == dtype
        np.testing.assert_array_equal(index[i], item)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(index))[3], items[3])


@pytest.mark.parametrize("dtype", DTYPES)
def test_fairseq_writes_the_same_bytes_and_reads_ours(tmp_path, dtype):
    torch = pytest.importorskip("torch")
    pytest.importorskip("fairseq")
    from fairseq.data.indexed_dataset import MMapIndexedDataset, MMapIndexedDatasetBuilder

    items = make_items(dtype)
    write(tmp_path / "ours", items, dtype)
    builder = MMapIndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=dtype)
    for item in items:
        builder.add_item(torch.from_numpy(item.astype(np.int64)))
    builder.finalize(str(tmp_path / "theirs.idx"))

    assert files_of(tmp_path / "ours") == files_of(tmp_path / "theirs")
    dataset = MMapIndexedDataset(str(tmp_path / "ours"))
    assert dataset.sizes.tolist() == [len(item) for item in items]
    for i, item in enumerate(items):
        np.testing.assert_array_equal(dataset[i].numpy(), item.astype(np.int64))


def test_raw_bytes_and_arrays_are_the_same(tmp_path):
    items = make_items(np.uint16)
    write(tmp_path / "arrays", items, np.uint16)
    write(tmp_path / "bytes", [item.tobytes() for item in items], np.uint16)
    assert files_of(tmp_path / "arrays") == files_of(tmp_path / "bytes")


@pytest.mark.parametrize("lengths", [(), (0, 0)])
def test_nothing_stored(tmp_path, lengths):
    write(tmp_path / "a", make_items(np.uint8, lengths), np.uint8)
    index = MMapIndex(tmp_path / "a")
    assert len(index) == len(lengths)
    assert all(len(index[i]) == 0 for i in range(len(index)))


def test_views_are_read_only_and_not_copies(tmp_path):
    write(tmp_path / "a", make_items(np.int32), np.int32)
    view = base = MMapIndex(tmp_path / "a")[3]
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1


def test_a_failed_write_leaves_the_old_files(tmp_path):
    write(tmp_path / "a", make_items(np.uint8), np.uint8)
    before = files_of(tmp_path / "a")

    def interrupted():
        yield np.zeros(9, np.uint8)
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write(tmp_path / "a", interrupted(), np.uint8)
    assert files_of(tmp_path / "a") == before
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "a.idx"]


def damage(path, change):
    data = bytearray(path.read_bytes())
    path.write_bytes(change(data))


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("a.idx", lambda data: b"", "not an mmap index"),
        ("a.idx", lambda data: b"TNTIDX\0\0\0" + data[9:], "not an mmap index"),
        ("a.idx", lambda data: data[:9] + b"\2" + data[10:], "version 2"),
        ("a.idx", lambda data: data[:17] + b"\x63" + data[18:], "dtype code 99"),
        ("a.idx", lambda data: data[:-1], "does not hold the 5 items"),
        ("a.bin", lambda data: data[:-1], "503 bytes where"),
        ("a.bin", lambda data: data + b"x", "505 bytes where"),
    ],
)
def test_damaged_files(tmp_path, name, change, expected):
    write(tmp_path / "a", make_items(np.uint8), np.uint8)
    damage(tmp_path / name, change)
    with pytest.raises(InputError, match=expected):
        MMapIndex(tmp_path / "a")


@pytest.mark.parametrize("name", ["a.bin", "a.idx"])
def test_missing_files(tmp_path, name):
    write(tmp_path / "a", make_items(np.uint8), np.uint8)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        MMapIndex(tmp_path / "a")


@pytest.mark.parametrize("dtype", DTYPES)
def test_read_gives_the_same_as_the_map(tmp_path, dtype):
    write(tmp_path / "a", make_items(dtype), dtype)
    index = MMapIndex(tmp_path / "a")
    for i in range(len(index)):
        assert index.read(i).dtype == dtype
        np.testing.assert_array_equal(index.read(i), index[i])
        for start, stop in ((0, 2), (1, None), (2, 5), (3, 3), (0, 10**6)):
            np.testing.assert_array_equal(index.read(i, start, stop), index[i][start:stop])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(index)).read(3), index[3])


@pytest.fixture
def hints(monkeypatch):
    """What the system is told to fetch: a list of (offset, length)."""
    told = []

    def record(_, start, length, advice):
        told.append((start, length))

    monkeypatch.setattr(os, "posix_fadvise", record, raising=False)
    monkeypatch.setattr(os, "POSIX_FADV_WILLNEED", 3, raising=False)
    return told


def test_the_system_is_told_which_bytes_will_be_read(tmp_path, hints):
    items = make_items(np.uint16)
    write(tmp_path / "a", items, np.uint16)
    MMapIndex(tmp_path / "a").prefetch(np.array([3, 0, 1, 2, 4]))
    data = (tmp_path / "a.bin").read_bytes()
    # No hint for the empty items 1 and 4: a length of 0 would ask for all the rest of the file.
    fetched = [data[start : start + length] for start, length in hints]
    assert fetched == [items[i].tobytes() for i in (3, 0, 2)]


def test_items_are_the_same_after_a_hint_or_where_there_is_none(tmp_path, monkeypatch):
    items = make_items(np.uint8)
    write(tmp_path / "a", items, np.uint8)
    index = MMapIndex(tmp_path / "a")
    index.prefetch(np.arange(5))
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    index.prefetch(np.arange(5))
    for i, item in enumerate(items):
        np.testing.assert_array_equal(index.read(i), item)


def test_read_notices_that_the_file_was_cut_since(tmp_path):
    write(tmp_path / "a", make_items(np.uint8), np.uint8)
    index = MMapIndex(tmp_path / "a")
    os.truncate(tmp_path / "a.bin", 10)
    with pytest.raises(InputError, match="ends within item 3"):
        index.read(3)


def test_an_open_store_keeps_reading_what_it_opened(tmp_path):
    items = make_items(np.uint8)
    write(tmp_path / "a", items, np.uint8)
    index = MMapIndex(tmp_path / "a")
    write(tmp_path / "a", [np.zeros(9, np.uint8)], np.uint8)
    np.testing.assert_array_equal(index.read(3), items[3])
    np.testing.assert_array_equal(index[3], items[3])


def test_files_are_closed(tmp_path):
    write(tmp_path / "a", make_items(np.uint8), np.uint8)
    descriptor = MMapIndex(tmp_path / "a")._descriptor  # of an index that is gone by now
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_two_processes_do_not_share_a_half_written_file(tmp_path):
    with MMapIndexWriter(tmp_path / "a", np.uint8) as writer:
        writer.add(np.zeros(3, np.uint8))
        (half,) = tmp_path.iterdir()
        assert f".{os.getpid()}." in half.name
    assert {path.name for path in tmp_path.iterdir()} == {"a.bin", "a.idx"}


def test_first_elements(tmp_path):
    items = [item for item in make_items(np.uint16) if len(item)]
    write(tmp_path / "a", items, np.uint16)
    assert MMapIndex(tmp_path / "a").firsts().tolist() == [item[0] for item in items]
