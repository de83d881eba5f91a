import numpy as np
import pytest

from fairseq_item.data.targets import NO_CATEGORY, UNKNOWN, read_categories, read_targets
from fairseq_item.data.token_store import TokenWriter
from fairseq_item.errors import InputError


@pytest.fixture
def data(tmp_path):
    """A data-bin of labels alone: two categories, and a split in two shards."""
    for folder in ("label", "items"):
        (tmp_path / folder).mkdir()
    (tmp_path / "label" / "dict.txt").write_text("Tee%20Shirts 3\n100%25%20Wool 1\n")
    write(tmp_path, "test", [5, 3, 4], ["100% Wool", "Hats", "Tee Shirts"])
    write(tmp_path, "test1", [3, 4], ["", "Tee Shirts"])
    return tmp_path


def write(data, shard, symbols, categories):
    with TokenWriter(data / "label" / shard, 6) as writer:
        for symbol in symbols:
            writer.add([symbol])
    lines = ["id\tleaf_category", *(f"{i}\t{name}" for i, name in enumerate(categories))]
    (data / "items" / f"{shard}.tsv").write_text("\n".join(lines) + "\n")


def test_names_are_those_of_the_catalogue(data):
    assert read_categories(data) == ["Tee Shirts", "100% Wool"]


def test_a_class_an_unknown_category_or_none(data):
    targets = read_targets(data, "test", 2)
    assert targets.dtype == np.int64
    assert targets.tolist() == [1, UNKNOWN, 0, NO_CATEGORY, 0]


def test_labels_of_another_dictionary(data):
    with pytest.raises(InputError, match=r"test.bin has labels that .*dict.txt lacks"):
        read_targets(data, "test", 1)


def test_without_leaf_categories(tmp_path):
    with pytest.raises(InputError, match="give the catalogue a column leaf_category"):
        read_categories(tmp_path)
