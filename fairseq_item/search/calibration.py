"""Making similarities comparable before they are fused.

A cosine of 0.9 may be ordinary among images and extraordinary among titles. A calibration maps the
similarities of one embedding to a scale that all share. It is fitted on the index alone.

A further kind is a subclass of ``Affine`` with ``kind`` and ``fit``, entered in ``KINDS``: the
fused search relies on straight lines that rise.
"""

from dataclasses import dataclass

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.search.lexical import count_terms
from fairseq_item.search.meta import number, text

PAIRS = 200_000
TITLES = 2000
# Also where all similarities are the same there is something to divide by.
LEAST_SCALE = 1e-6
MOST = 1e9


@dataclass
class Affine:
    """(s - centre) / scale, scale above 0; kinds differ in how the two are found."""

    centre: float = 0.0
    scale: float = 1.0

    def __call__(self, similarities):
        """Similarities of any shape -> calibrated ones, float64."""
        return (np.asarray(similarities, np.float64) - self.centre) / self.scale

    def to_json(self):
        return {"kind": self.kind, "centre": self.centre, "scale": self.scale}

    @classmethod
    def from_json(cls, values):
        return cls(float(values["centre"]), float(values["scale"]))


@dataclass
class Uncalibrated(Affine):
    """The similarities as they are: the paper's recipe."""

    kind = "none"

    @classmethod
    def fit(cls, pairs):
        return cls()


@dataclass
class ZScore(Affine):
    """Standard deviations above the mean of random pairs."""

    kind = "zscore"

    @classmethod
    def fit(cls, pairs):
        if not len(pairs):
            return cls()
        return cls(float(pairs.mean()), float(max(pairs.std(), LEAST_SCALE)))


KINDS = {cls.kind: cls for cls in (Uncalibrated, ZScore)}


def is_json(values):
    """Whether ``values`` can be what ``to_json`` made, also of a calibration that is no more."""
    if not isinstance(values, dict) or not text(values.get("kind")):
        return False
    centre, scale = values.get("centre"), values.get("scale")
    line = number(centre) and abs(centre) <= MOST and number(scale) and LEAST_SCALE <= scale <= MOST
    return line or values["kind"] not in KINDS


def from_json(values):
    """The calibration that ``to_json`` described.

    Args:
        values: what :func:`is_json` lets pass.

    Raises:
        InputError: its kind is no longer there.
    """
    if values["kind"] not in KINDS:
        raise InputError(
            f"the index has the calibration {values['kind']!r}, which is no longer there; "
            "run item-index again"
        )
    return KINDS[values["kind"]].from_json(values)


def sample_similarities(vectors, present, seed, pairs=PAIRS, block=8192):
    """Cosines of random pairs of different items, which calibrations are fitted on.

    Args:
        vectors: (n, d) array or ``Vectors``, L2-normalised.
        present: storage positions of the rows that are not absent, ascending.
        seed: of the draw.
        pairs: how many.
        block: pairs read at a time.

    Returns:
        (pairs,) float64; empty where fewer than two rows are present.
    """
    count = len(present)
    if count < 2:
        return np.zeros(0)
    rng = np.random.default_rng(seed)
    left = rng.integers(count, size=pairs)
    right = (left + rng.integers(1, count, size=pairs)) % count  # never the item itself
    similarities = np.empty(pairs)
    for start in range(0, pairs, block):
        some = slice(start, start + block)
        a, b = (np.asarray(vectors[present[side[some]]], np.float32) for side in (left, right))
        similarities[some] = np.einsum("nd,nd->n", a, b)
    return similarities


def sample_lexical(lexical, items, seed, pairs=PAIRS, titles=TITLES):
    """Lexical similarities of random pairs of different items, both with a title.

    Args:
        lexical: ``LexicalIndex``.
        items: ``Table`` of its items.
        seed: of the draw.
        pairs: how many.
        titles: how many are taken for queries, at most.

    Returns:
        (pairs,) float64; empty where fewer than two items have a title.
    """
    rows = np.flatnonzero(lexical.present)
    if len(rows) < 2:
        return np.zeros(0)
    rng = np.random.default_rng(seed)
    asked = rng.choice(len(rows), size=min(titles, len(rows)), replace=False)
    counts = count_terms(items[row]["title"] for row in rows[asked].tolist())
    left = rng.integers(len(asked), size=pairs)
    right = (asked[left] + rng.integers(1, len(rows), size=pairs)) % len(rows)  # never the same
    found = [
        lexical.similarities(counts[left[some]], rows[right[some]])
        for some in np.array_split(np.arange(pairs), pairs // 8192 + 1)
    ]
    return np.concatenate(found)
