"""Files that are not those that were written are noticed."""

import hashlib
import json

import pytest

from fairseq_item import digests
from fairseq_item.errors import InputError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small").write_bytes(b"abc")
    (tmp_path / "large").write_bytes(bytes(digests.CHEAP + 1))
    return tmp_path


def test_an_entry_holds_size_and_sha256(folder):
    expected = {"size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
    assert digests.digests(folder, ["small"]) == {"small": expected}


def test_small_files_are_always_read_and_large_ones_when_asked(folder):
    entries = digests.digests(folder, ["small", "large"])
    digests.check(folder, entries, "write it again", everything=True)
    with open(folder / "large", "r+b") as file:
        file.seek(10_000)
        file.write(b"x")
    digests.check(folder, entries, "write it again")
    with pytest.raises(InputError, match="large is not the file that was written here; write it"):
        digests.check(folder, entries, "write it again", everything=True)
    (folder / "small").write_bytes(b"abd")
    with pytest.raises(InputError, match="small is not the file that was written here; write it"):
        digests.check(folder, entries, "write it again")


def test_of_large_files_a_sample_is_always_read(folder):
    entries = digests.digests(folder, ["large"])
    size = digests.CHEAP + 1
    for first, last in [(0, 1), (size - 1, size), (size // 3, size // 3 + 50_000)]:
        content = bytearray(size)
        content[first:last] = b"x" * (last - first)
        (folder / "large").write_bytes(content)
        with pytest.raises(InputError, match="large is not the file that was written here"):
            digests.check(folder, entries, "write it again")
    del entries["large"]["sample"]  # of the version before
    digests.check(folder, entries, "write it again")


def test_sizes_are_always_compared(folder):
    entries = digests.digests(folder, ["large"])
    with open(folder / "large", "ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="large is not the file that was written here"):
        digests.check(folder, entries, "write it again")


def test_a_missing_file_is_refused(folder):
    entries = digests.digests(folder, ["small"])
    (folder / "small").unlink()
    with pytest.raises(InputError, match=r"small cannot be read \(No such file"):
        digests.check(folder, entries, "write it again")


@pytest.mark.parametrize(
    "entries",
    [
        None,
        [],
        {"small": None},
        {"small": {"size": "3", "sha256": "x"}},
        {"small": {"size": 3}},
        {"../small": {"size": 3, "sha256": "x"}},
        {"..": {"size": 3, "sha256": "x"}},
        {"": {"size": 3, "sha256": "x"}},
    ],
)
def test_damaged_entries_are_refused(folder, entries):
    with pytest.raises(InputError, match="damaged; write it again"):
        digests.check(folder, entries, "write it again")


def test_folders_without_entries_are_not_compared(folder):
    digests.check(folder, {}, "write it again", everything=True)


def test_a_sealed_description_cannot_be_changed(folder):
    values = {"dim": 3, "weights": [1.0, 0.5], "name": "a"}
    kept = json.loads(json.dumps(digests.sealed(values)))
    assert digests.unsealed("meta.json", kept, "write it again") == values
    assert digests.unsealed("meta.json", values, "write it again") == values  # of an older version
    with pytest.raises(InputError, match=r"meta\.json was changed after it was written; write it"):
        digests.unsealed("meta.json", {**kept, "dim": 4}, "write it again")
