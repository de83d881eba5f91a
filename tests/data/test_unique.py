import numpy as np
import pytest

from fairseq_item.data import unique
from fairseq_item.data.catalog import read_catalog
from fairseq_item.data.tables import check_ids, read_table
from fairseq_item.data.unique import Suspects
from fairseq_item.errors import InputError


def suspected(values):
    suspects = Suspects()
    for value in values:
        suspects.add(value)
    found = suspects.found()
    return None if found is None else {value for value in values if found(value)}


def test_only_what_occurs_twice_is_suspected():
    names = [f"p{i}" for i in range(5000)]
    assert suspected([]) is None
    assert suspected(names) is None
    assert suspected([*names, "p7", "p7", "p4999"]) == {"p7", "p4999"}


def test_equal_hashes_make_suspects(monkeypatch):
    monkeypatch.setattr(unique, "hash", len, raising=False)
    assert suspected(["a", "bb", "c", "dddd"]) == {"a", "c"}


@pytest.mark.parametrize("repeats", [0, 1])
def test_innocent_suspects_are_no_repeats(tmp_path, monkeypatch, repeats):
    monkeypatch.setattr(unique, "hash", lambda value: 0, raising=False)
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
