import numpy as np
import pytest

from fairseq_item.search.calibration import KINDS, Sample
from fairseq_item.search.screens import ROUNDING, least_cosine

PAIRS = np.sort(np.random.default_rng(0).normal(0.2, 0.1, 5000))


@pytest.mark.parametrize("kind", list(KINDS))
def test_no_cosine_below_the_least_reaches_the_floor(kind):
    calibration = KINDS[kind].fit(Sample(PAIRS, PAIRS[-500:]))
    cosines = np.linspace(-1, 1, 101)
    least = least_cosine(calibration, calibration(cosines))
    np.testing.assert_allclose(least, cosines, atol=ROUNDING)
    low, high = calibration(np.array([-1.2, 1.2]))
    beyond = least_cosine(calibration, np.array([-np.inf, low, high]))
    assert beyond[0] == -np.inf
    assert beyond[1] < -1.1
    assert beyond[2] >= 1.09
