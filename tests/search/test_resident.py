"""The path of a GPU on torch's CPU: what is kept, and that answers do not depend on it."""

import gc
from types import SimpleNamespace
from weakref import WeakKeyDictionary

import numpy as np
import pytest

from fairseq_item.search import resident
from fairseq_item.search.calibration import Affine
from fairseq_item.search.embeddings import EMBEDDINGS, normalise
from fairseq_item.search.exact import ROWS_A_TIME, search_exactly
from fairseq_item.search.fusion import Batch, Fuser
from fairseq_item.search.transforms import Identity
from fairseq_item.search.vectors import Vectors, to_int8

COUNT, DIM, DEVICE = 500, 16, "cpu:0"


class Index(SimpleNamespace):
    def __len__(self):
        return len(self.present)


def made(dtype, kind="sum"):
    """An index of 500 items, and a batch of 20 queries."""
    rng = np.random.default_rng(3)
    rows = {name: normalise(rng.normal(size=(COUNT, DIM))) for name in EMBEDDINGS}
    rows["image"][::7] = 0
    vectors = {
        name: Vectors(*to_int8(part)) if dtype == "int8" else Vectors(part.astype(dtype))
        for name, part in rows.items()
    }
    present = np.stack([*(part.any(axis=1) for part in rows.values()), np.zeros(COUNT, bool)], 1)
    plain = dict.fromkeys(EMBEDDINGS, Identity())
    index = Index(vectors=vectors, present=present, lexical=None, transforms=plain)
    fuser = Fuser(kind, (1, 0.5, 2), {name: Affine(0.1, 0.3) for name in EMBEDDINGS})
    queries = {name: normalise(rng.normal(size=(20, DIM))) for name in EMBEDDINGS}
    return Batch(index, fuser, queries, 5, np.full(20, -1))


@pytest.fixture
def copies(monkeypatch):
    """Small parts, nothing kept yet; the stretches that were copied to the device."""
    monkeypatch.setattr(resident, "_kept", WeakKeyDictionary())
    monkeypatch.setattr(resident, "ROWS", 128)
    monkeypatch.setitem(ROWS_A_TIME, "cuda", 200)
    seen, copied = [], resident._copied

    def counted(vectors, device, start, stop):
        seen.append((start, min(stop, len(vectors))))
        return copied(vectors, device, start, stop)

    monkeypatch.setattr(resident, "_copied", counted)
    return seen


def keep(monkeypatch, parts, size):
    """Room for so many parts of ``size`` bytes."""

    def room(device):
        used = sum(len(kept[device]) for kept in resident._kept.values() if device in kept)
        return (parts - used) * size

    monkeypatch.setattr(resident, "room", room)


@pytest.mark.parametrize("kind", ["sum", "max"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("parts", [0, 5, 12])
def test_answers_are_those_of_brute_force(parts, dtype, kind, copies, monkeypatch):
    batch = made(dtype, kind)
    keep(monkeypatch, parts, 128 * batch.index.vectors["title"].stored[:1].nbytes)
    every = [batch.best(np.full(COUNT, query), np.arange(COUNT)) for query in range(20)]
    for _ in range(2):
        del copies[:]
        found = search_exactly(batch, DEVICE)
        np.testing.assert_array_equal(found.row, np.concatenate([best.row for best in every]))
        np.testing.assert_array_equal(found.score, np.concatenate([best.score for best in every]))
        kept = [p for v in batch.index.vectors.values() for p in resident._kept[v][DEVICE].values()]
        assert len(kept) == parts  # of 3 embeddings of 4 parts each
        assert max(stop - start for start, stop in [*copies, (0, 0)]) <= 128
    # In the second turn.
    rows = sum(len(stored) for stored, _ in kept)
    assert sum(stop - start for start, stop in copies) == 3 * COUNT - rows


def test_what_is_kept_goes_with_the_index(copies, monkeypatch):
    monkeypatch.setattr(resident, "room", lambda device: 1e9)
    batch = made("float16")
    search_exactly(batch, DEVICE)
    assert len(resident._kept) == 3
    del batch
    gc.collect()
    assert not resident._kept


def test_stored_values_are_what_is_kept(copies, monkeypatch):
    """float16 takes two bytes a value on the device, and int8 one and its scales."""
    monkeypatch.setattr(resident, "room", lambda device: 1e9)
    for dtype, size in (("float16", 2), ("int8", 1), ("float32", 4)):
        vectors = made(dtype).index.vectors["global"]
        rows = resident.resident_rows(vectors, DEVICE, 100, 300)
        np.testing.assert_array_equal(rows.numpy(), vectors[100:300])
        parts = resident._kept[vectors][DEVICE]
        assert sorted(parts) == [0, 128, 256]
        assert parts[128][0].element_size() == size
        assert parts[128][0].shape == (128, DIM)


def test_a_processor_keeps_nothing():
    assert resident.room("cpu") == 0
