"""fairseq's memory-mapped index format (``.bin`` and ``.idx``), read and written without fairseq.

fairseq's own reader touches every byte of both files when it opens them, in every worker, and
returns int64 whatever was stored. This one maps the files and returns views of them.

Format of ``.idx``: magic ``MMIDIDX\\0\\0``, version (uint64) 1, dtype code (uint8), count (uint64),
then ``count`` sizes in elements (int32) and ``count`` byte offsets into ``.bin`` (int64).
"""

import os
import struct
from array import array
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path

MAGIC = b"MMIDIDX\x00\x00"
HEADER = struct.Struct("<9sQBQ")
# The codes of fairseq.data.indexed_dataset; code 6 is a double there whatever its table says.
DTYPES = {
    1: np.uint8,
    2: np.int8,
    3: np.int16,
    4: np.int32,
    5: np.int64,
    6: np.float64,
    7: np.double,
    8: np.uint16,
    9: np.uint32,
    10: np.uint64,
}
CODES = {np.dtype(t): code for code, t in sorted(DTYPES.items(), reverse=True)}
BLOCK = 1 << 16  # items looked at at once
LARGEST = 2**31 - 1  # elements


def bin_path(prefix):
    return Path(f"{prefix}.bin")


def idx_path(prefix):
    return Path(f"{prefix}.idx")


def _mapped(path, dtype):
    """A file as a plain array: slicing a ``numpy.memmap`` takes several times as long."""
    return np.memmap(path, mode="r", dtype=dtype).view(np.ndarray)


class MMapIndex:
    """Read-only view of ``prefix.bin`` and ``prefix.idx``.

    ``index[i]`` is a 1-D array of item ``i``, a view of the map: copy it before writing to it.
    What was looked at stays mapped and counts as this process's memory until the system wants it
    back; large items are better fetched by :meth:`read`, which leaves nothing behind.

    Opening reads ``.idx`` once, 12 bytes an item, and nothing of ``.bin``.

    Args:
        prefix: path without ``.bin`` and ``.idx``.
        least, most: elements that an item may have.
        mend: what to do about bad files, for messages.

    Attributes:
        sizes: int32 array of shape (count,), elements an item.
        dtype: dtype of the stored elements.

    Raises:
        InputError: a file is missing or not in this format, or the items do not lie one after the
            other and fill the file.
    """

    def __init__(self, prefix, least=0, most=LARGEST, mend="write it again"):
        self.prefix, self.mend = str(prefix), mend
        self._open()
        if len(self):
            self._check_layout(least, most)

    def _open(self):
        idx, data = idx_path(self.prefix), bin_path(self.prefix)
        for path in (idx, data):
            if not path.exists():
                raise InputError(f"{path} is missing; {self.mend}")
        with open(idx, "rb") as handle:
            header = handle.read(HEADER.size)
        if len(header) < HEADER.size or header[:9] != MAGIC:
            raise InputError(f"{idx} is not an mmap index; {self.mend}")
        _, version, code, count = HEADER.unpack(header)
        if version != 1 or code not in DTYPES:
            raise InputError(f"{idx} has version {version} and dtype code {code}; {self.mend}")
        # Now, not when it is first read from: the file may be replaced meanwhile.
        self._descriptor = os.open(data, os.O_RDONLY)
        self.dtype = np.dtype(DTYPES[code])
        if os.path.getsize(idx) != HEADER.size + 12 * count:
            raise InputError(f"{idx} does not hold the {count} items it announces; {self.mend}")
        if count == 0:
            self.sizes = np.zeros(0, np.int32)
            self._offsets = np.zeros(0, np.int64)
            self._data = np.zeros(0, self.dtype)
            return
        raw = _mapped(idx, np.uint8)
        sizes_end = HEADER.size + 4 * count
        self.sizes = raw[HEADER.size : sizes_end].view(np.int32)
        self._offsets = raw[sizes_end:].view(np.int64)
        end = int(self._offsets[-1]) + int(self.sizes[-1]) * self.dtype.itemsize
        if data.stat().st_size != end:
            raise InputError(
                f"{data} has {data.stat().st_size} bytes where {idx} says {end}; {self.mend}"
            )
        if end == 0:
            self._data = np.zeros(0, self.dtype)
        else:
            self._data = _mapped(data, self.dtype)

    def _check_layout(self, least, most):
        """Look at all sizes and offsets, read rather than mapped, so that no memory stays taken."""
        path, count, end = idx_path(self.prefix), len(self), 0
        with open(path, "rb") as idx:
            for first in range(0, count, BLOCK):
                n = min(BLOCK, count - first)
                idx.seek(HEADER.size + 4 * first)
                sizes = np.frombuffer(idx.read(4 * n), np.int32)
                idx.seek(HEADER.size + 4 * count + 8 * first)
                offsets = np.frombuffer(idx.read(8 * n), np.int64)
                ends = end + np.cumsum(sizes.astype(np.int64) * self.dtype.itemsize)
                starts = np.append(end, ends[:-1])
                bad = (sizes < least) | (sizes > most) | (offsets != starts)
                if bad.any():
                    i = int(bad.argmax())
                    raise InputError(
                        f"{path} is damaged: item {first + i} has {sizes[i]} elements at byte "
                        f"{offsets[i]}; {self.mend}"
                    )
                end = int(ends[-1])

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, i):
        start = int(self._offsets[i]) // self.dtype.itemsize
        return self._data[start : start + int(self.sizes[i])]

    def read(self, i, start=0, stop=None):
        """Elements ``start`` to ``stop`` of item ``i``: a 1-D array of its own, read in one go.

        Raises:
            InputError: the file became shorter than it was when it was opened.
        """
        size, itemsize = int(self.sizes[i]), self.dtype.itemsize
        stop = size if stop is None else min(stop, size)
        # pread has no file position, so that processes forked from this one can share the file.
        length = max(0, stop - start) * itemsize
        data = os.pread(self._descriptor, length, int(self._offsets[i]) + start * itemsize)
        if len(data) != length:
            raise InputError(f"{bin_path(self.prefix)} ends within item {i}; {self.mend}")
        return np.frombuffer(data, self.dtype)

    def prefetch(self, indices):
        """Have the system fetch items from the disk, all at once, while the program goes on.

        A hint that changes no result; without effect where the system takes none.

        Args:
            indices: int array of the items that :meth:`read` will be asked for next.
        """
        if not hasattr(os, "posix_fadvise"):
            return
        lengths = self.sizes[indices].astype(np.int64) * self.dtype.itemsize
        for start, length in zip(self._offsets[indices].tolist(), lengths.tolist()):
            if length:  # 0 would mean all the rest of the file
                os.posix_fadvise(self._descriptor, start, length, os.POSIX_FADV_WILLNEED)

    def firsts(self):
        """The first element of every item, (count,); no item may be empty."""
        return self._data[self._offsets // self.dtype.itemsize]

    def __del__(self):
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    # Worker processes map the files again; shipping a map through a pipe would copy it.
    def __getstate__(self):
        return {"prefix": self.prefix, "mend": self.mend}

    def __setstate__(self, state):
        self.prefix, self.mend = state["prefix"], state["mend"]
        self._open()


class MMapIndexWriter:
    """Write items one after another; the files appear under their names only when all is written.

    Use as a context manager. ``.bin`` takes its place before ``.idx``, so an index never
    describes data that is not there.

    Args:
        prefix: path without ``.bin`` and ``.idx``.
        dtype: element type, one of ``DTYPES``.
    """

    def __init__(self, prefix, dtype):
        self.prefix = str(prefix)
        self.dtype = np.dtype(dtype)
        self.sizes = array("i")  # 4 bytes an item, where a list would take 36

    def __enter__(self):
        with ExitStack() as stack:
            # What is entered last is left first: the data take their place before the index.
            self._idx = stack.enter_context(atomic_path(idx_path(self.prefix)))
            data = stack.enter_context(atomic_path(bin_path(self.prefix)))
            self._bin = stack.enter_context(open(data, "wb"))
            self._stack = stack.pop_all()
        return self

    def add(self, item):
        """Append one item: anything that ``numpy.asarray`` takes, flattened, or raw bytes."""
        if isinstance(item, (bytes, bytearray, memoryview)):
            data, count = item, len(item) // self.dtype.itemsize
        else:
            values = np.ascontiguousarray(item, dtype=self.dtype)
            data, count = values.tobytes(), values.size
        self._bin.write(data)
        self.sizes.append(count)

    def __exit__(self, kind, error, trace):
        if kind is None:
            write_idx(self._idx, self.sizes, self.dtype)
        self._stack.__exit__(kind, error, trace)


def write_idx(path, sizes, dtype):
    """Write the ``.idx`` file of items that lie one after another in their ``.bin``.

    Args:
        path: file to write.
        sizes: elements an item, in order.
        dtype: dtype of the elements.
    """
    sizes = np.asarray(sizes, np.int32)
    offsets = np.zeros(len(sizes), np.int64)
    # int64 before the product: int32 offsets turn negative past 2 GiB.
    np.cumsum(sizes[:-1].astype(np.int64) * np.dtype(dtype).itemsize, out=offsets[1:])
    with open(path, "wb") as handle:
        handle.write(HEADER.pack(MAGIC, 1, CODES[np.dtype(dtype)], len(sizes)))
        handle.write(sizes.tobytes())
        handle.write(offsets.tobytes())
