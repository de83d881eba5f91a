"""Exact search: every item is compared, a block of the index at a time, on a CPU or a GPU.

Under the sum the score of all pairs of a block is one matrix product: of the queries' embeddings,
concatenated and scaled by w_p / r_p, with the items', where an absent embedding is zeros, less the
shift w_p m_p / r_p of each embedding that both have. Under the maximum it is the largest of such
products, one for each embedding. The lexical similarity is a product with sparse rows, which the
others are added to (see ``lexical_scores``).

Products are made in float32. With eps = 2^-24 and n terms, each passing at most n roundings in
whatever order they are summed, the error is at most gamma = n eps / (1 - n eps) times the sum of
the terms' magnitudes. So an item whose rough score is more than twice that below the k-th best
rough score cannot be among the first k. All others are kept and in the end scored exactly, in
float64: neither rounding nor blocks can change an answer. Memory is in proportion to queries and
block.
"""

import numpy as np
from scipy.linalg.blas import sgemm

from fairseq_item.search.fusion import DECIMALS, rank
from fairseq_item.search.lexical_scores import LexicalScores

ROWS_A_TIME = {"cpu": 4096, "cuda": 65536}
# Pairs kept by their rough scores; beyond, as among very many equal items, they are scored exactly
# on the way.
MOST_PAIRS = 1 << 20
EPS = 2.0**-24
# Stored rows are unit vectors up to the rounding of float16.
LONGEST = 1.001
# Takes an absent similarity out of a maximum.
NEVER = np.float32(-1e30)


def search_exactly(batch, device="cpu"):
    """The best of a batch of queries.

    Args:
        batch: ``fusion.Batch``.
        device: "cpu", or a GPU as torch names it.

    Returns:
        Pairs: at most ``batch.width`` a query.
    """
    arithmetic = (Cpu if device == "cpu" else Gpu)(device)
    rough = RoughScores(batch, arithmetic)
    error = rough_error(batch)
    # What the k-th best is known to reach; a query without embeddings has no answers.
    floor = np.where(batch.present.any(axis=1), -np.inf, np.inf)
    query, row, score = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
    settled = 0
    for start, stop in _blocks(len(batch.index), batch.width, arithmetic.rows_a_time):
        rows = np.flatnonzero(batch.comparable(start, stop))
        if not len(rows):
            continue
        scores = rough(start, stop)
        found, inside, values = arithmetic.reaching(
            scores if len(rows) == stop - start else scores[rows], floor
        )
        inside = rows[inside]
        allowed = batch.allowed(found, inside + start)
        query, row = np.append(query, found[allowed]), np.append(row, inside[allowed] + start)
        score = np.append(score, values[allowed])
        if len(query) > 2 * settled:
            query, row, score = _prune(query, row, score, floor, error, batch.width)
            if len(query) > MOST_PAIRS:
                best = batch.best(query, row)
                query, row, score = best.query, best.row, best.score.astype(np.float32)
            settled = len(query)
    query, row, _ = _prune(query, row, score, floor, error, batch.width)
    return batch.best(query, row)


def _blocks(count, width, most):
    """Yield ``(start, stop)``, doubling at first: while floors are low most pairs would pass."""
    start, size = 0, min(max(32, 2 * width), most)
    while start < count:
        yield start, min(start + size, count)
        start, size = start + size, min(2 * size, most)


def _prune(query, row, score, floor, error, width):
    """Drop pairs that cannot be among the first; ``floor`` is raised in place."""
    # By query and falling score, as one integer, in a quarter of a lexsort's time: floats are
    # ordered as their bits are, once those of negative ones are turned.
    bits = score.view(np.int32)
    bits = bits ^ (bits >> 31 & 0x7FFFFFFF)
    order = np.argsort((query << 32) - bits)
    query, row, score = query[order], row[order], score[order]
    last = rank(query) == width - 1
    floor[query[last]] = np.maximum(floor[query[last]], score[last] - 2 * error[query[last]])
    kept = score >= floor[query]
    return query[kept], row[kept], score[kept]


def rough_error(batch):
    """How far rough scores may be from exact ones: (q,) float64."""
    scales, shifts = batch.fuser.linear()
    error = np.full(len(batch), 10.0**-DECIMALS * scales.sum())
    widths = [batch.index.vectors[name].shape[1] for name in batch.names if name != "lexical"]
    terms, counts = sum(widths), batch.queries["lexical"]
    if "lexical" in batch.names:
        terms += int(np.diff(counts.indptr).max(initial=0))
    for name, scale, shift in zip(batch.names, scales, shifts):
        size = LONGEST**2
        if name == "lexical":
            size = np.asarray(counts.sum(axis=1)).ravel() * batch.index.lexical.most
        error += _gamma(terms) * (scale * size + abs(shift))
    return error


def _gamma(terms):
    # Besides the product's own terms: scaling a query, adding shifts and products, leaving float64.
    terms += 16
    return terms * EPS / (1 - terms * EPS)


class RoughScores:
    """Scores of a block of the index with a batch of queries, in float32.

    Args:
        batch: ``fusion.Batch``.
        arithmetic: :class:`Cpu` or :class:`Gpu`.
    """

    def __init__(self, batch, arithmetic):
        self.batch, self.arithmetic = batch, arithmetic
        scales, shifts = batch.fuser.linear()
        self.queries = {}
        for name, scale in zip(batch.names, scales):
            queries = (batch.queries[name] * scale).astype(np.float32)
            lexical = name == "lexical"
            self.queries[name] = LexicalScores(queries) if lexical else arithmetic.put(queries)
        shifts = np.where(batch.present, -shifts, 0 if batch.fuser.kind == "sum" else NEVER)
        self.shifts = arithmetic.put(shifts.astype(np.float32))
        self.shifted = bool(shifts.any())

    def __call__(self, start, stop):
        """(stop - start, q) array of the arithmetic, valid until the next call."""
        present = self.batch.index.present[start:stop][:, self.batch.columns]
        fuse = self._sum if self.batch.fuser.kind == "sum" else self._max
        return fuse(start, stop, present)

    def _sum(self, start, stop, present):
        make, total = self.arithmetic, self._lexical(start, stop)
        filled = total is not None
        if not filled:
            total = make.empty("total", (stop - start, len(self.batch)))
        if self.shifted:
            make.product(make.put(present.astype(np.float32)), self.shifts, total, filled)
            filled = True
        for name in self._dense():
            make.product(self._vectors(name, start, stop), self.queries[name], total, filled)
            filled = True
        return total

    def _max(self, start, stop, present):
        make, total = self.arithmetic, None
        for i, name in enumerate(self.batch.names):
            absent = make.put(np.where(present[:, i], np.float32(0), NEVER))[:, None]
            if name == "lexical":
                part = self._lexical(start, stop)
                make.add(part, absent, part)
                make.add(part, self.shifts[:, i], part)
            else:
                shape = stop - start, len(self.batch)
                part = make.empty("total" if total is None else "part", shape)
                make.add(absent, self.shifts[:, i], part)
                make.product(self._vectors(name, start, stop), self.queries[name], part, True)
            if total is not None:
                make.maximum(total, part)
            total = part if total is None else total
        return total

    def _dense(self):
        return [name for name in self.batch.names if name != "lexical"]

    def _lexical(self, start, stop):
        """The scaled lexical similarities in fresh memory; None where they do not count."""
        if "lexical" not in self.queries:
            return None
        scores = self.queries["lexical"](self.batch.index.lexical, start, stop)
        return self.arithmetic.put(scores)

    def _vectors(self, name, start, stop):
        return self.arithmetic.rows(name, self.batch.index.vectors[name], start, stop)


class Cpu:
    """NumPy, and scipy's matrix product, which adds to what is there. Memory is reused."""

    def __init__(self, device):
        self.rows_a_time, self._memory = ROWS_A_TIME["cpu"], {}

    def put(self, array):
        return array

    def rows(self, name, vectors, start, stop):
        """Rows ``start`` to ``stop`` of ``Vectors``, float32, valid until the next call."""
        # The same memory at every call: fresh pages cost as much as work.
        return vectors.stretch(start, stop, self.empty(name, (stop - start, vectors.shape[1])))

    def empty(self, name, shape):
        size = shape[0] * shape[1]
        if name not in self._memory or self._memory[name].size < size:
            self._memory[name] = np.empty(size, np.float32)
        return self._memory[name][:size].reshape(shape)

    def product(self, items, queries, into, add):
        """``items @ queries.T``, added to ``into`` or written there."""
        sgemm(1.0, queries.T, items.T, beta=float(add), c=into.T, trans_a=1, overwrite_c=1)

    def add(self, one, other, into):
        np.add(one, other, out=into)

    def maximum(self, into, other):
        np.maximum(into, other, out=into)

    def reaching(self, scores, floor):
        """Pairs that reach their query's floor: position in the batch, in the block, and score."""
        least = np.nextafter(floor.astype(np.float32), np.float32(-np.inf))
        flat = np.flatnonzero(scores >= least)
        inside, query = np.divmod(flat, scores.shape[1])
        return query, inside, scores.ravel()[flat]


class Gpu:
    """torch on a GPU, which keeps the index (see ``resident``); methods as of :class:`Cpu`."""

    def __init__(self, device):
        import torch

        self.torch, self.device, self.rows_a_time = torch, device, ROWS_A_TIME["cuda"]

    def put(self, array):
        return self.torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def rows(self, name, vectors, start, stop):
        from fairseq_item.search.resident import resident_rows

        return resident_rows(vectors, self.device, start, stop)

    def empty(self, name, shape):
        return self.torch.empty(shape, device=self.device)

    def product(self, items, queries, into, add):
        # TF32 would not keep within the error.
        before = self.torch.get_float32_matmul_precision()
        self.torch.set_float32_matmul_precision("highest")
        try:
            self.torch.addmm(into, items, queries.T, beta=float(add), out=into)
        finally:
            self.torch.set_float32_matmul_precision(before)

    def add(self, one, other, into):
        self.torch.add(one, other, out=into)

    def maximum(self, into, other):
        self.torch.maximum(into, other, out=into)

    def reaching(self, scores, floor):
        least = np.nextafter(floor.astype(np.float32), np.float32(-np.inf))
        inside, query = (scores >= self.put(least)).nonzero(as_tuple=True)
        return [found.cpu().numpy() for found in (query, inside, scores[inside, query])]
