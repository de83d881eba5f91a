"""The lines of a text file, read when they are asked for: of each, 8 bytes stay in memory."""

import os
import shutil
import tempfile
import weakref
from codecs import BOM_UTF8

import numpy as np

BLOCK = 1 << 20
NEWLINE = 10


class Lines:
    """The lines below the first one: ``len``, ``[i]`` and iteration give str without line ends.

    Only "\\n" ends a line: other line ends may lie inside a value. A file that another one is
    renamed to is still read as it was.

    Args:
        path: UTF-8, with or without a byte order mark; what cannot be read twice, such as a pipe,
            is copied first.

    Attributes:
        header: the first line; empty if there is none.

    Raises:
        OSError, UnicodeDecodeError
    """

    def __init__(self, path):
        file = open(path, "rb")  # noqa: SIM115  (for as long as the lines are asked for)
        weakref.finalize(self, file.close)
        if not file.seekable():
            pipe, file = file, tempfile.TemporaryFile()  # noqa: SIM115
            weakref.finalize(self, file.close)
            shutil.copyfileobj(pipe, file)
            file.flush()
        self._file = file.fileno()
        self._end = os.fstat(self._file).st_size
        first = len(BOM_UTF8) if os.pread(self._file, 3, 0) == BOM_UTF8 else 0
        starts, at = [np.array([first])], first
        for block in self._blocks(first):
            block.decode()
            starts.append(at + 1 + np.flatnonzero(np.frombuffer(block, np.uint8) == NEWLINE))
            at += len(block)
        self._starts = np.concatenate(starts)
        if self._starts[-1] < self._end:
            self._starts = np.append(self._starts, self._end)
        self.header = self._line(0) if len(self._starts) > 1 else ""

    def __len__(self):
        return max(len(self._starts) - 2, 0)

    def __getitem__(self, i):
        return self._line(range(len(self))[i] + 1)

    def __iter__(self):
        for block in self._blocks(self._second):
            yield from [line.rstrip("\r") for line in block.decode().removesuffix("\n").split("\n")]

    def count(self, character):
        """How often an ASCII character occurs in each line: yields arrays of some lines each."""
        for block in self._blocks(self._second):
            values = np.frombuffer(block, np.uint8)
            ends = np.flatnonzero(values == NEWLINE)
            if values[-1] != NEWLINE:
                ends = np.append(ends, len(values))
            found = np.flatnonzero(values == ord(character))
            yield np.diff(np.searchsorted(found, ends), prepend=0)

    @property
    def _second(self):
        """Where the second line starts."""
        return int(self._starts[min(1, len(self._starts) - 1)])

    def _line(self, number):
        start, end = self._starts[number : number + 2].tolist()
        return os.pread(self._file, end - start, start).decode().rstrip("\r\n")

    def _blocks(self, at):
        """Yield the file from ``at`` on, cut where lines end."""
        rest = b""
        while at < self._end:
            block = os.pread(self._file, min(BLOCK, self._end - at), at)
            if not block:
                break
            at += len(block)
            cut = block.rfind(b"\n") + 1
            if cut:
                yield rest + block[:cut]
                rest = block[cut:]
            else:
                rest += block
        if rest:
            yield rest
