import numpy as np
import pytest

from fairseq_item.data.sharded import Concatenated, items_digest, open_split, shard_names
from fairseq_item.data.titles import EOS
from fairseq_item.data.token_store import TokenStore, TokenWriter
from fairseq_item.errors import InputError


class Lists:
    def __init__(self, values):
        self.values = values
        self.prefetched = []
        self.sizes = np.array([len(value) for value in values])

    def __len__(self):
        return len(self.values)

    def __getitem__(self, i):
        return self.values[i]

    def image(self, i):
        return ("image", self.values[i])

    def rows(self, i, top, bottom):
        return self.values[i][top:bottom]

    def side(self, i):
        return len(self.values[i])

    def prefetch(self, indices):
        self.prefetched.append(indices.tolist())

    def firsts(self):
        return np.array([value[0] for value in self.values])


def test_reads_as_one():
    both = Concatenated([Lists(["a", "bb"]), Lists([]), Lists(["ccc"])])
    assert len(both) == 3
    assert [both[i] for i in range(3)] == ["a", "bb", "ccc"]
    assert both.image(2) == ("image", "ccc")
    assert list(both.sizes) == [1, 2, 3]
    assert both.rows(2, 1, 3) == "cc"
    assert both.side(1) == 2


def test_each_store_is_told_its_own_items():
    stores = [Lists(["a", "bb"]), Lists([]), Lists(["c", "d", "e"]), Lists(["f"])]
    Concatenated(stores).prefetch(np.array([4, 1, 2, 0]))
    assert [store.prefetched for store in stores] == [[[1, 0]], [], [[2, 0]], []]


def test_firsts_of_all_stores():
    assert Concatenated([Lists(["a", "bb"]), Lists(["ccc"])]).firsts().tolist() == ["a", "b", "c"]


def touch(folder, *names):
    (folder / "items").mkdir()
    for name in names:
        (folder / "items" / f"{name}.tsv").write_text("id\n")


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (["train"], ["train"]),
        (["train0", "train1"], ["train0", "train1"]),
        (["train", "train1", "train2", "train4"], ["train", "train1", "train2"]),
    ],
)
def test_shards(tmp_path, present, expected):
    touch(tmp_path, *present)
    assert shard_names(tmp_path, "train") == expected


def test_missing_split_names_the_others(tmp_path):
    touch(tmp_path, "train", "valid")
    with pytest.raises(InputError, match="train, valid"):
        shard_names(tmp_path, "test")


def test_sharded_split_equals_whole(tmp_path):
    touch(tmp_path, "train0", "train1")
    rows = [[1, 2], [3], [4, 5, 6]]
    for name, part in (("train0", rows[:2]), ("train1", rows[2:])):
        with TokenWriter(tmp_path / "title" / name, 9, items_digest(tmp_path, name)) as writer:
            for row in part:
                writer.add(row)
    store = open_split(tmp_path, "train", "title", TokenStore)
    assert [store[i].tolist() for i in range(len(store))] == [[*row, EOS] for row in rows]


def test_stores_of_other_items_are_refused(tmp_path):
    touch(tmp_path, "train")
    with TokenWriter(tmp_path / "title" / "train", 9, items_digest(tmp_path, "train")) as writer:
        writer.add([5])
    open_split(tmp_path, "train", "title", TokenStore)
    (tmp_path / "items" / "train.tsv").write_text("id\nb\n")
    message = r"title/train\.bin belongs to another items file; run item-binarize again"
    with pytest.raises(InputError, match=message):
        open_split(tmp_path, "train", "title", TokenStore)
