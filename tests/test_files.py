"""Files appear whole or not at all, are not written over by mistake, nor by two at once."""

import errno
import os
import re
import signal
import subprocess
import sys

import pytest

from fairseq_item.errors import InputError
from fairseq_item.files import (
    MACHINE,
    allocate,
    atomic_path,
    check_output,
    locked,
    locked_folder,
    refuse_overwriting,
    sweep,
    writing,
)


def test_an_atomic_path_takes_its_place_only_after_success(tmp_path):
    path = tmp_path / "new" / "file"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_what_is_read_is_not_written_over_under_another_name(tmp_path):
    source = tmp_path / "a.tsv"
    source.write_text("x")
    (tmp_path / "link").symlink_to(tmp_path)
    refuse_overwriting(source, [tmp_path / "b.tsv", tmp_path / "new" / "a.tsv"])
    with pytest.raises(InputError, match=r"a\.tsv would overwrite what is read"):
        refuse_overwriting(source, [tmp_path / "b.tsv", tmp_path / "link" / "a.tsv"])


def test_a_folder_is_held_to_the_end_of_a_process(tmp_path):
    code = f"""
from fairseq_item.files import hold_folder, locked_folder
hold_folder({str(tmp_path)!r})
hold_folder({str(tmp_path)!r})
print("held", flush=True)
input()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=rf"is held by process {process.pid}"):
        locked_folder(tmp_path).__enter__()
    process.communicate("\n")
    assert not list(tmp_path.iterdir())


HOLD = """
import sys
from fairseq_item.files import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def hold(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_names_its_holder_and_goes_with_it(tmp_path):
    path = tmp_path / "new" / "lock"
    first = hold(path)
    with pytest.raises(InputError, match=rf"lock is held by process {first.pid}, started 2"):
        locked(path).__enter__()
    first.communicate("go\n")
    assert not path.exists()
    second = hold(path)
    second.send_signal(signal.SIGKILL)
    second.communicate()
    assert path.exists()
    with locked(path):
        assert path.read_text().startswith(f"process {os.getpid()}, started")
    assert not path.exists()


def test_a_locked_folder_is_swept_of_what_killed_runs_left(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, mine = ended.pid, os.getpid()
    left = [f".a.tsv.{MACHINE}.{dead}.tmp", f".a.tsv.{dead}.tmp"]
    kept = [
        f".a.tsv.{MACHINE}.{mine}.tmp",  # of a run that goes on
        f".a.tsv.{'0' * 8}.{dead}.tmp",  # of another machine
        "a.tsv",
        ".train.unfinished",
        "notes.1.tmp",
    ]
    for name in left + kept:
        (tmp_path / name).touch()
    with locked_folder(tmp_path):
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*kept, ".lock"])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(kept)


def test_of_one_file_only_its_own_temporaries_are_swept(tmp_path):
    names = [f".{name}.{MACHINE}.{2**22 + 1}.tmp" for name in ("a.tsv", "b.tsv")]
    for name in names:
        (tmp_path / name).touch()
    sweep(tmp_path, "a.tsv")
    assert [p.name for p in tmp_path.iterdir()] == names[1:]


@pytest.mark.parametrize("folder", [False, True])
def test_an_output_is_tried_before_the_work(tmp_path, folder):
    path = tmp_path / "new" / "hits.tsv"
    check_output(path)
    assert list(tmp_path.iterdir()) == []
    path.parent.mkdir()
    if folder:
        path.mkdir()
        message = "is a folder; name a file"
    else:
        path = tmp_path / "new" / "file" / "hits.tsv"
        path.parent.touch()
        message = "cannot be written or read (File exists)"
    with pytest.raises(InputError, match=re.escape(message)):
        check_output(path)


def test_a_full_disk_is_one_error_that_names_the_file(tmp_path):
    path = tmp_path / "a.tsv"
    error = pytest.raises(
        InputError, match=rf"^{path} cannot be .* \(No space left on device\); see"
    )
    with error, atomic_path(path) as temporary, open(temporary, "w"):
        raise OSError(errno.ENOSPC, "No space left on device", str(temporary))
    assert list(tmp_path.iterdir()) == []
    error = pytest.raises(InputError, match=r"^a\.npy cannot be .* \(5 requested and 3 written\)")
    with error, writing("a.npy"):
        raise OSError("5 requested and 3 written")


def test_room_is_taken_before_a_file_is_mapped(tmp_path):
    path = tmp_path / "a.npy"
    allocate(path, 1 << 20)
    assert path.stat().st_size == 1 << 20
    assert path.stat().st_blocks * 512 >= 1 << 20
    with pytest.raises(InputError, match=r"a\.npy cannot be written or read \("):
        allocate(path, 1 << 60)
