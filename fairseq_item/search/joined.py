"""Several indexes searched as one: parts of a catalogue, each an index folder of its own.

The parts after the first are made like it (``like``): with its transforms, calibrations, weights,
probabilities and word statistics, so that scores of all parts compare, and each pair's score does
not depend on the part that it lies in. A part is searched by itself; the best of all are kept.
"""

from copy import copy
from dataclasses import dataclass, field

import numpy as np

from fairseq_item.data.tsv import Table, check_ids
from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.fusion import Pairs, rank
from fairseq_item.search.index import ItemIndex, transform_path

# What all parts have in common, of their descriptions.
COMMON = ("dims", "embedding_dims", "transform", "calibrations", "fusion", "weights", "words",
          "checkpoint_digest", "untrained", "features")  # fmt: skip


def open_indexes(paths, verify=False, recall=None):
    """Open one index, or several as one.

    Args:
        paths: folders; where there are several, the later ones were made like the first.
        verify, recall: as of ``ItemIndex.load``.

    Returns:
        ``ItemIndex``.

    Raises:
        InputError: a folder is damaged, does not go with the first, or has an id of another.
    """
    found = [ItemIndex.load(path, verify, recall) for path in paths]
    if len(found) == 1:
        return found[0]
    for path, index in zip(paths, found):
        if not index.exact:
            raise InputError(f"{path} was built with --factory, which is not searched in parts")
    for path, index in zip(paths[1:], found[1:]):
        if _common(index.meta) != _common(found[0].meta) or "words" not in index.meta:
            raise InputError(
                f"{path} was not made like {paths[0]} as it is now; run item-index EMBEDDINGS "
                f"--like {paths[0]} --out {path}"
            )
    items = Table.joined([index.items for index in found])
    check_ids(items, " + ".join(f"{path}/items.tsv" for path in paths))
    return JoinedIndex.of(found, items)


def _common(meta):
    files = meta.get("files") or {}
    transforms = [files.get(transform_path("", name).name, {}).get("sha256") for name in EMBEDDINGS]
    fit = meta.get("fit") or {}
    return [meta.get(name) for name in COMMON], transforms, fit.get("weights"), fit.get("intercept")


@dataclass
class JoinedIndex(ItemIndex):
    """Indexes one after the other; attributes as of ``ItemIndex``, those of all.

    Attributes:
        pieces: list of ``ItemIndex``.
    """

    pieces: list = field(default_factory=list)

    @classmethod
    def of(cls, pieces, items):
        """Join ``pieces``, whose ``items`` together are these."""
        first = pieces[0]
        sources = [source for piece in pieces for source in piece.meta.get("sources") or ()]
        return cls(
            vectors={name: _Rows([piece.vectors[name] for piece in pieces]) for name in EMBEDDINGS},
            lexical=first.lexical,
            present=np.concatenate([piece.present for piece in pieces]),
            faiss={},
            transforms=first.transforms,
            calibrations=first.calibrations,
            items=items,
            meta={**first.meta, "count": len(items), "sources": sources},
            candidates=first.candidates,
            pieces=pieces,
        )

    def parts(self):
        """Each part with the position of its first item, as this one would have it searched."""
        found, start = [], 0
        for piece in self.pieces:
            part = copy(piece)
            part.transforms = self.transforms
            part.present = self.present[start : start + len(piece)]
            part.candidates = self.candidates and piece.candidates
            found.append((start, part))
            start += len(piece)
        return found


class _Rows:
    """Rows of several ``Vectors`` at an array of positions."""

    def __init__(self, vectors):
        self._vectors = vectors
        self._ends = np.cumsum([len(one) for one in vectors])
        self.shape = int(self._ends[-1]), vectors[0].shape[1]

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, which):
        which = np.asarray(which)
        rows = np.empty((len(which), self.shape[1]), np.float32)
        owner = np.searchsorted(self._ends, which, side="right")
        for number, vectors in enumerate(self._vectors):
            mine = np.flatnonzero(owner == number)
            rows[mine] = vectors[which[mine] - (self._ends[number] - len(vectors))]
        return rows


def best_of(found, width):
    """The ``width`` best answers of each query.

    Args:
        found: list of (position of the part's first item, ``Pairs``).
        width: answers a query.
    """
    if len(found) == 1:
        return found[0][1]
    query, score, similarities = (
        np.concatenate([getattr(pairs, name) for _, pairs in found])
        for name in ("query", "score", "similarities")
    )
    row = np.concatenate([pairs.row + start for start, pairs in found])
    order = np.lexsort((row, -score, query))
    order = order[rank(query[order]) < width]
    return Pairs(query[order], row[order], score[order], similarities[order])


def together(found):
    """The answers to the queries of a batch that were searched apart.

    Args:
        found: of (positions of some queries, their ``Pairs``).
    """
    found = [(which[pairs.query], pairs) for which, pairs in found]
    query = np.concatenate([which for which, _ in found])
    order = np.argsort(query, kind="stable")
    names = "row", "score", "similarities"
    arrays = [np.concatenate([getattr(pairs, name) for _, pairs in found]) for name in names]
    return Pairs(query[order], *(array[order] for array in arrays))


def within(exclude, start, count):
    """Positions ``exclude`` as a part of ``count`` items from ``start`` on has them; -1 outside."""
    inside = (exclude >= start) & (exclude < start + count)
    return np.where(inside, exclude - start, -1)
