"""Making the similarities of three parts comparable before the largest of them is taken.

A cosine of 0.9 may be ordinary among images and extraordinary among titles. A calibration maps
the cosines of one part to a scale that the parts share. It is fitted on the index alone, and it is
strictly increasing, which is all that the exactness of the fused search rests on.

A further kind is a class with ``kind``, ``fit``, ``__call__``, ``to_json`` and ``from_json``,
entered in ``KINDS``.
"""

from dataclasses import dataclass

import numpy as np

PAIRS = 200_000
ANCHORS = 1000


@dataclass
class Sample:
    """Similarities within one part of the index.

    Attributes:
        pairs: cosines of random pairs of different items, ascending.
        neighbours: cosines of some items with their nearest other item, ascending.
    """

    pairs: np.ndarray
    neighbours: np.ndarray


@dataclass
class Affine:
    """(s - centre) / scale; base of the kinds that differ only in how the two are found."""

    centre: float = 0.0
    scale: float = 1.0

    def __call__(self, similarities):
        """Cosines of any shape -> calibrated scores, float64."""
        return (np.asarray(similarities, np.float64) - self.centre) / self.scale

    def to_json(self):
        return {"kind": self.kind, "centre": self.centre, "scale": self.scale}

    @classmethod
    def from_json(cls, values):
        return cls(float(values["centre"]), float(values["scale"]))


@dataclass
class Uncalibrated(Affine):
    """The cosines as they are: the paper's recipe."""

    kind = "none"

    @classmethod
    def fit(cls, sample):
        return cls()


@dataclass
class ZScore(Affine):
    """Standard deviations above the mean of random pairs."""

    kind = "zscore"

    @classmethod
    def fit(cls, sample):
        if not len(sample.pairs):
            return cls()
        return cls(float(sample.pairs.mean()), _positive(sample.pairs.std()))


@dataclass
class Neighbour(Affine):
    """How far above what the nearest neighbour of an indexed item usually reaches.

    Random pairs say little of the hard ones: the candidates that compete for the first ranks are
    near neighbours. Median and interquartile range, so that duplicates in the index weigh little.
    """

    kind = "neighbour"

    @classmethod
    def fit(cls, sample):
        if not len(sample.neighbours):
            return cls()
        low, middle, high = np.quantile(sample.neighbours, (0.25, 0.5, 0.75))
        spread = (high - low) / 1.349 or sample.neighbours.std()
        return cls(float(middle), _positive(spread))


class Tail:
    """-log of the chance that a random pair is at least as similar.

    Within the sample the chance is the empirical one, interpolated between quantiles. Above the
    ``TOP``-th part of the sample the excess is taken to be exponential, which goes on in a
    straight line and so stays strictly increasing as far as cosines go. Below the sample it goes
    on with the slope of the first segment.

    Args:
        knots: (m,) cosines, strictly increasing.
        values: (m,) scores at the knots, strictly increasing.
        low_slope, high_slope: slopes below and above the knots, positive.
    """

    kind = "tail"
    TOP = 0.01
    KNOTS = 64

    def __init__(self, knots, values, low_slope, high_slope):
        self.knots = np.asarray(knots, np.float64)
        self.values = np.asarray(values, np.float64)
        self.low_slope, self.high_slope = float(low_slope), float(high_slope)

    @classmethod
    def fit(cls, sample):
        pairs = np.asarray(sample.pairs, np.float64)
        if len(np.unique(pairs)) < 3:
            return cls([0.0], [0.0], 1.0, 1.0)
        chances = np.geomspace(1, cls.TOP, cls.KNOTS)[1:]
        knots = np.quantile(pairs, 1 - chances)
        # Equal quantiles (many equal similarities) become one knot, at the rarest of them.
        last = np.append(np.diff(knots) > 1e-9, True)
        knots, values = knots[last], -np.log(chances[last])
        excess = (pairs[pairs > knots[-1]] - knots[-1]).mean() if pairs[-1] > knots[-1] else 0
        high = 1 / _positive(excess)
        low = (values[1] - values[0]) / (knots[1] - knots[0]) if len(knots) > 1 else high
        return cls(knots, values, low, high)

    def __call__(self, similarities):
        """Cosines of any shape -> calibrated scores, float64."""
        s = np.asarray(similarities, np.float64)
        inside = np.interp(s, self.knots, self.values)
        below = np.minimum(s - self.knots[0], 0) * self.low_slope
        above = np.maximum(s - self.knots[-1], 0) * self.high_slope
        return inside + below + above

    def to_json(self):
        return {
            "kind": self.kind,
            "knots": self.knots.tolist(),
            "values": self.values.tolist(),
            "low_slope": self.low_slope,
            "high_slope": self.high_slope,
        }

    @classmethod
    def from_json(cls, values):
        return cls(**{name: value for name, value in values.items() if name != "kind"})


KINDS = {cls.kind: cls for cls in (Uncalibrated, ZScore, Tail, Neighbour)}


def from_json(values):
    """The calibration that ``to_json`` described."""
    return KINDS[values["kind"]].from_json(values)


def sample_similarities(vectors, present, seed, pairs=PAIRS, anchors=ANCHORS, block=16384):
    """Draw the similarities that calibrations are fitted on.

    Args:
        vectors: (n, d) array or memory map, L2-normalised.
        present: storage positions of the rows that are not absent, ascending.
        seed: of the draw.
        pairs, anchors: how many of each, at most.
        block: rows compared at a time when nearest neighbours are looked for.

    Returns:
        Sample: both empty where fewer than two rows are present.
    """
    count = len(present)
    if count < 2:
        return Sample(np.zeros(0), np.zeros(0))
    rng = np.random.default_rng(seed)
    left = rng.integers(count, size=pairs)
    right = (left + rng.integers(1, count, size=pairs)) % count  # never the item itself
    similarities = np.empty(pairs)
    for start in range(0, pairs, 8192):
        part = slice(start, start + 8192)
        a, b = (np.asarray(vectors[present[side[part]]], np.float32) for side in (left, right))
        similarities[part] = np.einsum("nd,nd->n", a, b)
    chosen = np.sort(rng.choice(count, size=min(anchors, count), replace=False))
    queries = np.asarray(vectors[present[chosen]], np.float32)
    nearest = np.full(len(chosen), -np.inf, np.float32)
    for start in range(0, count, block):
        rows = present[start : start + block]
        scores = queries @ np.asarray(vectors[rows], np.float32).T
        inside = (chosen >= start) & (chosen < start + len(rows))
        scores[np.flatnonzero(inside), chosen[inside] - start] = -np.inf
        np.maximum(nearest, scores.max(axis=1), out=nearest)
    return Sample(np.sort(similarities), np.sort(nearest.astype(np.float64)))


def _positive(scale):
    """A scale to divide by, also where all similarities are the same."""
    return float(max(scale, 1e-6))
