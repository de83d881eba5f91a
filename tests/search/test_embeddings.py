import numpy as np
import pytest

from fairseq_item.data.tsv import Table, read_table, write_table
from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter, normalise


def items(count):
    return [{"id": f"p{i}", "title": f"title\t{i}", "image": f"{i}.jpg"} for i in range(count)]


def arrays(count, dim, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(count, dim)).astype(np.float32) for _ in EMBEDDINGS]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float16", 1e-3)])
def test_round_trip(tmp_path, dtype, tolerance):
    written = arrays(7, 5)
    written[1][3] = 0
    writer = EmbeddingWriter(tmp_path, items(7), 5, dtype, {"checkpoint": "c.pt"})
    writer.write(0, *(a[:4] for a in written))
    writer.write(4, *(a[4:] for a in written))
    writer.finish()
    read = Embeddings.load(tmp_path)
    assert read.ids == [f"p{i}" for i in range(7)]
    assert read.items[2] == {"id": "p2", "title": "title 2", "image": "2.jpg"}
    assert read.meta["checkpoint"] == "c.pt"
    assert read.meta["dim"] == 5
    for part, array in zip(EMBEDDINGS, written):
        assert read.arrays[part].dtype == dtype
        assert isinstance(read.arrays[part], np.memmap)
        assert not read.arrays[part].flags.writeable
        np.testing.assert_allclose(read.arrays[part], normalise(array), atol=tolerance)
    assert not read.arrays["title"][3].any()
    stretches = list(read.blocks("image", size=3))
    assert [start for start, _ in stretches] == [0, 3, 6]
    np.testing.assert_array_equal(np.concatenate([r for _, r in stretches]), read.rows("image"))


def test_rows_of_any_size_become_unit_vectors(tmp_path):
    """Squares of 1e-25 vanish in float32, those of 1e20 overflow."""
    written = arrays(4, 5)
    for array in written:
        array *= np.array([[1e-25], [1], [1e20], [0]])
    writer = EmbeddingWriter(tmp_path, items(4), 5)
    writer.write(0, *(array.astype(np.float32) for array in written))
    writer.finish()
    norms = np.linalg.norm(Embeddings.load(tmp_path).rows("title"), axis=1)
    np.testing.assert_allclose(norms, [1, 1, 1, 0], atol=1e-6)


def test_two_writers_share_the_files(tmp_path):
    written = arrays(6, 4)
    first = EmbeddingWriter(tmp_path, items(6), 4)
    second = EmbeddingWriter.open(tmp_path)
    second.write(3, *(a[3:] for a in written))
    first.write(0, *(a[:3] for a in written))
    second.flush()
    with pytest.raises(RuntimeError):
        second.finish()
    first.finish()
    np.testing.assert_allclose(
        Embeddings.load(tmp_path).arrays["global"], normalise(written[0]), atol=1e-6
    )


def test_a_folder_is_as_it_was_until_the_new_one_is_whole(tmp_path):
    written, path = arrays(3, 4), tmp_path / "e"
    EmbeddingWriter(path, items(2), 4).finish()
    old = Embeddings.load(path)
    again = EmbeddingWriter(path, items(3), 4)
    again.write(0, *written)
    assert len(Embeddings.load(path)) == 2
    again.finish()
    np.testing.assert_allclose(Embeddings.load(path).rows("title"), normalise(written[1]))
    assert not old.rows("title").any()  # who has opened it reads on
    assert old.items[1]["id"] == "p1"
    with EmbeddingWriter(path, items(1), 4):
        pass  # and does not finish
    assert len(Embeddings.load(path)) == 3
    assert list(tmp_path.iterdir()) == [path]


def test_only_a_folder_of_embeddings_is_replaced(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"holds other things \(notes\.txt\), which would be lost"):
        EmbeddingWriter(tmp_path, items(1), 4)
    with pytest.raises(InputError, match=r"notes\.txt is a file"):
        EmbeddingWriter(tmp_path / "notes.txt", items(1), 4)


@pytest.mark.parametrize(
    ("name", "at"), [("title.npy", 200), ("items.tsv", 30), ("meta.json", b'"dim": 4')]
)
def test_files_that_were_changed_are_refused(tmp_path, name, at):
    writer = EmbeddingWriter(tmp_path / "e", items(9), 4)
    writer.write(0, *arrays(9, 4))
    writer.finish()
    path = tmp_path / "e" / name
    content = path.read_bytes()
    changed = bytearray(content)
    changed[at if isinstance(at, int) else content.index(at) + len(at) - 1] ^= 1
    path.write_bytes(changed)
    with pytest.raises(InputError, match="is not the file that was written here|was changed"):
        Embeddings.load(tmp_path / "e")
    if name == "items.tsv":
        lines = content.splitlines(keepends=True)
        path.write_bytes(b"".join([lines[0], *lines[:0:-1]]))
        with pytest.raises(InputError, match=r"items\.tsv is not the file that was written here"):
            Embeddings.load(tmp_path / "e")


def test_large_arrays_are_told_apart_always_and_read_whole_on_request(tmp_path):
    for seed, name in enumerate("ab"):
        writer = EmbeddingWriter(tmp_path / name, items(300), 1000)
        writer.write(0, *arrays(300, 1000, seed))
        writer.finish()
    path = tmp_path / "a" / "title.npy"
    content = bytearray(path.read_bytes())
    content[7000] ^= 1
    path.write_bytes(content)
    Embeddings.load(tmp_path / "a")
    with pytest.raises(InputError, match=r"title\.npy is not the file that was written here"):
        Embeddings.load(tmp_path / "a", verify=True)
    for other in (tmp_path / "b" / "title.npy", tmp_path / "a" / "image.npy"):
        path.write_bytes(other.read_bytes())
        with pytest.raises(InputError, match=r"title\.npy is not the file that was written here"):
            Embeddings.load(tmp_path / "a")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_row_that_is_not_finite_names_the_item(tmp_path, value, change_meta):
    bad = arrays(3, 4)
    bad[2][1, 0] = value
    writer = EmbeddingWriter(tmp_path, items(5), 4)
    with pytest.raises(InputError, match=r"image.npy row 3 \(item 'p3'\)"):
        writer.write(2, *bad)
    writer.finish()
    stored = np.load(tmp_path / "title.npy", mmap_mode="r+")
    stored[4, 0] = value
    stored.flush()
    change_meta(tmp_path)
    with pytest.raises(InputError, match=r"title.npy row 4 \(item 'p4'\)"):
        Embeddings.load(tmp_path).rows("title", 2)


def test_files_that_do_not_fit_are_refused(tmp_path):
    EmbeddingWriter(tmp_path, items(3), 4).finish()
    np.save(tmp_path / "title.npy", np.zeros((2, 4), np.float32))
    with pytest.raises(InputError, match=r"title\.npy is float32 of shape"):
        Embeddings.load(tmp_path)
    (tmp_path / "title.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match="damaged"):
        Embeddings.load(tmp_path)
    (tmp_path / "title.npy").unlink()
    with pytest.raises(InputError, match="missing"):
        Embeddings.load(tmp_path)


def test_ids_must_be_unique(tmp_path):
    with pytest.raises(InputError, match="row 3 has the id 'p0' of row 2"):
        EmbeddingWriter(tmp_path, items(1) + items(1), 4)


def test_tables_survive_what_sellers_write(tmp_path):
    path = tmp_path / "t.tsv"
    odd = ['say "hi"', "a\tb\r\nc", "\u2028wide", "non\u00a0breaking 😀", ""]
    write_table(path, Table(["id", "title"], [[str(i), t] for i, t in enumerate(odd)]))
    titles = read_table(path, ["id"]).column("title")
    assert titles == ['say "hi"', "a b c", " wide", "non\u00a0breaking 😀", ""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"id\ttitle\n1\n", "row 2 has 1 values"),
        (b"title\nx\n", "lacks id"),
        (b"id\tid\n", "names a column twice"),
        (b"id\n\xff\xfe\n", "not UTF-8"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, content, message):
    path = tmp_path / "t.tsv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_table(path, ["id"])
    with pytest.raises(InputError, match="not there"):
        read_table(tmp_path / "none.tsv")


def test_folders_of_earlier_versions_are_read(tmp_path, change_meta):
    """Without digests; the first ones had one width for all embeddings, and no kind."""
    written = arrays(3, 4)
    writer = EmbeddingWriter(tmp_path / "e", items(3), 4)
    writer.write(0, *written)
    writer.finish()
    for gone in ([], ["content", "dims"]):
        change_meta(tmp_path / "e", lambda meta, gone=gone: [meta.pop(key) for key in gone])
        read = Embeddings.load(tmp_path / "e", verify=True)
        np.testing.assert_allclose(read.rows("image"), normalise(written[2]))
        assert read.dims == dict.fromkeys(EMBEDDINGS, 4)
