"""Titles as terms, and their BM25 similarity (``test_fusion`` has its twin)."""

import numpy as np
import pytest

from fairseq_item.data.tsv import Table
from fairseq_item.errors import InputError
from fairseq_item.search import lexical as module
from fairseq_item.search.calibration import sample_lexical
from fairseq_item.search.lexical import LexicalIndex, count_terms, terms

TITLES = [
    "Hertzalia Mechanical Keyboard BP-605",
    "Zandrift Sports Shoes EU 39",
    "",
    "Damenschuhe Größe 39",
    "ナイキ 靴下 25cm",
    "حذاء رياضي أحمر",
]


def test_terms():
    assert terms("Red FTM-663!") == ["red", "ftm", "663", "ftm663"]
    assert terms("red ftm663") == ["red", "ftm", "663", "ftm663"]
    # In full width, as Japanese shops write.
    assert terms("\uff26\uff34\uff2d\uff0d\uff16\uff16\uff13 \u2460") == [
        "ftm",
        "663",
        "ftm663",
        "1",
    ]
    assert terms("Größe") == terms("GRÖSSE") == terms("gro\u0308sse")
    assert terms("東京タワー") == ["東京", "京タ", "タワ", "ワー"]
    assert terms("靴 Nike靴") == ["靴", "nike", "靴", "nike靴"]
    assert terms("हिन्दी जूते") == ["हिन्दी", "जूते"]
    assert terms(" - ?! ") == []


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("hertzalia bp605", 0),
        ("shoes 39", 1),
        ("GRÖSSE 39", 3),
        ("靴下", 4),
        ("ナイキの靴下", 4),
        ("حذاء", 5),
    ],
)
def test_titles_are_found(tmp_path, query, best):
    index = LexicalIndex.build(TITLES, tmp_path)
    rows = np.arange(len(TITLES))
    found = index.similarities(count_terms([query] * len(rows)), rows)
    assert found.argmax() == best
    assert (found >= 0).all()
    assert index.present.tolist() == [True, True, False, True, True, True]
    assert found.max() <= index.most * len(terms(query))


def test_pieces_do_not_change_the_index(tmp_path, monkeypatch):
    whole = LexicalIndex.build(TITLES, tmp_path)
    expected = whole[np.arange(6)].toarray()
    monkeypatch.setattr(module, "TITLES_A_TIME", 2)
    (tmp_path / "again").mkdir()
    LexicalIndex.build(iter(TITLES), tmp_path / "again")
    index = LexicalIndex.open(tmp_path / "again", len(TITLES))
    np.testing.assert_array_equal(index[np.arange(6)].toarray(), expected)
    numbers = np.full(module.COLUMNS, -1, np.int32)
    asked = np.flatnonzero(expected.any(axis=0))[::2]
    numbers[asked] = np.arange(len(asked))
    some = index.stretch(2, 5, numbers, len(asked)).toarray()
    np.testing.assert_array_equal(some, expected[2:5, asked])
    assert some.any()
    np.testing.assert_array_equal(index[np.array([4, 0, 2])].toarray(), expected[[4, 0, 2]])


def test_no_title_at_all(tmp_path):
    index = LexicalIndex.build(["", ""], tmp_path)
    assert not index.present.any()
    assert len(sample_lexical(index, Table(["id", "title"], [["a", ""], ["b", ""]]), 1)) == 0


def test_damaged_files_are_refused(tmp_path):
    LexicalIndex.build(TITLES, tmp_path)
    with pytest.raises(InputError, match=r"starts\.npy is .* expected; run item-index again"):
        LexicalIndex.open(tmp_path, 7)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("weights", lambda values: values[:1]),
        ("weights", lambda values: np.where(values == values[3], np.float32(np.nan), values)),
        ("weights", lambda values: -values),
        ("columns", lambda values: values + (1 << 20)),
        ("columns", lambda values: values - (1 << 20)),
        ("columns", lambda values: np.append(values, values)),
    ],
)
def test_what_scipy_would_trust_is_checked(tmp_path, name, damage):
    LexicalIndex.build(TITLES, tmp_path)
    path = tmp_path / f"lexical.{name}"
    values = np.fromfile(path, {"weights": np.float32, "columns": np.int32}[name])
    damage(values).tofile(path)
    with pytest.raises(InputError, match=rf"lexical\.{name} is damaged.*run item-index again"):
        LexicalIndex.open(tmp_path, 6)


def test_rows_that_begin_before_the_last_are_refused(tmp_path):
    LexicalIndex.build(TITLES, tmp_path)
    starts = np.load(tmp_path / "lexical.starts.npy")
    for change in ([1, *starts[1:]], [0, starts[-1], *starts[2:]]):
        np.save(tmp_path / "lexical.starts.npy", np.array(change))
        with pytest.raises(InputError, match=r"starts\.npy is damaged"):
            LexicalIndex.open(tmp_path, 6)


def test_random_pairs_are_of_different_items(tmp_path):
    titles = [f"word{'abcdefgh'[i]}" for i in range(8)]
    index = LexicalIndex.build(titles, tmp_path)
    drawn = sample_lexical(index, Table(["title"], [[t] for t in titles]), 1, pairs=300)
    assert len(drawn) == 300
    assert not drawn.any()
