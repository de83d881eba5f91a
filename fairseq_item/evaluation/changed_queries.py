"""Queries whose title or image was taken away, or replaced by another product's, embedded anew."""

from dataclasses import dataclass
from typing import Optional

import numpy as np

from fairseq_item.data.composed import NONE, Composed
from fairseq_item.data.features import Features, check_same_network
from fairseq_item.errors import InputError
from fairseq_item.search.embed import batches, open_products
from fairseq_item.search.embeddings import EMBEDDINGS, check_finite
from fairseq_item.search.image_features import join

# What embedding in another precision may change; another image or title changes more.
SAME = 0.995


@dataclass
class Change:
    """Queries after one change.

    Attributes:
        name: "title_removed", "image_removed", "title_replaced" or "image_replaced".
        embeddings: as of ``Embeddings.queries``; rows of absent ones are all 0, their titles empty.
        donors: (q,) positions of the queries whose title or image each now has; None if removed.
    """

    name: str
    embeddings: dict
    donors: Optional[np.ndarray] = None


class ChangedQueries:
    """Iterates over the :class:`Change` of a query set, one embedded at a time.

    A wrong title or image never comes from the same product, as far as the truth tells: queries
    that share a true match, directly or by way of others, are taken for one product. Nor is a
    title replaced by one that reads the same to the model.

    Args:
        hub: the model that made ``queries``, as ``ItemModel.from_pretrained`` returns it.
        data: data-bin folder.
        splits: list of splits that hold the queries.
        queries: ``Embeddings`` of the whole queries.
        truth: query id -> set of item ids.
        seed: of who is given whose title and image.
        batch_size, num_workers: as of ``embed.batches``.

    Attributes:
        left_out: name of a change that cannot be made of these queries -> why; complete after an
            iteration.

    Raises:
        InputError: the splits lack a query, or the model does not give the queries' embeddings.
    """

    def __init__(self, hub, data, splits, queries, truth, seed=1, batch_size=128, num_workers=0):
        self.hub, self.queries, self.truth, self.seed = hub, queries, truth, seed
        self.batch_size, self.num_workers, self.left_out = batch_size, num_workers, {}
        if queries.meta.get("untrained"):
            raise InputError(
                f"{queries.path} holds an untrained model's embeddings; leave out the checkpoint"
            )
        if queries.meta.get("checkpoint_digest") not in (None, hub.digest):
            raise InputError(f"the checkpoint is not the one that made {queries.path}; embed again")
        items, self.dataset = open_products(data, splits, hub)
        self.features = _open_features(data, splits, queries)
        position = {name: row for row, name in enumerate(items.column("id"))}
        missing = [name for name in queries.ids if name not in position]
        if missing:
            raise InputError(
                f"{data} has no product {missing[0]!r} in {','.join(splits)}, {queries.path} has "
                f"({len(missing)} such queries); name the split that was embedded"
            )
        self.rows = np.array([position[name] for name in queries.ids], np.int64)
        self._check_same()

    def __iter__(self):
        none, words = np.full_like(self.rows, NONE), self.queries.titles()
        embeddings = self._embed(none, self.rows, "without titles")
        yield Change("title_removed", {**embeddings, "lexical": [""] * len(words)})
        embeddings = self._embed(self.rows, none, "without images")
        yield Change("image_removed", {**embeddings, "lexical": words})
        for number, name in enumerate(("title_replaced", "image_replaced")):
            try:
                donors = derangement(self._same(name), [self.seed, number])
            except InputError as error:
                self.left_out[name] = str(error)
                continue
            theirs = self.rows[donors]
            if name == "title_replaced":
                embeddings = self._embed(theirs, self.rows, "with other titles")
                embeddings["lexical"] = [words[donor] for donor in donors]
            else:
                embeddings = self._embed(self.rows, theirs, "with other images")
                embeddings["lexical"] = words
            yield Change(name, embeddings, donors)

    def _same(self, name):
        """(q,) labels, equal where one query must not give to the other."""
        keys = [{query, *self.truth.get(query, ())} for query in self.queries.ids]
        if name == "title_replaced":
            longest = self.dataset.geometry.max_title_length
            for own, row in zip(keys, self.rows):
                own.add(np.asarray(self.dataset.titles[row][:-1][:longest]).tobytes())
        return components(keys)

    def _embed(self, titles, images, doing):
        """name of an embedding -> (n, d) float32, L2-normalised."""
        products = Composed(self.dataset, titles, images)
        count, start = len(products), 0
        embeddings = {name: np.zeros((count, self.hub.dim), np.float32) for name in EMBEDDINGS}
        for inputs in batches(
            self.hub, products, 0, count, self.batch_size, self.num_workers, f"embedding {doing}"
        ):
            for name, rows in zip(EMBEDDINGS, self.hub.embed(**inputs)):
                embeddings[name][start : start + len(rows)] = rows
            start += len(inputs["title"])
        if self.features is not None:
            embeddings["image"] = join(self.features[images], embeddings["image"])
        for name, rows in embeddings.items():
            check_finite(rows, self.queries.items, 0, f"{name} embedding {doing}")
        return embeddings

    def _check_same(self):
        """Embed the first queries as they are: the data may be others than those embedded."""
        some = self.rows[: self.batch_size]
        for name, rows in self._embed(some, some, "as they are").items():
            stored = self.queries.rows(name, 0, len(some))
            cosines = np.einsum("nd,nd->n", rows, stored)
            # Two absent embeddings agree, too.
            other = (cosines < SAME) & (rows.any(axis=1) | stored.any(axis=1))
            if other.any():
                raise InputError(
                    f"query {self.queries.ids[int(np.argmax(other))]!r} has another {name} "
                    f"embedding in {self.queries.path} than the checkpoint gives now; embed again"
                )


def _open_features(data, splits, queries):
    """The features that were joined to the queries' image embeddings; None where none were."""
    network = queries.meta.get("features")
    if not network:
        return None
    features = Features.open(data, splits)
    names = (queries.path, f"{data}/features")
    check_same_network(network, features.network, names, "embed again")
    return features


def components(keys):
    """Label those alike that share a key, directly or by way of others.

    Args:
        keys: list of n sets.

    Returns:
        (n,) int64 labels.
    """
    root, owner = list(range(len(keys))), {}

    def find(i):
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i, own in enumerate(keys):
        for key in own:
            root[find(i)] = find(owner.setdefault(key, i))
    return np.array([find(i) for i in range(len(keys))], np.int64)


def derangement(labels, seed):
    """A random permutation that gives nobody something of its own label.

    Shuffled so that equal labels lie together, all are moved on by the size of the largest group:
    no shorter way leads out of it, and if it is no more than half, none is led back in.

    Args:
        labels: (n,) int.
        seed: as of ``numpy.random.default_rng``.

    Returns:
        (n,) int64: position i is given what belongs to position ``donors[i]``.

    Raises:
        InputError: more than half have one label, so no such permutation exists.
    """
    _, labels, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if 2 * sizes.max() > len(labels):
        raise InputError(
            f"{sizes.max()} of {len(labels)} queries are alike, too many to exchange them"
        )
    rng = np.random.default_rng(seed)
    order, rank = rng.permutation(len(labels)), rng.permutation(len(sizes))
    order = order[np.argsort(rank[labels[order]], kind="stable")]
    donors = np.empty(len(labels), np.int64)
    donors[order] = np.roll(order, -sizes.max())
    return donors
