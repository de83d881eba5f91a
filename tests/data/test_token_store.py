import json
import struct

import numpy as np
import pytest

from fairseq_item.data.mmap_index import MMapIndexWriter, write_idx
from fairseq_item.data.token_store import TokenStore, TokenWriter, token_dtype
from fairseq_item.errors import InputError

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


DICTIONARY = "a 3\nb 2\nc 1\n"  # ids 4, 5 and 6


@pytest.fixture
def prefix(tmp_path):
    """A store of titles as item-binarize writes it, with its dictionary and BPE."""
    (tmp_path / "dict.txt").write_text(DICTIONARY)
    (tmp_path / "bpe.model").write_bytes(b"bpe")
    with TokenWriter(tmp_path / "train", 7, "items") as writer:
        for item in ([4, 5], [], [6]):
            writer.add(item)
    return tmp_path / "train"


def test_a_store_goes_with_its_own_items_and_vocabulary_alone(prefix):
    store = TokenStore(prefix)
    store.check_items("items")
    with pytest.raises(
        InputError, match=r"train\.bin belongs to another items file; run item-bina"
    ):
        store.check_items("others")
    for name, text in (("dict.txt", "b 3\na 2\nc 1\n"), ("bpe.model", "another")):
        path = prefix.with_name(name)
        before = path.read_bytes()
        path.write_text(text)
        with pytest.raises(
            InputError, match=rf"made with another .*{name}; run item-binarize again"
        ):
            TokenStore(prefix)
        path.write_bytes(before)
    TokenStore(prefix)


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["train.bin", "train.idx"])
def test_one_changed_bit_is_noticed(prefix, name):
    flip(prefix.with_name(name), 0 if name == "train.bin" else 30)
    with pytest.raises(InputError, match="damaged|not the file that was written here|bytes where"):
        TokenStore(prefix)


@pytest.mark.parametrize("text", ["", "[]", '{"version": 2}', '{"version": 1}', "{", "[" * 10**5])
def test_a_damaged_description(prefix, text):
    prefix.with_suffix(".json").write_text(text)
    with pytest.raises(InputError, match=r"train\.json .*; run item-binarize again"):
        TokenStore(prefix)


def test_what_a_killed_run_left_is_not_taken_for_whole(prefix):
    """It was killed between the renaming of its files."""
    writer = TokenWriter(prefix, 7, "items").__enter__()
    writer.add([4])
    writer._stack.callback(interrupt)
    with pytest.raises(KeyboardInterrupt):
        writer.__exit__(None, None, None)
    assert json.loads(prefix.with_suffix(".json").read_text())["whole"] is False
    with pytest.raises(InputError, match="not whole; run item-binarize again"):
        TokenStore(prefix)


def interrupt():
    raise KeyboardInterrupt


def test_stores_of_fairseq_have_no_description(prefix):
    prefix.with_suffix(".json").unlink()
    store = TokenStore(prefix)
    store.check_items("of any items")
    assert store[0].tolist() == [4, 5, 2]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([[4, 2], [7, 2]], r"train\.bin has ids that .*dict\.txt lacks"),
        ([[4, 2], [5]], "item 1 does not end"),
        ([[4, 2], []], r"train\.idx is damaged: item 1 has 0 elements"),
    ],
)
def test_ids_without_a_description_are_looked_at(prefix, items, message):
    prefix.with_suffix(".json").unlink()
    with MMapIndexWriter(prefix, np.uint16) as writer:
        for item in items:
            writer.add(item)
    with pytest.raises(InputError, match=message):
        TokenStore(prefix)


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_ids_of_another_dtype(prefix, dtype):
    prefix.with_suffix(".json").unlink()
    with MMapIndexWriter(prefix, dtype) as writer:
        writer.add([-4, 2])
    with pytest.raises(InputError, match="no token ids|has ids that"):
        TokenStore(prefix)


@pytest.mark.parametrize("offset", [10**12, -8, 3])
@pytest.mark.parametrize("described", [True, False])
def test_an_offset_in_the_middle(prefix, offset, described):
    path = prefix.with_suffix(".idx")
    data = bytearray(path.read_bytes())
    data[26 + 12 + 8 : 26 + 12 + 16] = struct.pack("<q", offset)
    path.write_bytes(data)
    if not described:
        prefix.with_suffix(".json").unlink()
    with pytest.raises(InputError, match=rf"item 1 has 1 elements at byte {offset}"):
        TokenStore(prefix)


def test_sizes_below_zero(prefix):
    prefix.with_suffix(".json").unlink()
    write_idx(prefix.with_suffix(".idx"), [3, -1, 4], np.uint16)
    with pytest.raises(InputError, match="item 1 has -1 elements"):
        TokenStore(prefix)
