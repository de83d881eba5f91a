"""One embedding's vectors of an index: float32, float16 or int8, mapped rather than read.

``{name}.npy`` holds n rows of d values. Of int8 rows ``{name}.scale.npy`` holds what makes each a
unit vector again, float32. Whatever is stored, a search sees float32, a stretch of rows at a time.
"""

import mmap
import os
import weakref
from pathlib import Path

import numpy as np

from fairseq_item.data.arrays import create_mapped, open_mapped

DTYPES = ("float32", "float16", "int8")
MEND = "run item-index again"
# What is mapped of a file stays in the process' memory until it is let go: files that are larger
# than this, after so many bytes.
KEPT = 128 << 20


def scale_path(path):
    """Where the scales of the int8 rows in ``path`` lie."""
    return Path(path).with_suffix(".scale.npy")


def release(array):
    """Let go of what is in memory of a mapped array; the operating system's cache keeps it."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


class Vectors:
    """(n, d) vectors; slices and lists of rows come as float32 arrays.

    Args:
        stored: (n, d) array or memory map, float32, float16 or int8.
        scales: (n,) float32, for int8.
    """

    def __init__(self, stored, scales=None):
        self.stored, self.scales = stored, scales
        self.shape = stored.shape
        self._seen, self._file = 0, None

    @classmethod
    def create(cls, path, dtype, shape):
        """New files, to be filled by :meth:`write`.

        Args:
            path: of the rows.
            dtype: one of ``DTYPES``.
            shape: (n, d).
        """
        scales = None
        if dtype == "int8":
            scales = create_mapped(scale_path(path), np.float32, shape[:1])
        else:
            scale_path(path).unlink(missing_ok=True)
        return cls(create_mapped(path, dtype, shape), scales)

    @classmethod
    def open(cls, path, shape):
        """Map the files of an index.

        Raises:
            InputError: one is missing, damaged, or another array.
        """
        stored = open_mapped(path, shape, DTYPES, MEND, mode="c")
        scales = None
        if stored.dtype == np.int8:
            scales = open_mapped(scale_path(path), shape[:1], ("float32",), MEND, mode="c")
        vectors = cls(stored, scales)
        if stored.nbytes > KEPT:
            vectors._file = os.open(path, os.O_RDONLY)
            weakref.finalize(vectors, os.close, vectors._file)
        return vectors

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, which):
        """Rows of a slice or an array of positions: (b, d) float32, not to be written to."""
        return self._read(which)

    def stretch(self, start, stop, buffer):
        """Rows ``start`` to ``stop``, as ``self[start:stop]``, by way of a buffer where need be.

        Args:
            start, stop: positions.
            buffer: (stop - start or more, d) float32: fresh memory for each stretch would cost
                more than the conversion.
        """
        return self._read(slice(start, stop), buffer[: stop - start])

    def raw(self, some):
        """Rows of a slice as they are stored, and their scales, none but for int8: copies."""
        rows = np.array(self.stored[some])
        self._saw(rows.nbytes)
        return rows, np.zeros(0, np.float32) if self.scales is None else np.array(self.scales[some])

    def _read(self, which, out=None):
        if isinstance(which, slice) or self._file is None:
            rows = np.asarray(self.stored[which])
            self._saw(rows.nbytes)
        else:
            rows = self._scattered(which)
        if rows.dtype == np.float16:
            rows = half_to_float32(rows, out)
        elif rows.dtype == np.int8:
            rows = np.multiply(rows, self.scales[which][:, None], out=out, dtype=np.float32)
        return rows

    def _scattered(self, which):
        """Rows at an array of positions, without mapping them: with each, its neighbours come."""
        rows = np.empty((len(which), self.shape[1]), self.stored.dtype)
        width, first = self.shape[1] * rows.itemsize, self.stored.offset
        for i, row in enumerate(np.asarray(which).tolist()):
            rows[i] = np.frombuffer(os.pread(self._file, width, first + row * width), rows.dtype)
        return rows

    def __array__(self, dtype=None, copy=None):
        return self[:].astype(dtype or np.float32)

    def write(self, where, rows):
        """Store rows.

        Args:
            where: position of the first, or an array of all positions.
            rows: (b, d) float32 unit vectors or zeros.
        """
        some = slice(where, where + len(rows)) if np.isscalar(where) else where
        if self.scales is None:
            self.stored[some] = rows
        else:
            self.stored[some], self.scales[some] = to_int8(rows)
        self._saw(rows.nbytes)

    def copy(self, where, other, rows):
        """Store rows as they are stored in ``Vectors`` of the same dtype.

        Args:
            where: (b,) positions here.
            other: the ``Vectors``.
            rows: (b,) positions there.
        """
        self.stored[where] = other.stored[rows]
        if self.scales is not None:
            self.scales[where] = other.scales[rows]
        for vectors in (self, other):
            vectors._saw(len(rows) * vectors.stored[:1].nbytes)

    def flush(self):
        """Hand what was written to the file system."""
        for array in (self.stored, self.scales):
            if array is not None:
                array.flush()

    def _saw(self, count):
        self._seen += count
        if self._seen > KEPT and self.stored.nbytes > KEPT:
            release(self.stored)
            self._seen = 0


def to_int8(rows):
    """Round each row to 127 steps of its largest value.

    Args:
        rows: (b, d) float32.

    Returns:
        int8 (b, d), and the float32 (b,) that makes each a unit vector; 1 for rows of zeros.
    """
    peaks = np.abs(rows).max(axis=1, keepdims=True)
    steps = np.rint(rows * (127 / np.where(peaks > 0, peaks, 1))).astype(np.int8)
    norms = np.sqrt(np.einsum("nd,nd->n", steps, steps, dtype=np.float32))
    return steps, (1 / np.where(norms > 0, norms, 1)).astype(np.float32)


def half_to_float32(rows, out=None):
    """``rows.astype(np.float32)`` of finite float16, three times as fast; into ``out`` if given."""
    bits = None if out is None else out.view(np.int32)
    bits = np.left_shift(rows.view(np.int16), 13, out=bits, dtype=np.int32)
    # The sign came along when int16 was widened; the bits between it and the exponent go. What is
    # left has float16's exponent in float32's place, 112 too low.
    np.bitwise_and(bits, np.int32(~0x70001FFF), out=bits)
    values = bits.view(np.float32)
    return np.multiply(values, np.float32(2.0**112), out=values)
