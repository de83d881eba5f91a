"""Which items of a stretch of the index may be among a query's best: a screen for each fusion.

A screen is given floors, scores that the k-th best of each query is known to reach, and names the
pairs that may reach them, with a lower and an upper bound of their scores.

**sum**, with affine calibrations c_p(s) = (s - m_p) / r_p. Over the parts that both have, the score
is sum w_p (s_p - m_p) / r_p: one inner product of the concatenated w_p / r_p q_p with the
concatenated x_p, where an absent part is zeros and adds nothing, less w_p m_p / r_p for each shared
part. One comparison a pair says whether the floor can be reached.

**max**: w_p c_p(s_p) must reach the floor in one of the parts. As c_p is increasing there is a
least cosine for that, found once for each query; one comparison a pair and part, no fusing.

**sum** of other calibrations: the score of all pairs is bounded from above, by way of tables.
"""

import numpy as np

from fairseq_item.search.calibration import Affine

# Cosines are rounded to 7 decimals before they are fused.
ROUNDING = 1e-7
# Beyond any cosine of stored vectors.
END = 1.1
# Halvings of an interval of cosines: to a hundredth of ROUNDING.
HALVINGS = 32
# Of the tables.
STEPS = 1 << 15


def screen(block, products):
    """The screen for a block of queries.

    Args:
        block: ``fusion.Block``.
        products: ``products.Float32`` or its kin.
    """
    active = block.fuser.active()
    if block.fuser.kind == "max" or len(active) == 1:
        return MaxScreen(block, products)
    affine = all(isinstance(block.fuser.calibrations[part], Affine) for _, part in active)
    return (SumScreen if affine else TabledSumScreen)(block, products)


class _Screen:
    """Attributes: ``floor``, what :meth:`aim` was told last."""

    floor = None

    def __init__(self, block):
        self.block, self.fuser = block, block.fuser
        self.columns, self.parts = zip(*block.fuser.active())
        self.ours = np.stack([block.present[part] for part in self.parts], axis=1)
        self.vectors = [block.index.vectors[part] for part in self.parts]
        self.queries = [block.queries[part] for part in self.parts]

    def aim(self, floor):
        """Say which scores are to be reached from now on.

        Args:
            floor: (q,) float64, -inf where nothing is known yet.
        """
        self.floor = floor

    def __call__(self, start, stop):
        """Look at items ``start`` to ``stop``.

        Returns:
            positions of queries and of items, and a lower and an upper bound of each pair's score.
        """
        theirs = self.block.index.present[start:stop, self.columns]
        query, inside, low, high = self._look(start, stop, theirs)
        kept = (high >= self.floor[query]) & (self.block.exclude[query] != inside + start)
        kept &= (self.ours[query] & theirs[inside]).any(axis=1)
        return query[kept], inside[kept] + start, low[kept], high[kept]


class SumScreen(_Screen):
    """Sum of affine calibrations."""

    def __init__(self, block, products):
        super().__init__(block)
        calibrations = [self.fuser.calibrations[part] for part in self.parts]
        scales = np.array([self.fuser.weights[c] for c in self.columns])
        scales = scales / [calibration.scale for calibration in calibrations]
        self.product = products(
            self.vectors, [(q * s).astype(np.float32) for q, s in zip(self.queries, scales)]
        )
        shifts = self.ours * (-scales * [calibration.centre for calibration in calibrations])
        # Items that lack the same parts are shifted alike: a column for each set of parts.
        sets = np.arange(1 << len(self.parts))[:, None] >> np.arange(len(self.parts)) & 1
        self.shifts = shifts @ sets.T
        # Each query is rounded once when it is scaled and a few times with its product: 16 eps of
        # all that is added up.
        shifted = np.abs(shifts).sum(axis=1)
        added = self.ours @ scales + shifted
        self.slack = self.product.absolute + (ROUNDING + 1e-6) * added
        # The error in proportion to the product is reckoned from product + shift.
        self.slack += self.product.relative * shifted

    def aim(self, floor):
        super().aim(floor)
        bound = (floor - self.slack)[:, None] - self.shifts
        self.least = _least(bound, self.product.relative)
        self.least[~self.ours.any(axis=1)] = np.inf

    def _look(self, start, stop, theirs):
        scores = self.product(start, stop)
        kind = theirs @ (1 << np.arange(len(self.parts)))
        kinds, counts = np.unique(kind, return_counts=True)
        usual = kinds[counts.argmax()]
        # No matrix product of NumPy here: its threads and torch's would stand in each other's way.
        hopeful = scores >= self.least[:, usual, None]
        for other in kinds[kinds != usual]:
            some = np.flatnonzero(kind == other)
            hopeful[:, some] = scores[:, some] >= self.least[:, other, None]
        flat = np.flatnonzero(hopeful)
        query, inside = np.divmod(flat, stop - start)
        score = scores.ravel()[flat].astype(np.float64)
        spread = self.slack[query] + self.product.relative * np.abs(score)
        score += self.shifts[query, kind[inside]]
        return query, inside, score - spread, score + spread


class MaxScreen(_Screen):
    """Maximum of any increasing calibrations; a single part, too."""

    def __init__(self, block, products):
        super().__init__(block)
        self.products = [products([v], [q]) for v, q in zip(self.vectors, self.queries)]
        self.slack = [product.absolute + 2 * ROUNDING for product in self.products]

    def aim(self, floor):
        super().aim(floor)
        self.least = []
        for i, (column, part) in enumerate(zip(self.columns, self.parts)):
            weight, calibration = self.fuser.weights[column], self.fuser.calibrations[part]
            cosine = least_cosine(calibration, floor / weight)
            least = _least(cosine - self.slack[i], self.products[i].relative)
            self.least.append(np.where(self.ours[:, i], least, np.float32(np.inf)))

    def _look(self, start, stop, theirs):
        cosines = [product(start, stop) for product in self.products]
        flat = np.flatnonzero(self._hopeful(cosines, theirs))
        query, inside = np.divmod(flat, stop - start)
        low, high = {}, {}
        for i, part in enumerate(self.parts):
            values = cosines[i].ravel()[flat].astype(np.float64)
            values[~(self.ours[query, i] & theirs[inside, i])] = np.nan
            spread = self._spread(i, values, query)
            low[part], high[part] = values - spread, values + spread
        return query, inside, self.fuser(low), self.fuser(high)

    def _spread(self, i, values, query):
        return self.slack[i][query] + self.products[i].relative * np.abs(values)

    def _hopeful(self, cosines, theirs):
        hopeful = cosines[0] >= self.least[0][:, None]
        for values, least in zip(cosines[1:], self.least[1:]):
            hopeful |= values >= least[:, None]
        return hopeful


class TabledSumScreen(MaxScreen):
    """Sum of any increasing calibrations, read from tables of what they are at most."""

    def __init__(self, block, products):
        super().__init__(block, products)
        grid = np.linspace(-END, END, STEPS + 1)
        self.tables = []
        for column, part in zip(self.columns, self.parts):
            scores = self.fuser.weights[column] * self.fuser.calibrations[part](grid)
            self.tables.append(np.nextafter(scores.astype(np.float32), np.float32(np.inf)))

    def aim(self, floor):
        self.floor = floor
        # Three float32 are added up.
        size = sum(max(abs(table[0]), abs(table[-1])) for table in self.tables)
        self.least = _least(floor - 1e-6 * size, 0.0)

    def _hopeful(self, cosines, theirs):
        fused = np.zeros_like(cosines[0])
        for i, values in enumerate(cosines):
            # One step more than the cosine's own, for the rounding of the step itself.
            highest = values * np.float32(1 + self.products[i].relative)
            if self.products[i].relative:
                lowest = values * np.float32(1 - self.products[i].relative)
                np.maximum(highest, lowest, out=highest)
            highest += (self.slack[i] + END).astype(np.float32)[:, None]
            highest *= np.float32(STEPS / (2 * END))
            step = highest.astype(np.int32) + 2
            scores = self.tables[i].take(step, mode="clip")
            scores *= self.ours[:, i, None] & theirs[:, i]
            fused += scores
        return fused >= self.least[:, None]


def least_cosine(calibration, floor):
    """Below which no cosine is calibrated to a score that reaches the floor.

    Args:
        calibration: any increasing function of arrays of cosines.
        floor: (q,) float64.

    Returns:
        (q,) float64, to within ``ROUNDING``; -inf or beyond ``END`` where all reach it, or none.
    """
    if isinstance(calibration, Affine):
        return calibration.centre + calibration.scale * floor
    low, high = np.full(len(floor), -END), np.full(len(floor), END)
    always = calibration(low) >= floor
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        reached = calibration(middle) >= floor
        high, low = np.where(reached, middle, high), np.where(reached, low, middle)
    return np.where(always, -np.inf, low)


def _least(bound, relative):
    """The least product v, float32, of which v + relative |v| may reach ``bound``, (q,)."""
    exact = bound / np.where(bound > 0, 1 + relative, 1 - relative)
    return np.nextafter(exact.astype(np.float32), np.float32(-np.inf))
