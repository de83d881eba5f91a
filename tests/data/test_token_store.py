import numpy as np
import pytest

from fairseq_item.data.token_store import TokenStore, TokenWriter, token_dtype

ITEMS = [[5, 6, 7], [], [499], list(range(4, 500))]


def test_round_trip(tmp_path):
    with TokenWriter(tmp_path / "train", 500) as writer:
        for item in ITEMS:
            writer.add(np.asarray(item, np.int32))
    store = TokenStore(tmp_path / "train")
    assert len(store) == 4
    assert store.sizes.tolist() == [4, 1, 2, 497]
    assert [store[i].tolist() for i in range(4)] == [[*item, 2] for item in ITEMS]
    assert store[-1].tolist() == [*ITEMS[-1], 2]


@pytest.mark.parametrize("size", [5, 65_499, 65_500, 70_000, 4_294_967_294, 4_294_967_295, 2**40])
def test_dtype_is_that_of_fairseq(size):
    pytest.importorskip("fairseq")
    from fairseq.data.indexed_dataset import best_fitting_int_dtype

    assert token_dtype(size) == np.dtype(best_fitting_int_dtype(size))


def test_large_vocabulary(tmp_path):
    with TokenWriter(tmp_path / "train", 70_000) as writer:
        writer.add([69_999])
    store = TokenStore(tmp_path / "train")
    assert store.dtype == np.uint32
    assert store[0].tolist() == [69_999, 2]
