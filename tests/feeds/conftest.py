"""A file of any layout through ``item-import``, as its rows and its list of rejects."""

import gzip

import pytest

from fairseq_item.commands import import_
from fairseq_item.data.catalog import read_catalog
from fairseq_item.data.tsv import read_table


@pytest.fixture
def imported(tmp_path):
    """Function from texts by file name (".gz": gzipped) to (rows by id, rejects, both as dicts)."""

    def run(files, *flags):
        paths = []
        for name, text in files.items():
            path = tmp_path / name
            data = text if isinstance(text, bytes) else text.encode()
            path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
            paths.append(str(path))
        out = tmp_path / "catalog.tsv"
        import_.main([*paths, "--out", str(out), *flags])
        rows = {row["id"]: row for _, row in read_catalog(out)}
        return rows, list(read_table(tmp_path / "catalog.rejected.tsv").dicts())

    return run
