"""A second view of a title, as another seller might have written it: beyond the paper."""

import numpy as np


def second_title(pieces, starts, rng, drop_prob=0.35):
    """Drop words and shuffle the rest; at least one word stays.

    Args:
        pieces: int array of shape (n,), a title without [CLS] and [SEP].
        starts: bool array over the vocabulary, true for pieces that begin a word.
        rng: ``numpy.random.Generator``.
        drop_prob: probability that a word is left out.

    Returns:
        int array of shape (k,), k <= n: whole words of the title in a new order.
    """
    if len(pieces) == 0:
        return pieces
    begins = starts[pieces].copy()
    begins[0] = True
    words = np.split(pieces, np.flatnonzero(begins)[1:])
    order = rng.permutation(len(words))
    kept = order[rng.random(len(words)) >= drop_prob]
    if len(kept) == 0:
        kept = order[:1]
    return np.concatenate([words[i] for i in kept])


def word_starts(dictionary):
    """Which symbols of a fairseq ``Dictionary`` of SentencePiece pieces begin a word."""
    return np.array([symbol.startswith("\u2581") for symbol in dictionary.symbols])
