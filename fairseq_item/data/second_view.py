"""A second view of a product, as another seller might have listed it: beyond the paper."""

import numpy as np


def second_title(tokens, starts, rng, drop_prob=0.35):
    """Drop words and shuffle the rest; at least one word stays.

    Args:
        tokens: int array of shape (n,), a title without [CLS] and [SEP].
        starts: bool array over the vocabulary, true for tokens that begin a word.
        rng: ``numpy.random.Generator``.
        drop_prob: probability that a word is left out.

    Returns:
        int array of shape (k,), k <= n: whole words of the title in a new order.
    """
    if len(tokens) == 0:
        return tokens
    begins = starts[tokens].copy()
    begins[0] = True
    words = np.split(tokens, np.flatnonzero(begins)[1:])
    order = rng.permutation(len(words))
    kept = order[rng.random(len(words)) >= drop_prob]
    if len(kept) == 0:
        kept = order[:1]
    return np.concatenate([words[i] for i in kept])


def word_starts(dictionary):
    """Which symbols of a fairseq ``Dictionary`` of SentencePiece tokens begin a word."""
    return np.array([symbol.startswith("\u2581") for symbol in dictionary.symbols])


def token_halves(dictionary):
    """How each symbol of a fairseq ``Dictionary`` can be written as two others.

    Returns:
        dict: symbol number -> int64 array (n, 2), for those symbols with n >= 1 ways.
    """
    symbols = dictionary.symbols
    known = {symbol: i for i, symbol in enumerate(symbols) if i >= dictionary.nspecial}
    halves = {}
    for symbol, number in known.items():
        ways = [(symbol[:i], symbol[i:]) for i in range(1, len(symbol))]
        pairs = [(known[a], known[b]) for a, b in ways if a in known and b in known]
        if pairs:
            halves[number] = np.array(pairs, np.int64)
    return halves


def split_tokens(tokens, halves, rng, prob):
    """Break tokens in two, so that a word is met in other spellings of it (compare BPE-dropout,
    Provilkov et al. 2020, which needs the text; this needs the tokens alone).

    Args:
        tokens: int array of shape (n,).
        halves: of :func:`token_halves`.
        rng: ``numpy.random.Generator``.
        prob: probability that a token is broken, where it can be.

    Returns:
        int array of shape (k,), k >= n.
    """
    broken = rng.random(len(tokens)) < prob
    written = []
    for token, torn in zip(tokens.tolist(), broken):
        ways = halves.get(token) if torn else None
        written += [token] if ways is None else ways[rng.integers(len(ways))].tolist()
    return np.array(written, tokens.dtype)


def change_light(patches, rng, strength):
    """Change an image's contrast and brightness, and its colours a little, in place.

    Args:
        patches: uint8 array of shape (..., p*p*3), colours last.
        rng: ``numpy.random.Generator``.
        strength: greatest change, as a part: 0.4 multiplies by 0.6 to 1.4. Colours change against
            one another by a quarter of it: products often differ in nothing else.
    """
    contrast, brightness = rng.uniform(1 - strength, 1 + strength, 2)
    colours = rng.uniform(1 - strength / 4, 1 + strength / 4, 3)
    pixels = patches.reshape(-1, 3).astype(np.float32)
    middle = pixels.mean()
    pixels = (pixels - middle) * np.float32(contrast) + middle
    changed = pixels * (brightness * colours).astype(np.float32)
    patches[...] = changed.clip(0, 255).reshape(patches.shape)
