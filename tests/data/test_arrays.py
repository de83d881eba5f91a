import numpy as np
import pytest

from fairseq_item.data.arrays import open_mapped
from fairseq_item.errors import InputError

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_what_is_mapped_is_what_was_saved(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, VALUES)
    array = open_mapped(path, [2, 3], ["float16", "float32"], "again")
    assert isinstance(array, np.memmap)
    np.testing.assert_array_equal(array, VALUES)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 7
    open_mapped(path, (2, 3), ["float32"], "again", mode="c")[0, 0] = 7
    np.testing.assert_array_equal(np.load(path), VALUES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"a\.npy is missing; index again"),
        (b"", r"a\.npy is damaged \(.*\); index again"),
        (b"no array at all", r"a\.npy is damaged \(.*\); index again"),
        ("cut", r"a\.npy is damaged \(.*\); index again"),
        (VALUES[:1], r"float32 of shape \(1, 3\) where \(2, 3\) of float32 is expected; index"),
        (VALUES.astype(int), r"int64 of shape \(2, 3\) where"),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "a.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, VALUES if isinstance(content, str) else content)
    if isinstance(content, str):
        path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=message):
        open_mapped(path, (2, 3), ["float32"], "index again")
