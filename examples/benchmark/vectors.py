"""Synthetic embeddings for the search benchmark: listings of products, in clusters."""

from pathlib import Path

import numpy as np

from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter

BLOCK = 8192
KINDS = 200
WORDS = 30_000
LISTINGS = 3  # of a product, on average
# How far listings of a product lie apart by each embedding, and how often they lack it.
NOISE = {"global": 0.9, "title": 0.8, "image": 1.2}
ABSENT = {"global": 0.0, "title": 0.01, "image": 0.03}


def write_embeddings(folder, count, products, dim, seed, prefix):
    """A folder of embeddings such as a model gives: kinds of products, products, their listings.

    Args:
        folder: what to write.
        count: listings.
        products: how many there are to draw from; folders with as many share them.
        dim: values of an embedding.
        seed: of the listings.
        prefix: of their ids.

    Returns:
        (count,) int64: the product of each listing.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(products, size=count)
    items = [{"id": f"{prefix}{i}", "title": _title(drawn[i], rng)} for i in range(count)]
    writer = EmbeddingWriter(folder, items, dim, "float16")
    kinds = np.random.default_rng(0).normal(size=(len(EMBEDDINGS), KINDS, dim)).astype(np.float32)
    for start in range(0, count, BLOCK):
        which = drawn[start : start + BLOCK]
        writer.write(start, *(_rows(which, kinds[p], p, rng) for p in range(len(EMBEDDINGS))))
    writer.finish()
    return drawn


def _title(product, rng):
    """Ten words, few of them frequent, and a code: half of the words are the product's own."""
    own = np.random.default_rng(int(product)).random(5)
    ranks = (WORDS ** np.concatenate([own, rng.random(5)])).astype(int)
    return " ".join(f"word{chr(97 + r % 26)}{r}" for r in ranks) + f" ab-{product % 1000}"


def _rows(which, kinds, column, rng):
    name, dim = EMBEDDINGS[column], kinds.shape[1]
    rows = np.empty((len(which), dim), np.float32)
    # A product's own direction comes from its number: nothing is kept of a million of them.
    for number in np.unique(which):
        own = np.random.Generator(np.random.SFC64([int(number), column]))
        rows[which == number] = own.standard_normal(dim, np.float32)
    rows += kinds[which % KINDS] + 1.5 * kinds[0]  # the cone in which all embeddings lie
    rows += NOISE[name] * rng.standard_normal(rows.shape, np.float32)
    rows[rng.random(len(rows)) < ABSENT[name]] = 0
    return rows


def folder_size(folder):
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in Path(folder).iterdir())
