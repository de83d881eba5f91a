"""Opening a large catalogue, and cutting it into batches, does not read its items."""

import math
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "examples" / "benchmark"
COUNT = 200_000


def test_memory_does_not_grow_with_the_catalogue(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARK))
    from loading import epoch_of, open_products, resident, write_sparse

    if math.isnan(resident()):
        pytest.skip("asks Linux for its memory")
    write_sparse(tmp_path, COUNT)
    assert (tmp_path / "image.bin").stat().st_size == COUNT * 196_608
    before = resident()
    # Shown small: room for large images would hide what is looked for.
    data = open_products(tmp_path, image_size=64)
    assert resident() - before < 2
    assert len(epoch_of(data, 1, 500)) == COUNT // 500
    assert resident() - before < 16  # a few numbers a product

    order, settled = data.ordered_indices(), None
    for turn in range(5):
        samples = data.__getitems__(order[turn * 100 : turn * 100 + 100])
        assert len(samples) == 100
        del samples
        settled = settled or resident()
    # 400 more images, 75 MiB, left nothing behind; all the titles and indexes are 11 MiB.
    assert resident() - settled < 24
