import types
from collections import Counter

import numpy as np
import pytest

from fairseq_item.data.views import second_title, word_starts

# Words of one, two and three pieces: 10 | 11 12 | 13 14 15 | 16
STARTS = np.isin(np.arange(20), [10, 11, 13, 16])
TITLE = np.array([10, 11, 12, 13, 14, 15, 16])
WORDS = [(10,), (11, 12), (13, 14, 15), (16,)]


def words_of(pieces):
    """The words that a title is made of; fails where one was torn apart."""
    words, rest = [], tuple(int(piece) for piece in pieces)
    while rest:
        word = next(word for word in WORDS if rest[: len(word)] == word)
        words.append(word)
        rest = rest[len(word) :]
    return words


def test_words_stay_whole_and_none_is_added():
    for seed in range(50):
        words = words_of(second_title(TITLE, STARTS, np.random.default_rng(seed), 0.35))
        assert 1 <= len(words) <= 4
        assert max(Counter(words).values()) == 1


def test_words_are_dropped_at_the_given_rate_and_come_in_any_order():
    kept, orders = [], set()
    for seed in range(1000):
        words = words_of(second_title(TITLE, STARTS, np.random.default_rng(seed), 0.35))
        kept.append(len(words))
        orders.add(tuple(words))
    # Where all four would go one stays.
    assert np.mean(kept) == pytest.approx(4 * 0.65 + 0.35**4, abs=0.1)
    assert len(orders) > 50  # of 64 there are


def test_at_least_one_word_stays():
    for seed in range(20):
        assert len(words_of(second_title(TITLE, STARTS, np.random.default_rng(seed), 1.0))) == 1


def test_without_dropping_it_is_a_permutation_of_words():
    for seed in range(20):
        words = words_of(second_title(TITLE, STARTS, np.random.default_rng(seed), 0.0))
        assert sorted(words) == WORDS


def test_a_title_that_begins_within_a_word():
    """What is cut off or unknown at the front is a word of its own."""
    pieces = second_title(np.array([12, 10]), STARTS, np.random.default_rng(0), 0.0)
    assert sorted(pieces.tolist()) == [10, 12]


def test_an_empty_title_stays_empty():
    empty = np.zeros(0, np.int64)
    assert len(second_title(empty, STARTS, np.random.default_rng(0))) == 0


def test_the_title_itself_is_left_alone():
    title = TITLE.copy()
    second_title(title, STARTS, np.random.default_rng(0))
    assert (title == TITLE).all()


def test_words_begin_where_sentencepiece_says():
    symbols = ["<s>", "<unk>", "\u2581red", "dish", "\u2581", "<mask>"]
    starts = word_starts(types.SimpleNamespace(symbols=symbols))
    assert starts.tolist() == [False, False, True, False, True, False]
