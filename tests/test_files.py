"""Files appear whole or not at all, are not written over by mistake, nor by two at once."""

import os
import signal
import subprocess
import sys

import pytest

from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path, locked, refuse_overwriting


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
