"""A changed index is the index that would be built of its items, by the same fitted transforms."""

import json

import numpy as np
import pytest

from fairseq_item import digests
from fairseq_item.commands import index as index_command
from fairseq_item.errors import InputError
from fairseq_item.search import build, change, transforms
from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import fused_search

DIM = 6
OLD, NEW = "checkpoint-a", "checkpoint-b"
SECOND = 1000  # added to an item's number: what it is replaced by


def embed(path, items, checkpoint=OLD, dim=DIM, column="brand"):
    """Embeddings of items, which are numbers."""
    arrays = [np.zeros((len(items), dim), np.float32) for _ in EMBEDDINGS]
    rows = []
    for row, item in enumerate(items):
        rng = np.random.default_rng(item)
        for array in arrays:
            array[row] = rng.normal(size=dim) + 1
        arrays[2][row] *= item % 5 > 0  # no image
        words = " ".join(f"w{word}" for word in rng.integers(0, 30, size=item % 7))
        rows.append({"id": f"i{item % SECOND}", "title": words, column: f"b{item % 3}"})
    with EmbeddingWriter(path, rows, dim, meta={"checkpoint_digest": checkpoint}) as writer:
        writer.write(0, *arrays)
        writer.finish()
    return path


def ids_file(path, items):
    path.write_text("".join(f"i{item}\n" for item in items))
    return path


def rebuilt(folder, like, items, monkeypatch, **settings):
    """An index of all items, built with the transforms and calibrations of another."""
    index = ItemIndex.load(like)
    fitted = iter([index.transforms[name] for name in EMBEDDINGS])
    monkeypatch.setattr(transforms, "fit_transform", lambda *_: next(fitted))
    monkeypatch.setattr(
        build, "_calibrate", lambda new, *_: new.calibrations.update(index.calibrations)
    )
    build.build_index([embed(folder / "all", items)], folder / "rebuilt", **settings)
    monkeypatch.undo()
    return folder / "rebuilt"


def files(folder):
    """Digest of each file; the description without what it says of the folders it was made of."""
    found = digests.digests(folder, sorted(path.name for path in folder.iterdir()))
    meta = json.loads((folder / "meta.json").read_text())
    found["meta.json"] = {key: meta[key] for key in meta if key not in ("seal", "sources")}
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"dtype": "float16", "transform": "center"},
        {"dtype": "int8", "transform": "none"},
        {"factory": "IVF4,Flat"},
        {"factory": "IVF4,Flat", "fusion": "max"},
        {"approximate": {"kind": "flat", "lists": 4, "on_disk": False}},
    ],
    ids=str,
)
def test_changed_equals_rebuilt(tmp_path, monkeypatch, settings):
    index = tmp_path / "index"
    build.build_index(
        [embed(tmp_path / "a", range(150)), embed(tmp_path / "b", range(150, 200))],
        index,
        **settings,
    )
    # What is removed may come again; what is replaced keeps its position.
    changed = change.change_index(
        index,
        remove=ids_file(tmp_path / "ids.txt", [3, 199, 77, 0]),
        update=[embed(tmp_path / "u", [SECOND + 180, SECOND + 5, SECOND + 6])],
        add=[embed(tmp_path / "c", range(300, 330)), embed(tmp_path / "d", [SECOND + 77, 400])],
    )
    assert changed == (228, 32, 3, 4)
    left = [i + SECOND * (i in (5, 6, 180)) for i in range(200) if i not in (3, 199, 77, 0)]
    items = [*left, *range(300, 330), SECOND + 77, 400]
    expected = rebuilt(tmp_path, index, items, monkeypatch, **settings)
    assert files(index) == files(expected)
    for folder in (index, expected):
        ItemIndex.load(folder, verify=True)


def test_one_change_after_the_other_ends_like_all_at_once(tmp_path):
    for name in ("one", "other"):
        build.build_index([embed(tmp_path / f"{name}-0", range(60))], tmp_path / name)
    update, add = [SECOND + 5, SECOND + 6], range(100, 130)
    ids = ids_file(tmp_path / "ids", [4, 8])
    one, other = tmp_path / "one", tmp_path / "other"
    folders = {"update": [embed(tmp_path / "u", update)], "add": [embed(tmp_path / "c", add)]}
    change.change_index(one, remove=ids, **folders)
    change.change_index(other, remove=ids)
    for kind, some in folders.items():
        change.change_index(other, **{kind: some})
    assert files(one) == files(other)
    sources = ItemIndex.load(one).meta["sources"]
    assert sources == [str(tmp_path / name) for name in ("one-0", "u", "c")]


@pytest.fixture
def index(tmp_path):
    build.build_index([embed(tmp_path / "a", range(40))], tmp_path / "index")
    return tmp_path / "index"


def test_columns_of_both_are_kept(tmp_path, index):
    change.change_index(index, add=[embed(tmp_path / "b", [50], column="colour")])
    items = ItemIndex.load(index).items
    assert items.fieldnames == ["id", "title", "brand", "colour"]
    assert (items[1]["brand"], items[1]["colour"], items[40]["colour"]) == ("b1", "", "b2")


def test_an_index_opened_before_goes_on(tmp_path, index):
    opened = ItemIndex.load(index)
    queries = {name: opened.vectors[name][:5] for name in EMBEDDINGS}
    queries["lexical"] = opened.items.column("title")[:5]
    before = fused_search(opened, queries, 5)
    change.change_index(index, remove=ids_file(tmp_path / "ids", range(30)))
    assert fused_search(opened, queries, 5).rows.tolist() == before.rows.tolist()
    assert [item["id"] for item in opened.items.dicts()] == [f"i{i}" for i in range(40)]
    assert ItemIndex.load(index).ids == [f"i{i}" for i in range(30, 40)]


@pytest.mark.parametrize("step", ["read_table", "finish"])
def test_what_ends_halfway_leaves_the_old_index(tmp_path, index, monkeypatch, step):
    before, added = files(index), [embed(tmp_path / "b", [50])]

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(change, step, killed)
    with pytest.raises(KeyboardInterrupt):
        change.change_index(index, add=added)
    monkeypatch.undo()
    assert files(index) == before
    assert not list(tmp_path.glob(".index.*"))
    assert change.change_index(index, add=added).count == 41


@pytest.mark.parametrize(
    ("kind", "items", "told"),
    [
        ("add", [50, 7], r"b/items.tsv row 3 has the id 'i7', which .*index has already"),
        ("update", [7, 50], r"b/items.tsv row 3 has the id 'i50', which .*index lacks"),
        ("remove", [7, 50], r"b row 2 has the id 'i50', which .*index lacks"),
        ("remove", range(40), "no items left"),
    ],
)
def test_ids_that_do_not_fit(tmp_path, index, kind, items, told):
    before = files(index)
    given = (ids_file if kind == "remove" else embed)(tmp_path / "b", items)
    with pytest.raises(InputError, match=told):
        change.change_index(index, **{kind: given if kind == "remove" else [given]})
    assert files(index) == before


def test_an_id_given_twice(tmp_path, index):
    twice = [embed(tmp_path / name, [50 + i, 60]) for i, name in enumerate("bc")]
    with pytest.raises(
        InputError, match=r"c/items.tsv row 3 has the id 'i60', which .*b/items.tsv"
    ):
        change.change_index(index, add=twice)


@pytest.mark.parametrize(
    ("settings", "told"), [({"checkpoint": NEW}, "different checkpoints"), ({"dim": 5}, "5 dim")]
)
def test_embeddings_of_another_model(tmp_path, index, settings, told):
    with pytest.raises(InputError, match=told):
        change.change_index(index, add=[embed(tmp_path / "b", [50], **settings)])


def test_the_command(tmp_path, index, capsys):
    """Passing over what is missing; ids of lines that end as Windows' do."""
    ids = tmp_path / "ids.txt"
    ids.write_bytes(b"\xef\xbb\xbfi1\r\n\r\ni1\r\nnone\r\n")
    update, add = (str(embed(tmp_path / n, i)) for n, i in (("u", [SECOND + 2, 50]), ("b", [51])))
    given = ["--out", str(index), "--remove", str(ids), "--update", update, "--add", add]
    with pytest.raises(InputError, match="ids.txt row 4"):
        index_command.main(given)
    index_command.main([*given, "--missing-ok"])
    assert "41 items in " in (told := capsys.readouterr().out)
    assert "2 added, 1 replaced, 1 removed" in told
    assert ItemIndex.load(index).ids[-2:] == ["i50", "i51"]


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "give folders of embeddings"),
        (["--missing-ok", "a"], "give folders of embeddings"),
        (["--remove", "ids", "--", "a"], "with --add or --update"),
        (["--remove", "ids", "--factory", "IVF4,Flat"], "--factory is of a new index"),
        (["--remove", "nowhere"], "nowhere cannot be read"),
    ],
)
def test_arguments_that_do_not_go_together(tmp_path, index, argv, told, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=told):
        index_command.main(["--out", str(index), *argv])
