import numpy as np
import pytest

from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import normalise
from fairseq_item.search.transforms import (
    KINDS,
    default_shrinkage,
    fit_transform,
    load_transform,
    moments,
    save_transform,
)


def cone(count=400, dim=6, seed=0):
    """Unit vectors around one axis, with two absent rows."""
    rng = np.random.default_rng(seed)
    rows = normalise(rng.normal(size=(count, dim)) * np.linspace(0.1, 0.5, dim) + 2)
    rows[[3, count // 8]] = 0
    return rows


def blocks(rows, size=64):
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def test_moments_equal_numpy_without_the_absent_rows():
    rows = cone()
    mean, covariance, count = moments(blocks(rows), 6)
    present = rows[rows.any(axis=1)].astype(np.float64)
    assert count == 398
    np.testing.assert_allclose(mean, present.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(present.T, bias=True), atol=1e-12)


def test_whitened_covariance_is_the_identity():
    rows = cone()
    whiten = fit_transform("whiten", blocks(rows), 6, shrinkage=0)
    present = rows[rows.any(axis=1)]
    projected = (present - whiten.mean) @ whiten.matrix
    # Unit vectors around an axis still vary in all six directions, though little along it.
    np.testing.assert_allclose(np.cov(projected.T, bias=True), np.eye(6), atol=1e-2)


def test_stronger_axes_are_stretched_less():
    whiten = fit_transform("whiten", blocks(cone()), 6, shrinkage=0)
    assert np.all(np.diff(np.linalg.norm(whiten.matrix, axis=0)) > 0)


def test_shrinkage_goes_from_whitening_to_centring():
    rows = cone()
    shrunk = fit_transform("whiten", blocks(rows), 6, shrinkage=1)
    centred = fit_transform("center", blocks(rows), 6)
    # All scales are equal then, and a rotation changes no cosine.
    np.testing.assert_allclose(
        shrunk(rows) @ shrunk(rows).T, centred(rows) @ centred(rows).T, atol=1e-4
    )


@pytest.mark.parametrize("kind", list(KINDS))
def test_results_are_unit_vectors_and_absent_rows_stay_zero(kind):
    rows = cone()
    result = fit_transform(kind, blocks(rows), 6)(rows)
    norms = np.linalg.norm(result, axis=1)
    assert not result[[3, 50]].any()
    np.testing.assert_allclose(np.delete(norms, [3, 50]), 1, atol=1e-5)


def test_centring_takes_the_cone_away():
    rows = cone()
    centred = fit_transform("center", blocks(rows), 6)(rows)
    off = ~np.eye(len(rows), dtype=bool)
    assert (rows @ rows.T)[off].mean() > 0.9
    assert abs((centred @ centred.T)[off].mean()) < 0.05


@pytest.mark.parametrize("kind", list(KINDS))
def test_degenerate_indexes_stay_searchable(kind):
    same = np.repeat(normalise(np.ones((1, 4))), 5, axis=0)
    assert fit_transform(kind, [same], 4)(same).any(axis=1).all()
    assert fit_transform(kind, [np.zeros((5, 4))], 4)(same).any(axis=1).all()
    few = normalise(np.eye(4)[:2] + 0.1)
    assert np.isfinite(fit_transform(kind, [few], 4, shrinkage=0)(few)).all()


@pytest.mark.parametrize("kind", list(KINDS))
def test_stored_transform_does_the_same(tmp_path, kind):
    rows = cone()
    transform = fit_transform(kind, blocks(rows), 6)
    path = tmp_path / "t.npz"
    save_transform(transform, path)
    np.testing.assert_array_equal(load_transform(path, 6, 6)(rows), transform(rows))


def test_settings_out_of_range(tmp_path):
    with pytest.raises(InputError, match="--whiten-shrinkage"):
        fit_transform("whiten", [cone()], 6, shrinkage=1.5)
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is no transform"):
        load_transform(tmp_path / "bad.npz", 6, 6)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_transform_of_other_sizes_or_not_finite_is_refused(tmp_path, kind):
    transform, path = fit_transform(kind, blocks(cone()), 6), tmp_path / "t.npz"
    save_transform(transform, path)
    for dim, to in [(5, 6), (6, 5)]:
        # Centring and none keep the width, whatever it is.
        with pytest.raises(InputError, match=r"shape|values of"):
            load_transform(path, dim, to)
    for array in transform.arrays().values():
        array.flat[0] = np.nan
        save_transform(transform, path)
        with pytest.raises(InputError, match="not finite"):
            load_transform(path, 6, 6)


@pytest.mark.parametrize(
    ("dim", "count", "expected"),
    [(256, 2560, 0.01), (256, 10**6, 0.01), (1536, 4220, 0.132482), (300, 1000, 0.09), (9, 4, 1)],
)
def test_default_shrinkage(dim, count, expected):
    assert default_shrinkage(dim, count) == pytest.approx(expected, abs=1e-6)


def test_shrinkage_goes_by_the_rows_that_are_present():
    rows = cone(20)  # two of them absent: (6 / 18)^2
    given = fit_transform("whiten", blocks(rows), 6, shrinkage=1 / 9)
    np.testing.assert_allclose(fit_transform("whiten", blocks(rows), 6)(rows), given(rows))
    other = fit_transform("whiten", blocks(rows), 6, shrinkage=0.01)
    assert not np.allclose(other(rows), given(rows), atol=1e-3)
