import json

import numpy as np
import pytest

from fairseq_item.errors import InputError
from fairseq_item.search import calibration
from fairseq_item.search.calibration import KINDS, sample_similarities
from fairseq_item.search.embeddings import normalise


def vectors(count=300, dim=8, seed=0, shift=1.0):
    rng = np.random.default_rng(seed)
    return normalise(rng.normal(size=(count, dim)) + shift)


def sample(**settings):
    rows = vectors(**settings)
    return sample_similarities(rows, np.arange(len(rows)), seed=1, pairs=20_000)


SAMPLES = {
    "ordinary": sample(),
    "narrow": sample(shift=50.0),
    "equal": np.full(100, 0.5),
    "two values": np.repeat([0.1, 0.9], 50),
    "mostly equal": np.r_[np.full(990, 0.2), np.linspace(0.3, 0.4, 10)],
    "empty": np.zeros(0),
}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("name", list(SAMPLES))
def test_strictly_increasing_everywhere_and_stored_exactly(kind, name):
    fitted = KINDS[kind].fit(SAMPLES[name])
    grid = np.linspace(-1.001, 1.001, 20_021)
    scores = fitted(grid)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) > 0).all()
    again = calibration.from_json(json.loads(json.dumps(fitted.to_json())))
    np.testing.assert_array_equal(again(grid), scores)


@pytest.mark.parametrize("kind", list(KINDS))
def test_absent_stays_absent(kind):
    assert np.isnan(KINDS[kind].fit(SAMPLES["ordinary"])(np.array([np.nan]))).all()


def test_none_leaves_cosines_alone():
    grid = np.linspace(-1, 1, 11)
    np.testing.assert_array_equal(KINDS["none"].fit(SAMPLES["ordinary"])(grid), grid)


def test_zscore_is_that_of_the_pairs():
    pairs = SAMPLES["ordinary"]
    scores = KINDS["zscore"].fit(SAMPLES["ordinary"])(pairs)
    assert scores.mean() == pytest.approx(0, abs=1e-9)
    assert scores.std() == pytest.approx(1)


def test_calibrations_that_went_are_refused_with_what_to_run():
    with pytest.raises(InputError, match="calibration 'tail'.*run item-index again"):
        calibration.from_json({"kind": "tail", "knots": [0.0]})


def test_sample_equals_brute_force():
    rows = vectors(count=50)
    rows[7] = 0
    present = np.delete(np.arange(50), 7)
    drawn = sample_similarities(rows, present, seed=3, pairs=500, block=16)
    cosines = rows[present].astype(np.float64) @ rows[present].T.astype(np.float64)
    np.fill_diagonal(cosines, -np.inf)
    possible = np.sort(cosines[np.isfinite(cosines)])
    nearest = possible[np.searchsorted(possible, drawn).clip(max=len(possible) - 1)]
    before = possible[(np.searchsorted(possible, drawn) - 1).clip(min=0)]
    assert np.minimum(abs(nearest - drawn), abs(before - drawn)).max() < 1e-6
    again = sample_similarities(rows, present, seed=3, pairs=500, block=16)
    np.testing.assert_array_equal(again, drawn)
    assert len(sample_similarities(rows, present[:1], seed=3)) == 0
