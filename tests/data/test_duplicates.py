import numpy as np
import pytest

from fairseq_item.data import duplicates
from fairseq_item.data.catalog import read_catalog
from fairseq_item.data.duplicates import Duplicates
from fairseq_item.data.tsv import check_ids, read_table
from fairseq_item.errors import InputError


def candidates(values):
    found = Duplicates()
    for value in values:
        found.add(value)
    return found.candidates()


def test_only_hashes_that_occur_twice_are_candidates():
    names = [f"p{i}" for i in range(5000)]
    assert candidates([]) == candidates(names) == set()
    assert candidates([*names, "p7", "p7", "p4999"]) == {hash("p7"), hash("p4999")}


def test_nothing_is_read_again_without_candidates():
    def reread():
        raise AssertionError

    assert Duplicates().first(reread) is None


@pytest.mark.parametrize("repeats", [0, 1])
def test_equal_hashes_are_no_repeats(tmp_path, monkeypatch, repeats):
    monkeypatch.setattr(duplicates, "hash", lambda value: 0, raising=False)
    names = [f"p{i}" for i in np.random.default_rng(0).permutation(20)]
    names += names[3 : 3 + repeats]
    path = tmp_path / "t.tsv"
    path.write_text("".join(f"{name}\n" for name in ["id", *names]))

    def check():
        check_ids(read_table(path), path)

    def read():
        assert [row["id"] for _, row in read_catalog(path, require=("id",))] == names

    for function, message in ((check, "row 22 has the id"), (read, "line 22 repeats the id")):
        if repeats:
            with pytest.raises(InputError, match=message):
                function()
        else:
            function()
