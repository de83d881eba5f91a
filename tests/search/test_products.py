"""The bounds hold, whatever the sizes, and are not so wide that they would say nothing."""

import numpy as np
import pytest

from fairseq_item.search import products
from fairseq_item.search.embeddings import normalise
from fairseq_item.search.products import BFloat16, Float32
from fairseq_item.search.vectors import Vectors, to_int8


def stored(dtype, rows):
    return Vectors(*to_int8(rows)) if dtype == "int8" else Vectors(rows.astype(dtype))


@pytest.mark.parametrize("kind", [Float32, BFloat16])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("widths", [(5,), (64,), (768,), (33, 64, 2), (256, 256, 256)])
def test_error_is_within_its_bound(kind, dtype, widths):
    rng = np.random.default_rng(len(widths))
    # In a cone, so that products are large, and scaled as a calibration would.
    items = [normalise(rng.normal(size=(90, d)) + 0.5) for d in widths]
    queries = [normalise(rng.normal(size=(40, d)) + 0.5) * 7**i for i, d in enumerate(widths)]
    queries = [rows.astype(np.float32) for rows in queries]
    items[-1][3] = queries[0][2] = 0
    vectors = [stored(dtype, rows) for rows in items]
    product = kind(vectors, queries)
    exact = sum(q.astype(np.float64) @ v[:].astype(np.float64).T for q, v in zip(queries, vectors))
    for start, stop in [(0, 64), (64, 90), (89, 90), (0, 90)]:
        rough = product(start, stop).astype(np.float64)
        assert rough.shape == (40, stop - start)
        bound = product.absolute[:, None] + product.relative * np.abs(rough)
        assert (np.abs(rough - exact[:, start:stop]) <= bound).all()
        if kind is BFloat16:
            assert (np.abs(rough - exact[:, start:stop]) > bound / 1000).any()
        assert bound.max() < (0.02 if kind is BFloat16 else 1e-4) * sum(7**i for i in range(3))


def test_choice_depends_on_the_work_and_the_processor(monkeypatch):
    monkeypatch.setattr(products, "_has_bfloat16", lambda: True)
    monkeypatch.setattr(products.sys, "modules", {})
    assert products.choose(1000, 1_000_000, 2304) is BFloat16
    assert products.choose(1000, 1000, 2304) is Float32  # torch takes longer to import
    assert products.choose(1, 1_000_000_000, 2304) is Float32  # the vectors are read but once
    monkeypatch.setattr(products.sys, "modules", {"torch": None})
    assert products.choose(1000, 1000, 2304) is BFloat16
    monkeypatch.setattr(products, "_has_bfloat16", lambda: False)
    assert products.choose(1000, 1_000_000, 2304) is Float32
