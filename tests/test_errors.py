"""What a user is meant to see is one line, whatever it passed through."""

import errno
import os
import pickle
import sys

import pytest

from fairseq_item.commands import common
from fairseq_item.errors import InputError, end_input_errors_with_one_line, one_line

SENT_ALONG = """Caught InputError in DataLoader worker process 0.
Original Traceback (most recent call last):
  File "fetch.py", line 1, in fetch
fairseq_item.errors.InputError: train.bin: item 7 is damaged
"""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("a.tsv line 3 is bad; mend it"), "a.tsv line 3 is bad; mend it"),
        (InputError(SENT_ALONG), "train.bin: item 7 is damaged"),
        (InputError("one\n  two"), "one two"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "out"), "out: Read-only file system"),
        (OSError("3 requested and 1 written"), "3 requested and 1 written"),
        (OSError(), "OSError"),
    ],
)
def test_one_line(error, line):
    assert one_line(error) == line


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("a.tsv is bad"), 2, "error: a.tsv is bad\n"),
        (PermissionError(errno.EACCES, "Permission denied", "out"), 2, "error: out: Permission"),
        (MemoryError(), 2, "error: there is not enough memory for this\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_a_command_ends_in_one_line(error, status, line, capsys):
    def main(argv):
        raise error

    with pytest.raises(SystemExit) as end:
        common.run(main)
    assert end.value.code == status
    shown = capsys.readouterr().err
    assert shown.startswith(line)
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("a.tsv is bad"), "error: a.tsv is bad\n"),
        (
            pickle.UnpicklingError("Weights only load failed. Trust the source?"),
            "error: the checkpoint holds more than tensors and settings, or is damaged: take "
            "another; where several processes resume, give --load-checkpoint-on-all-dp-ranks\n",
        ),
    ],
)
def test_a_command_of_fairseq_ends_in_one_line(error, line, capsys, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    end_input_errors_with_one_line()
    with pytest.raises(SystemExit) as end:
        sys.excepthook(type(error), error, None)
    assert end.value.code == 2
    assert capsys.readouterr().err == line
