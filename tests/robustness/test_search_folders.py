"""Damaged folders of embeddings and indexes: each is refused in one line, or answers as it did.

Every file of such folders is damaged in every way below, at places drawn from a seed, and every
value of ``meta.json`` replaced; nothing may end in a traceback, and no answer may change.
"""

import contextlib
import os
import re
import shutil
import zlib
from functools import partial

import numpy as np
import pytest

from fairseq_item.commands import index as index_command
from fairseq_item.commands import search as search_command
from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter
from fairseq_item.search.hits import SIMILARITIES

# What a refusal says is to be done.
MEND = re.compile("again|name the|run item-index")
DIMS = {"global": 6, "title": 6, "image": 9}
WORDS = ["red", "blue", "shoe", "hat", "mug", "ftm-663", "靴下"]
# What kinds of index there are: options of item-index.
KINDS = {
    "exact": (),
    "int8": ("--dtype", "int8"),
    "lists": ("--factory", "IVF2,Flat"),
    "max": ("--factory", "Flat", "--fusion", "max", "--transform", "center"),
}


def write_embeddings(folder, count, seed, prefix):
    rng = np.random.default_rng(seed)
    titles = [" ".join(rng.choice(WORDS, size=3)) for _ in range(count)]
    items = [{"id": f"{prefix}{i}", "title": title} for i, title in enumerate(titles)]
    writer = EmbeddingWriter(folder, items, DIMS, meta={"checkpoint_digest": "d" * 64})
    writer.write(0, *(rng.normal(size=(count, dim)) + 0.5 for dim in DIMS.values()))
    writer.finish()


def found(index, queries, out):
    """The hits of a search: bytes."""
    search_command.main([str(index), "--queries", str(queries), "--out", str(out), "--quiet"])
    return out.read_bytes()


def equal_to(right):
    def check(answer):
        assert answer == right, "other answers, and not a word"

    return check


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Items, another run's items, queries, an index of each kind, and what each answers."""
    base = tmp_path_factory.mktemp("base")
    for name, count, seed in (("items", 40, 1), ("other", 40, 2), ("queries", 5, 3)):
        write_embeddings(base / name, count, seed, name[0])
    for kind, options in KINDS.items():
        for source, out in (("items", kind), ("other", f"other-{kind}")):
            index_command.main([str(base / source), "--out", str(base / out), *options])
        hits = found(base / kind, base / "queries", base / f"{kind}.tsv")
        assert hits.count(b"\n") == 51
    return base


# Ways to damage a file: functions of its path, of the same file of another run, and of a number
# that draws the place.


def cut(path, other, at):
    os.truncate(path, at % max(1, path.stat().st_size))


def flip(path, other, at):
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1 << at % 8
    path.write_bytes(content)


def blank(path, other, at):
    content = bytearray(path.read_bytes())
    start = at % len(content)
    content[start : start + 16] = bytes(len(content[start : start + 16]))
    path.write_bytes(content)


def lengthen(path, other, at):
    with open(path, "ab") as file:
        file.write(bytes(1 + at % 64))


def empty(path, other, at):
    path.write_bytes(b"")


def remove(path, other, at):
    path.unlink()


def make_folder(path, other, at):
    path.unlink()
    path.mkdir()


def make_pipe(path, other, at):
    path.unlink()
    os.mkfifo(path)


def link_to_nothing(path, other, at):
    path.unlink()
    path.symlink_to("nothing")


def replace_by_text(path, other, at):
    path.write_text("nothing of the kind\n")


def take_other(path, other, at):
    shutil.copy(other, path)


def take_neighbour(path, other, at):
    """Of the same folder, of another embedding."""
    names = sorted(p for p in path.parent.iterdir() if p.suffix == path.suffix and p != path)
    shutil.copy(names[at % len(names)] if names else other, path)


def reverse(path, other, at):
    """The same bytes from behind, a table's header excepted."""
    head, line, body = path.read_bytes().partition(b"\n")
    if path.suffix == ".tsv":
        body = b"".join(reversed(body.splitlines(keepends=True)))
        path.write_bytes(head + line + body)
    else:
        path.write_bytes(path.read_bytes()[::-1])


WAYS = (
    cut, flip, blank, lengthen, empty, remove, make_folder, make_pipe, link_to_nothing,
    replace_by_text, take_other, take_neighbour, reverse,
)  # fmt: skip
FILES = [*(f"{name}.npy" for name in EMBEDDINGS), "items.tsv", "meta.json"]
INDEX_FILES = [
    *FILES, *(f"{name}.transform.npz" for name in EMBEDDINGS), "present.npy",
    "lexical.starts.npy", "lexical.columns", "lexical.weights",
]  # fmt: skip
FURTHER = {"int8": ["title.scale.npy", "title.npy"], "lists": ["fused.faiss"]}


def index_cases():
    for kind in KINDS:
        for name in FURTHER.get(kind, INDEX_FILES if kind == "exact" else ["image.transform.npz"]):
            for way in WAYS:
                yield kind, name, way


def named(cases):
    return [pytest.param(*case, id="-".join(map(_name, case))) for case in cases]


def _name(value):
    return getattr(value, "__name__", str(value))


def place(*names):
    """A number that stands for chance: the same in every run."""
    return zlib.crc32("-".join(names).encode())


def damaged_copy(base, folder, name, way, tmp_path):
    copy = tmp_path / "damaged"
    shutil.copytree(base / folder, copy)
    other = base / ("other" if folder in ("items", "queries") else f"other-{folder}") / name
    way(copy / name, other, place(folder, name, way.__name__))
    return copy


@pytest.mark.parametrize(("kind", "name", "way"), named(index_cases()))
def test_damaged_indexes(trial, base, tmp_path, kind, name, way):
    copy = damaged_copy(base, kind, name, way, tmp_path)
    right = equal_to((base / f"{kind}.tsv").read_bytes())
    said = trial("indexes", lambda: found(copy, base / "queries", tmp_path / "hits"), right)
    assert not said or MEND.search(said), said


@pytest.mark.parametrize(("name", "way"), named((n, w) for n in FILES for w in WAYS))
def test_damaged_embeddings(trial, base, tmp_path, name, way):
    """As queries, and to be indexed."""
    right = equal_to((base / "exact.tsv").read_bytes())
    copy = damaged_copy(base, "queries", name, way, tmp_path)
    said = trial("embeddings", lambda: found(base / "exact", copy, tmp_path / "hits"), right)
    assert not said or MEND.search(said), said
    shutil.rmtree(copy)
    copy = damaged_copy(base, "items", name, way, tmp_path)

    def index_and_search():
        index_command.main([str(copy), "--out", str(tmp_path / "index")])
        return found(tmp_path / "index", base / "queries", tmp_path / "hits")

    said = trial("embeddings", index_and_search, right)
    assert not said or MEND.search(said), said
    assert not said or not (tmp_path / "index").exists()
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


# Without digests and seal, as earlier versions wrote folders: what is looked at all the same.


def plain_copy(base, folder, tmp_path, change_meta, change=lambda meta: None):
    copy = tmp_path / "plain"
    shutil.copytree(base / folder, copy)
    change_meta(copy, change)
    return copy


def old_index_cases():
    for name in INDEX_FILES[3:]:
        for way in (cut, blank, lengthen, empty, remove, make_folder, replace_by_text, reverse):
            yield name, way


@pytest.mark.parametrize(("name", "way"), named(old_index_cases()))
def test_damaged_indexes_of_earlier_versions_end_in_no_traceback(
    base, tmp_path, change_meta, name, way
):
    copy = plain_copy(base, "exact", tmp_path, change_meta)
    way(copy / name, None, place(name, way.__name__))
    with contextlib.suppress(InputError):  # without digests some damage cannot be told
        found(copy, base / "queries", tmp_path / "hits")


ARRAYS = {
    "floats": lambda array: array.astype(np.float64),
    "text": lambda array: array.astype(str),
    "one-row-less": lambda array: array[:-1],
    "one-column-less": lambda array: array[..., :-1],
    "another-dimension": lambda array: array[None],
    "nothing": lambda array: array[:0],
    "none-true": lambda array: np.zeros_like(array),
    "bytes-that-are-no-bool": lambda array: (array.view(np.uint8) + 3).view(bool),
    "objects": lambda array: array.astype(object),
}


@pytest.mark.parametrize("name", ["present.npy", "lexical.starts.npy"])
@pytest.mark.parametrize("change", ARRAYS)
def test_arrays_of_another_kind_are_refused(trial, base, tmp_path, change_meta, name, change):
    copy = plain_copy(base, "exact", tmp_path, change_meta)
    array = np.load(copy / name)
    if change == "bytes-that-are-no-bool" and array.dtype != bool:
        array = array.view(bool)
    np.save(copy / name, ARRAYS[change](array), allow_pickle=True)
    asked = copy, base / "queries", tmp_path / "hits"
    trial("indexes", lambda: found(*asked), None, "refused")


WRONG = [None, [], {}, "", "many", -1, 0, 10**400, 1.5, float("nan"), float("inf"), True]
# Values that are right for a key, though they may not be the index's own.
FINE = {
    "untrained": [None, True],
    "embedding_dims": [None],  # of earlier versions, whose embeddings were all as wide
    "fit": [None],
    "list_scales": [None],
    "checkpoint": [None, "many"],
    "checkpoint_digest": [None, "many"],
    "features": [None],
    "files": [None, {}],
    "factory": ["many"],
    "sources": [None, []],
    "data": [None, "many"],
    "splits": [None, "many"],
    "dims": [None],
    "dim": [10**400],  # what counts is dims
}
INDEX_KEYS = [
    "format", "content", "count", "dim", "dims", "embedding_dims", "dtype", "factory", "fusion",
    "weights", "calibrations", "fit", "untrained", "features", "checkpoint", "files", "sources",
]  # fmt: skip
EMBEDDINGS_KEYS = [
    "format", "count", "dim", "dims", "dtype", "untrained", "features", "checkpoint",
    "checkpoint_digest", "files", "data", "splits",
]  # fmt: skip
MISSING = object()


def values_of(keys):
    for key in keys:
        if None not in FINE.get(key, ()):
            yield key, MISSING
        for value in WRONG:
            if not any(type(value) is type(one) and value == one for one in FINE.get(key, ())):
                yield key, value


def put(key, value, meta):
    if value is MISSING:
        meta.pop(key, None)
    else:
        meta[key] = value


@pytest.mark.robustness
@pytest.mark.parametrize("key", INDEX_KEYS)
def test_values_that_an_index_cannot_have_are_refused(trial, base, tmp_path, change_meta, key):
    for one, value in values_of([key]):
        copy = plain_copy(base, "exact", tmp_path, change_meta, partial(put, one, value))
        asked = copy, base / "queries", tmp_path / "hits"
        trial("meta.json", partial(found, *asked), None, "refused")
        shutil.rmtree(copy)


@pytest.mark.robustness
@pytest.mark.parametrize("key", EMBEDDINGS_KEYS)
def test_values_that_embeddings_cannot_have_are_refused(trial, base, tmp_path, change_meta, key):
    for one, value in values_of([key]):
        copy = plain_copy(base, "queries", tmp_path, change_meta, partial(put, one, value))
        asked = base / "exact", copy, tmp_path / "hits"
        trial("meta.json", partial(found, *asked), None, "refused")
        shutil.rmtree(copy)


@pytest.mark.parametrize("name", SIMILARITIES)
@pytest.mark.parametrize("key", ["kind", "centre", "scale"])
def test_calibrations_that_cannot_be_are_refused(trial, base, tmp_path, change_meta, name, key):
    for value in [MISSING, *WRONG, "tail", 1e300, -1e10]:
        if key == "centre" and value in (0, -1, 1.5):
            continue
        if key == "scale" and value == 1.5:
            continue

        def change(meta, value=value):
            put(key, value, meta["calibrations"][name])

        copy = plain_copy(base, "exact", tmp_path, change_meta, change)
        asked = copy, base / "queries", tmp_path / "hits"
        trial("meta.json", partial(found, *asked), None, "refused")
        shutil.rmtree(copy)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '"text"', "\xff", "[" * 10**5, '{"format": 1', "{}"]
)
@pytest.mark.parametrize("folder", ["exact", "queries"])
def test_descriptions_that_are_none(trial, base, tmp_path, folder, text):
    shutil.copytree(base / folder, tmp_path / "x")
    (tmp_path / "x" / "meta.json").write_text(text, encoding="latin-1")
    asked = (tmp_path / "x", base / "queries")
    if folder == "queries":
        asked = (base / "exact", tmp_path / "x")
    said = trial("meta.json", lambda: found(*asked, tmp_path / "hits"), None, "refused")
    assert "meta.json is not a description of" in said


@pytest.mark.parametrize("seed", range(8))
def test_any_bit_of_a_description(trial, base, tmp_path, seed):
    shutil.copytree(base / "exact", tmp_path / "x")
    path = tmp_path / "x" / "meta.json"
    content = path.read_bytes()
    for place in np.random.default_rng(seed).integers(8 * len(content), size=10).tolist():
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        asked = tmp_path / "x", base / "queries", tmp_path / "hits"
        trial("meta.json", partial(found, *asked), equal_to((base / "exact.tsv").read_bytes()))
