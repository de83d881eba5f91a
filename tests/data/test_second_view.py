import types
from collections import Counter

import numpy as np
import pytest
from fairseq.data import Dictionary

from fairseq_item.data.second_view import (
    change_light,
    second_title,
    split_tokens,
    token_splits,
    word_starts,
)

# Words of one, two and three tokens: 10 | 11 12 | 13 14 15 | 16
STARTS = np.isin(np.arange(20), [10, 11, 13, 16])
TITLE = np.array([10, 11, 12, 13, 14, 15, 16])
WORDS = [(10,), (11, 12), (13, 14, 15), (16,)]


def words_of(tokens):
    """The words that a title is made of; fails where one was torn apart."""
    words, rest = [], tuple(int(token) for token in tokens)
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
    tokens = second_title(np.array([12, 10]), STARTS, np.random.default_rng(0), 0.0)
    assert sorted(tokens.tolist()) == [10, 12]


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


def spelled(*symbols):
    d = Dictionary()
    for symbol in symbols:
        d.add_symbol(symbol)
    return d


def test_splits_are_all_ways_to_write_a_token_as_two_known_ones():
    d = spelled("\u2581shoe", "\u2581s", "hoe", "\u2581sho", "e", "ho", "x")
    number = {symbol: d.index(symbol) for symbol in d.symbols}
    ways = {key: {tuple(pair) for pair in pairs.tolist()} for key, pairs in token_splits(d).items()}
    assert ways == {
        number["\u2581shoe"]: {
            (number["\u2581s"], number["hoe"]),
            (number["\u2581sho"], number["e"]),
        },
        number["hoe"]: {(number["ho"], number["e"])},
        number["\u2581sho"]: {(number["\u2581s"], number["ho"])},
    }


def test_split_tokens_spell_the_same_title():
    d = spelled("\u2581red", "\u2581r", "ed", "\u2581shoe", "\u2581s", "hoe")
    title = np.array([d.index("\u2581red"), d.index("\u2581shoe"), d.index("ed")])
    splits, rng = token_splits(d), np.random.default_rng(0)
    lengths = set()
    for _ in range(50):
        torn = split_tokens(title, splits, rng, 0.5)
        assert "".join(d[i] for i in torn) == "\u2581red\u2581shoeed"
        lengths.add(len(torn))
    assert lengths == {3, 4, 5}
    assert np.array_equal(split_tokens(title, splits, rng, 0.0), title)
    assert len(split_tokens(title, splits, rng, 1.0)) == 5


def test_light_by_hand():
    class Fixed:
        def uniform(self, low, high, count):
            if count == 2:
                assert (low, high) == (0.5, 1.5)
                return np.array([0.5, 0.8])
            assert (low, high, count) == (0.875, 1.125, 3)
            return np.array([1.0, 1.125, 0.875])

    patches = np.array([[0, 100, 200, 100, 100, 100]], np.uint8)  # two pixels, mean 100
    change_light(patches, Fixed(), 0.5)
    # Half the contrast: 50 100 150 and 100 100 100; then the colours by 0.8, 0.9 and 0.7.
    assert patches.tolist() == [[40, 90, 105, 80, 90, 70]]
    white = np.full((2, 3), 255, np.uint8)
    change_light(white, np.random.default_rng(1), 0.3)
    assert white.max() <= 255
