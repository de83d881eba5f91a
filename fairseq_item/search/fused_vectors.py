"""The weighted sum of similarities as one inner product, for databases that know nothing else.

With scale_p = w_p / r_p and shift_p = w_p m_p / r_p of each similarity p that counts (see
``fusion.Fuser.linear``), and has_p = 1 where there is a p, else 0,

    item   [x_p of each embedding ..., has_p of each similarity ...]
    query  [scale_p x_p of each embedding ..., -shift_p has_p of each similarity ...]

have the inner product  sum over p that both have of (scale_p s_p - shift_p),  the score of
``fusion.Fuser``, less the lexical products, which are those of sparse rows (see ``lexical``): the
items' BM25 weights with scale_p times the queries' counts. So

    score = inner product of the vectors + inner product of the sparse rows

in float32 to within ``exact.rough_error``. The maximum of similarities is no inner product. A pair
that shares nothing has 0, which a search leaves out: see :func:`masks` and :func:`sharing`.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.fusion import Batch, Fuser, own_settings


def sum_fuser(index, fusion=None, weights=None):
    """How an index adds up its similarities: ``Fuser``.

    Args:
        index: ``ItemIndex``.
        fusion: None takes the index's own.
        weights: as ``fusion.check_weights`` takes them; None takes the index's own.

    Raises:
        InputError: it takes their maximum, no embedding counts, or a similarity is not there.
    """
    settings = own_settings(index.meta)
    fuser = Fuser(fusion or settings["fusion"], weights or settings["weights"], index.calibrations)
    if fuser.kind != "sum":
        raise InputError("the maximum of similarities is no inner product; give --fusion sum")
    if not any(fuser.weights[: len(EMBEDDINGS)]):
        raise InputError("--weights leave out all embeddings; give one of them something")
    if fuser.weights[-1] and index.lexical is None:
        raise InputError("the index has no lexical similarity; run item-index again")
    return fuser


def names_of(fuser):
    """Names of the embeddings, and of all similarities, that count: two lists."""
    names = [name for _, name in fuser.active()]
    return [name for name in names if name in EMBEDDINGS], names


class Rows(NamedTuple):
    """Some items, or some queries.

    Attributes:
        vectors: (b, D) float32.
        present: (b, a) bool, what each has of the similarities that count.
        lexical: (b, ``lexical.COLUMNS``) float32 CSR matrix, None where titles do not count.
    """

    vectors: np.ndarray
    present: np.ndarray
    lexical: sparse.csr_matrix | None


def item_rows(index, fuser, start, stop):
    """Items ``start`` to ``stop`` of an index: :class:`Rows`."""
    embeddings, names = names_of(fuser)
    present = index.present[start:stop, [column for column, _ in fuser.active()]]
    rows = [index.vectors[name][start:stop] for name in embeddings]
    lexical = index.lexical[np.arange(start, stop)] if "lexical" in names else None
    return Rows(np.hstack([*rows, present.astype(np.float32)]), present, lexical)


def query_rows(index, fuser, queries):
    """Queries for an index: :class:`Rows`.

    Args:
        index: ``ItemIndex``.
        fuser: of :func:`sum_fuser`.
        queries: embedding -> (q, d) as the model gave them, all-zero rows are absent; "lexical" ->
            list of q titles.
    """
    batch = Batch(index, fuser, queries, 1, np.full(len(queries[EMBEDDINGS[0]]), -1))
    scales, shifts = fuser.linear()
    scaled = {
        name: (batch.queries[name] * scale).astype(np.float32)
        for name, scale in zip(batch.names, scales)
    }
    lexical = scaled.pop("lexical", None)
    vectors = np.hstack([*scaled.values(), (batch.present * -shifts).astype(np.float32)])
    return Rows(vectors, batch.present, lexical)


def masks(present):
    """(n, a) bool, what each has, as whole numbers of a bits: (n,) int64."""
    return present.astype(np.int64) @ (1 << np.arange(present.shape[1]))


def sharing(mask, width):
    """The masks of ``width`` bits that have one in common with ``mask``: list of int."""
    return [other for other in range(1 << width) if other & mask]
