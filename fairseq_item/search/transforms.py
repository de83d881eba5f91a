"""What is done to one kind of embeddings (global, title or image) before they are compared.

A transform is fitted on the index alone and applied to index and queries alike. Embeddings of a
transformer lie in a narrow cone: all cosines are near one. Centring takes the cone's axis away,
whitening makes all directions count the same. Results are L2-normalised, whatever came in: each
vector of an index and of a query passes here once.

Rows that are all zero stand for an absent embedding: they stay zero and take no part in fitting.
A row that falls on the mean itself has no direction left, and is absent from then on.
"""

import logging

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import normalise

logger = logging.getLogger(__name__)
# Sum of variances of unit vectors; below this there is nothing but rounding to be told apart.
FLAT = 1e-9


class Identity:
    """The embeddings as they are: the paper's recipe."""

    kind = "none"

    @classmethod
    def fit(cls, blocks, dim, **settings):
        return cls()

    def __call__(self, rows):
        """(b, d) -> (b, d') float32, L2-normalised."""
        return normalise(rows)

    def arrays(self):
        """What must be stored to have the transform again: name -> array."""
        return {}


class Center:
    """Subtract the index's mean.

    Args:
        mean: (d,).
    """

    kind = "center"

    def __init__(self, mean):
        self.mean = np.asarray(mean, np.float32)

    @classmethod
    def fit(cls, blocks, dim, **settings):
        mean, covariance, _ = moments(blocks, dim)
        return Identity() if _flat(covariance) else cls(mean)

    def __call__(self, rows):
        return _keeping_absent(rows, np.asarray(rows, np.float32) - self.mean)

    def arrays(self):
        return {"mean": self.mean}


class Whiten:
    """Subtract the mean, turn to the principal axes, and scale each to unit variance.

    Args:
        mean: (d,).
        matrix: (d, d'), applied from the right.
    """

    kind = "whiten"

    def __init__(self, mean, matrix):
        self.mean = np.asarray(mean, np.float32)
        self.matrix = np.asarray(matrix, np.float32)

    @classmethod
    def fit(cls, blocks, dim, shrinkage=None):
        """Fit on blocks of rows.

        Args:
            blocks: iterable of (b, d) arrays.
            dim: d.
            shrinkage: 0 to 1, how far each variance is drawn to their mean. Above 0 it keeps
                directions in which the index hardly varies from being blown up to the noise in
                them, and makes whitening possible with fewer items than dimensions. None takes
                what :func:`default_shrinkage` gives.
        """
        mean, covariance, count = moments(blocks, dim)
        if _flat(covariance):
            return Identity()
        if shrinkage is None:
            shrinkage = default_shrinkage(dim, count)
        values, vectors = np.linalg.eigh(covariance)
        values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
        values = (1 - shrinkage) * values + shrinkage * values.mean()
        # Without shrinkage, axes without any variance (fewer items than dimensions) are dropped.
        kept = int((values > 1e-10 * values[0]).sum())
        signs = np.where(vectors.sum(axis=0) < 0, -1.0, 1.0)  # eigh leaves them open
        return cls(mean, (vectors * signs)[:, :kept] / np.sqrt(values[:kept]))

    def __call__(self, rows):
        # In float64, since float32 products of a row depend on the rows that it is multiplied with.
        centred = np.asarray(rows, np.float64) - self.mean
        return _keeping_absent(rows, centred @ self.matrix.astype(np.float64))

    def arrays(self):
        return {"mean": self.mean, "matrix": self.matrix}


def default_shrinkage(dim, count):
    """(d / n)^2, within 0.01 and 1.

    The more axes there are to a row, the less are the variances that n rows have along d axes to be
    trusted.
    """
    return float(np.clip((dim / max(count, 1)) ** 2, 0.01, 1))


KINDS = {cls.kind: cls for cls in (Identity, Center, Whiten)}


def fit_transform(kind, blocks, dim, shrinkage=None):
    """Fit the transform ``kind`` on blocks of rows.

    Args:
        kind: "none", "center" or "whiten".
        blocks: iterable of (b, d) arrays; all-zero rows are left out.
        dim: d.
        shrinkage: see ``Whiten.fit``.

    Raises:
        InputError: ``shrinkage`` is not within 0 and 1.
    """
    if shrinkage is not None and not 0 <= shrinkage <= 1:
        raise InputError(f"--whiten-shrinkage is {shrinkage}; it must be within 0 and 1")
    if kind == "whiten":
        return Whiten.fit(blocks, dim, shrinkage)
    return KINDS[kind].fit(blocks, dim)


def save_transform(transform, path):
    """Write a transform as ``.npz``; ``load_transform`` reads it."""
    np.savez(path, kind=np.array(transform.kind), **transform.arrays())


def load_transform(path, dim, to):
    """Read what ``save_transform`` wrote.

    Args:
        path: the file.
        dim, to: values a row before and after.

    Raises:
        InputError: the file is missing, is no such file, or is of other sizes.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        transform = KINDS[str(arrays.pop("kind"))](**arrays)
    except Exception as error:  # damaged archives raise many kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} is no transform ({reason}); run item-index again") from None
    shapes = {"mean": (dim,), "matrix": (dim, to)}
    for name, array in transform.arrays().items():
        if array.shape != shapes[name] or not np.isfinite(array).all():
            raise InputError(
                f"{path}: {name} is not finite and of shape {shapes[name]}; run item-index again"
            )
    if transform.kind != Whiten.kind and dim != to:
        raise InputError(f"{path} does not make {to} values of {dim}; run item-index again")
    return transform


def moments(blocks, dim):
    """Mean (d,), covariance (d, d) and number of the rows that are not all zero, in float64."""
    count, total, square = 0, np.zeros(dim), np.zeros((dim, dim))
    for rows in blocks:
        rows = np.asarray(rows, np.float64)
        rows = rows[rows.any(axis=1)]
        count += len(rows)
        total += rows.sum(axis=0)
        square += rows.T @ rows
    mean = total / max(count, 1)
    return mean, square / max(count, 1) - np.outer(mean, mean), count


def _flat(covariance):
    if np.trace(covariance) > FLAT:
        return False
    logger.warning("all embeddings of one kind are the same; they are left as they are")
    return True


def _keeping_absent(original, transformed):
    return normalise(np.where(np.any(original, axis=1, keepdims=True), transformed, 0))
