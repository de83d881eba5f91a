"""Random choices that depend on a seed and a name alone: not on order, worker, or machine."""

import hashlib


def draw(seed, *key):
    """Eight random bytes of a seed and a name of one or more strings.

    Sorting names by them shuffles the names; ``random.Random(draw(...))`` is a generator of
    one's own for each name.
    """
    text = "\0".join([str(seed), *key])
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
