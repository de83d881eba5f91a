"""Inner products of queries with a stretch of an index, fast, with a bound of their error.

A search takes them to tell which items may be among the best; those it then scores exactly. So a
product may be rough, as long as its error is known: |rough - exact| <= absolute + relative |rough|.

With u the unit roundoff, eps = 2^-24 that of float32, and the vectors q and x of d values:

float32: each of the d terms passes at most d roundings in whatever order they are summed, so the
error is at most gamma_d sum |q_i x_i| <= gamma_d |q| |x|, gamma_d = d eps / (1 - d eps).

bfloat16, u = 2^-8: the rounded q' and x' are multiplied, summed in float32 and rounded once more.
|q'x' - qx| <= |q' - q| |x| + |q'| |x' - x|, with |q' - q| known and |x' - x| <= u |x|; then as
above, and u of the result. Four times as fast as float32 on processors that have it, and slow on
others, so only those take it, and only for work that outlasts the import of torch.

Several parts' products are summed: one inner product over concatenated vectors.
"""

import sys

import numpy as np

EPS = 2.0**-24
BFLOAT16 = 2.0**-8
# Rows are unit vectors up to the rounding of float16.
LONGEST = 1.001
# Multiplications that take longer in float32 than importing torch takes.
WORTH_AN_IMPORT = 4e11
FEW_QUERIES = 32


class Float32:
    """By NumPy.

    Args:
        vectors: the parts' ``Vectors``.
        queries: the parts' queries, each (q, d) float32.

    Attributes:
        absolute: (q,) float64, and
        relative: float; see the module's docstring.
    """

    relative = 0.0

    def __init__(self, vectors, queries):
        self.vectors, self.queries = vectors, queries
        terms = sum(rows.shape[1] for rows in queries) + len(queries)
        self.absolute = _summed(terms) * LONGEST * sum(map(_norms, queries))
        self._buffers = _Buffers()

    def __call__(self, start, stop):
        """(q, stop - start) float32, valid until the next call."""
        shape = len(self.queries[0]), stop - start
        total = None
        for vectors, queries in zip(self.vectors, self.queries):
            buffer = self._buffers("items", stop - start, vectors.shape[1])
            items = vectors.stretch(start, stop, buffer).T
            if total is None:
                total = np.matmul(queries, items, out=self._buffers("total", *shape))
            else:
                total += np.matmul(queries, items, out=self._buffers("more", *shape))
        return total


class BFloat16:
    """By torch; arguments and attributes as of :class:`Float32`."""

    relative = BFLOAT16 / (1 - BFLOAT16)

    def __init__(self, vectors, queries):
        import torch

        self.torch, self.vectors = torch, vectors
        self.queries = torch.from_numpy(np.concatenate(queries, axis=1)).bfloat16()
        summing = _summed(self.queries.shape[1]) * (1 + BFLOAT16)
        self.absolute = 0.0
        for exact, rounded in zip(queries, self.queries.split([q.shape[1] for q in queries], 1)):
            rounded = rounded.float().numpy()
            error = _norms(rounded - exact) + (BFLOAT16 + summing) * _norms(rounded)
            self.absolute = self.absolute + LONGEST * (1 + self.relative) * error
        self._buffers = _Buffers()

    def __call__(self, start, stop):
        """(q, stop - start) float32, valid until the next call."""
        count, column = stop - start, 0
        items = self._half("halves", count, self.queries.shape[1])
        for vectors in self.vectors:
            width = vectors.shape[1]
            rows = vectors.stretch(start, stop, self._buffers("items", count, width))
            items[:, column : column + width].copy_(self.torch.from_numpy(rows))
            column += width
        result = self._buffers("result", len(self.queries), count)
        rough = self.torch.mm(
            self.queries, items.T, out=self._half("rough", len(self.queries), count)
        )
        self.torch.from_numpy(result).copy_(rough)
        return result

    def _half(self, name, rows, columns):
        buffer = self._buffers(name, rows, (columns + 1) // 2)
        flat = self.torch.from_numpy(buffer).view(self.torch.bfloat16)
        return flat.reshape(-1)[: rows * columns].view(rows, columns)


class _Buffers:
    """Float32 arrays by name, the same memory at every call: fresh pages cost as much as work."""

    def __init__(self):
        self.kept = {}

    def __call__(self, name, rows, columns):
        size = rows * columns
        if name not in self.kept or self.kept[name].size < size:
            self.kept[name] = np.empty(size, np.float32)
        return self.kept[name][:size].reshape(rows, columns)


def choose(queries, items, width):
    """The class of products that is fastest for so much work.

    Args:
        queries: number of queries, of the whole search.
        items: number of items.
        width: values of a query, all parts together.
    """
    if queries < FEW_QUERIES or not _has_bfloat16():
        return Float32
    if "torch" not in sys.modules and queries * items * width < WORTH_AN_IMPORT:
        return Float32
    return BFloat16


def _has_bfloat16():
    """Whether the processor multiplies bfloat16 itself; asked without importing torch."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as handle:
            flags = next(line for line in handle if line.startswith("flags")).split()
    except (OSError, StopIteration):
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _norms(rows):
    return np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))


def _summed(terms):
    """gamma_terms of the module's docstring."""
    return terms * EPS / (1 - terms * EPS)
