"""Choosing what a masked objective hides: title tokens (MLM, GMLM) and patches (MIM, GMIM).

Everything is drawn from the generator that is handed in, so that one seed gives one mask.
"""

import numpy as np


def mask_title(tokens, rng, mask_index, vocab_start, vocab_end, prob=0.15):
    """BERT's masking: of the chosen tokens 80% become the mask, 10% a random token, 10% stay.

    The number of chosen tokens is ``prob * n`` rounded up or down at random, and at least one, so
    that short titles take part too.

    Args:
        tokens: int array of shape (n,), the tokens of a title without [CLS] and [SEP].
        rng: ``numpy.random.Generator``.
        mask_index: dictionary index of [MASK].
        vocab_start, vocab_end: random tokens are drawn from [vocab_start, vocab_end).
        prob: share of tokens to choose.

    Returns:
        (masked, positions): the title as the model sees it, shape (n,), and the sorted positions
        that are to be predicted, shape (k,). ``tokens`` itself is left alone.
    """
    n = len(tokens)
    if n == 0 or prob <= 0:
        return tokens, np.zeros(0, np.int64)
    count = min(n, max(1, int(prob * n + rng.random())))
    positions = np.sort(rng.permutation(n)[:count])
    fate = rng.random(count)
    masked = tokens.copy()
    masked[positions[fate < 0.8]] = mask_index
    randomised = positions[fate >= 0.9]
    masked[randomised] = rng.integers(vocab_start, vocab_end, len(randomised))
    return masked, positions


def mask_patches(count, rng, prob=0.15):
    """Choose patches to reconstruct; 80% of them are hidden behind the mask patch, 20% stay.

    Always ``round(prob * count)`` of them, at least one: all images weigh the same.

    Args:
        count: number of patches of the image.
        rng: ``numpy.random.Generator``.
        prob: share of patches to choose.

    Returns:
        (positions, hidden): sorted positions to reconstruct, int64 of shape (k,), and a bool array
        of shape (k,), true where the model sees the mask patch.
    """
    if prob <= 0:
        return np.zeros(0, np.int64), np.zeros(0, bool)
    chosen = min(count, max(1, round(prob * count)))
    positions = np.sort(rng.permutation(count)[:chosen])
    return positions, rng.random(chosen) < 0.8
