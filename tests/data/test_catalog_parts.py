"""A folder or a glob of Parquet files is one catalogue, whose rows are named by their file."""

import pyarrow
import pyarrow.parquet
import pytest

from fairseq_item.commands import pack
from fairseq_item.data.catalog import read_catalog
from fairseq_item.errors import InputError

ROWS = [{"id": str(i), "title": f"shoe {i}", "image": f"{i}.jpg"} for i in range(7)]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


@pytest.fixture
def parts(tmp_path):
    """Three files of 3, 0 and 4 rows, the last with its columns in another order."""
    folder = tmp_path / "[products]"
    write(folder / "part-00002.parquet", [dict(reversed(row.items())) for row in ROWS[3:]])
    empty = pyarrow.Table.from_pylist(ROWS).slice(0, 0)
    write(folder / "part-00000.parquet", ROWS[:3])
    pyarrow.parquet.write_table(empty, folder / "part-00001.parquet")
    (folder / "_SUCCESS").touch()
    (folder / "_metadata.parquet").write_bytes(b"of Spark")
    return folder


def test_a_folder_and_a_glob_are_read_in_name_order(parts):
    for path in (parts, str(parts.parent / "*" / "part-*.parquet")):
        catalog = read_catalog(path)
        assert [row for _, row in catalog] == ROWS
        assert [row for _, row in catalog] == ROWS
        assert [path.name[:10] for path in catalog.files] == [f"part-0000{i}" for i in range(3)]


def test_messages_name_the_part_and_its_row(parts):
    catalog = read_catalog(parts)
    found = [catalog.where(number) for number, _ in catalog]
    names = [f"part-00000.parquet row {i}" for i in (1, 2, 3)]
    names += [f"part-00002.parquet row {i}" for i in (1, 2, 3, 4)]
    assert [where.rpartition("/")[2] for where in found] == names
    write(parts / "part-00003.parquet", [ROWS[1]])
    with pytest.raises(
        InputError, match=r"00003\.parquet row 1 repeats the id '1' of .*00000\.parquet row 2;"
    ):
        list(read_catalog(parts))


def test_parts_of_other_columns_and_other_files_are_refused(parts, tmp_path):
    write(parts / "part-00003.parquet", [{**ROWS[0], "id": "x", "brand": "b"}])
    with pytest.raises(InputError, match=r"00003\.parquet does not have the columns .*\(brand\)"):
        read_catalog(parts)
    with pytest.raises(InputError, match="SUCC.* no .parquet files"):
        read_catalog(str(tmp_path / "*" / "SUCC*"))
    (tmp_path / "a.tsv").touch()
    with pytest.raises(InputError, match=r"a\.tsv is not Parquet"):
        read_catalog(str(tmp_path / "*.tsv"))


def test_a_part_that_changes_meanwhile_is_noticed(parts):
    rows = iter(read_catalog(parts))
    next(rows)
    write(parts / "part-00002.parquet", ROWS[4:])
    with pytest.raises(InputError, match="was changed while it was being read"):
        list(rows)


def test_packing_parts_is_packing_the_whole(parts, tmp_path, data_bin):
    images = data_bin.parent / "images"
    rows = [{**row, "image": f"{i}.png"} for i, row in enumerate(ROWS)]
    write(parts / "part-00000.parquet", rows[:3])
    write(parts / "part-00002.parquet", rows[3:])
    write(tmp_path / "whole.parquet", rows)
    for catalog, name in ((parts, "parts"), (tmp_path / "whole.parquet", "whole")):
        pack.main(
            [str(catalog), "--image-root", str(images), "--out", str(tmp_path / name)]
            + ["--split", "test", "--image-size", "32", "--num-workers", "1"]
        )
    for name in ("image/test.bin", "image/test.idx", "items/test.tsv"):
        one, other = (tmp_path / out / name for out in ("parts", "whole"))
        assert one.read_bytes() == other.read_bytes()
