"""``item-baseline``: what needs no training on the catalogue, to hold a model's scores against.

A further baseline is a function of queries, items and the number of answers, entered in
``METHODS``.
"""

import math
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse

from fairseq_item.data.features import MEND, Features, check_same_network, meta_path
from fairseq_item.data.originals import original_images
from fairseq_item.data.tsv import read_table, unique_ids
from fairseq_item.errors import InputError
from fairseq_item.evaluation import image_baselines, lexical_baselines
from fairseq_item.evaluation.ranking import (
    DECIMALS,
    blocks,
    directions,
    rank_dense,
    rank_sparse,
    top_k,
)
from fairseq_item.search.hits import SIMILARITIES, Hit
from fairseq_item.search.transforms import fit_transform

PAIRS = 20_000


@dataclass
class Products:
    """Products of items files, one file after the other.

    Attributes:
        tables: path of each file -> ``Table`` with columns id and title.
        image_root: ``ImageRoot`` of their original images; None: those of the data-bins.
    """

    tables: dict
    image_root: object = None

    @classmethod
    def read(cls, paths, image_root=None):
        """Read items files.

        Raises:
            InputError: a file cannot be used, or an id occurs twice.
        """
        tables, origin = {}, {}
        for path in map(Path, paths):
            table = read_table(path, ["id", "title"])
            for name in unique_ids(table, path):
                if name in origin:
                    raise InputError(
                        f"{path} has the id {name!r} of {origin[name]}; give it its own"
                    )
                origin[name] = path
            tables[path] = table
        return cls(tables, image_root)

    def __len__(self):
        return sum(map(len, self.tables.values()))

    def column(self, name):
        return [value for table in self.tables.values() for value in table.values(name)]

    def features(self):
        """What item-features wrote for the data-bins: (n, d) float32.

        Raises:
            InputError: it is missing, damaged, or does not fit the items files.
        """
        return np.concatenate([_stored(path)[:] for path in self.tables])

    def images(self, side=None):
        """Yield each image, (H, H, 3) uint8; originals are brought to ``side`` pixels.

        Raises:
            InputError: an image cannot be read, or an items file lies in no data-bin.
        """
        if self.image_root is None or side is None:
            # Opened before any is read: whatever is wrong is said at once.
            opened = [image_baselines.stored_images(p, len(t)) for p, t in self.tables.items()]
        else:
            opened = [
                original_images(p, t.column("image"), self.image_root, side)
                for p, t in self.tables.items()
            ]
        return chain.from_iterable(opened)


def has_features(paths, network):
    """Whether the data-bins of all items files have the features of ``network``.

    Args:
        paths: list of paths of items files.
        network: its name.

    Raises:
        InputError: they have, of two versions of it.
    """
    metas = [meta_path(_data_bin(path), path.stem) for path in map(Path, paths)]
    if not all(meta.exists() for meta in metas):
        return False
    networks = [_stored(Path(path)).network for path in paths]
    for other, meta in zip(networks, metas):
        check_same_network(networks[0], other, (metas[0], meta), MEND)
    return networks[0]["network"] == network


def _stored(path):
    return Features(_data_bin(path), [path.stem])


def _data_bin(path):
    return path.resolve().parent.parent


def lexical(method):
    """The baseline that ranks by one of ``lexical_baselines``, a function of titles."""

    def answers(queries, items, k, **options):
        pair = method(queries.column("title"), items.column("title"), **options)
        for positions, scores in rank_sparse(*pair, k):
            yield positions, scores, {"lexical": scores}

    return answers


def pixels(queries, items, k):
    """Rank by the cosine of mean colours."""
    # Both are opened before the first is read.
    opened = [(products.images(), len(products)) for products in (items, queries)]
    known, asked = (image_baselines.mean_colours(*some) for some in opened)
    for positions, scores in rank_dense(*image_baselines.pixels(asked, known), k):
        yield positions, scores, {"image": scores}


def features(
    queries,
    items,
    k,
    network,
    weights=(1.0, 0.5),
    k1=lexical_baselines.K1,
    b=lexical_baselines.B,
    transform="whiten",
    batch_size=32,
    seed=1,
):
    """Rank by BM25 of titles and the cosine of a frozen network's features.

    As in ``item-index``, features are whitened, and similarities are z-scored over random pairs of
    the index, weighted and added.

    Args:
        queries, items: ``Products``.
        k: answers a query, at most.
        network: ``data.frozen.FrozenNetwork``; None where the data-bins have its features, or
            images have no weight.
        weights: of titles and images; 0 leaves one out.
        k1, b: of BM25.
        transform: of the features, one of ``search.transforms.KINDS``.
        batch_size: images computed at once.
        seed: of the random pairs.

    Yields:
        (positions, scores, similarities by name), best first.
    """
    rows = {}
    if weights[0]:
        rows["lexical"] = _lexical_rows(queries, items, k1, b)
    if weights[1]:
        rows["image"] = _image_rows(queries, items, network, transform, batch_size)
    scales = {name: zscale(some, seed) for name, some in rows.items()}
    weight = dict(zip(("lexical", "image"), weights))
    for block in blocks(len(queries), len(items)):
        found = {name: _dense(some.queries[block] @ some.items.T) for name, some in rows.items()}
        total = 0
        for name, (mean, spread) in scales.items():
            total = total + weight[name] * (found[name] - mean) / spread
        for row, scores in enumerate(total.round(DECIMALS)):
            best = top_k(scores, k)
            yield best, scores[best], {name: values[row, best] for name, values in found.items()}


class Rows(NamedTuple):
    """Arrays or sparse matrices; products of their rows are similarities.

    Attributes:
        queries: (q, d).
        items: (n, d).
        asking: (n, d) the items as if they were queries.
    """

    queries: object
    items: object
    asking: object


def _lexical_rows(queries, items, k1, b):
    titles = items.column("title")
    asking, known = lexical_baselines.bm25(queries.column("title") + titles, titles, k1, b)
    return Rows(asking[: len(queries)], known, asking[len(queries) :])


def _image_rows(queries, items, network, transform, batch_size):
    known, asking = (_features(products, network, batch_size) for products in (items, queries))
    fitted = fit_transform(transform, [known], known.shape[1])
    known = fitted(known)
    return Rows(fitted(asking), known, known)


def _features(products, network, batch_size):
    """(n, d) features of length 1: those that the data-bins have, else computed by ``network``."""
    if network is None:
        return directions(products.features())
    images = products.images(network.image_size)
    return image_baselines.pooled_features(network, images, len(products), batch_size)


def _dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def zscale(rows, seed, pairs=PAIRS):
    """Mean and standard deviation of the similarities of random pairs of different items.

    Args:
        rows: ``Rows``.
        seed: of the draw.
        pairs: how many.
    """
    count = rows.items.shape[0]
    if count < 2:
        return 0.0, 1.0
    rng = np.random.default_rng(seed)
    left = rng.integers(count, size=pairs)
    right = (left + rng.integers(1, count, size=pairs)) % count
    left, right = rows.asking[left], rows.items[right]
    products = left.multiply(right) if sparse.issparse(left) else left * right
    values = np.asarray(products.sum(axis=1))
    return float(values.mean()), float(max(values.std(), 1e-6))


METHODS = {
    "tfidf": lexical(lexical_baselines.tfidf),
    "bm25": lexical(lexical_baselines.bm25),
    "ngrams": lexical(lexical_baselines.ngrams),
    "pixels": pixels,
    "features": features,
}


def baseline(method, queries, items, k, **options):
    """Hits of a baseline.

    Args:
        method: one of ``METHODS``.
        queries, items: ``Products``.
        k: answers a query, at most.
        options: further arguments of the method.

    Yields:
        (query id, list of ``Hit``).
    """
    ids = items.column("id")
    answers = METHODS[method](queries, items, k, **options)
    for query, (positions, scores, similarities) in zip(queries.column("id"), answers):
        yield (
            query,
            [
                Hit(ids[position], float(scores[i]), _similarities(similarities, i))
                for i, position in enumerate(positions)
            ],
        )


def _similarities(found, i):
    """The ``i``-th of similarities by name, in the order of a hit."""
    return tuple(math.nan if found.get(n) is None else float(found[n][i]) for n in SIMILARITIES)
