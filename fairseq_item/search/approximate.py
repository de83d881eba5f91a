"""Approximate search: candidates from faiss (any ``--factory`` but Flat), scored exactly.

An index built for the sum has one faiss index, of the concatenated embeddings, each scaled by the
square root of w_p / r_p: the inner product with queries scaled alike is the score, but for the
shifts of absent embeddings. One built for the maximum has an index for each embedding, whose lists
are united: of an item in none of them, k others are at least as similar by whichever embedding
gives its score. Candidates by words are not approximate.
"""

import numpy as np

from fairseq_item.search.calibration import Uncalibrated
from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.exact import search_exactly
from fairseq_item.search.fusion import Fuser
from fairseq_item.search.index import FUSED

SPARE = 16


def search_lists(batch):
    """The best of a batch of queries (``fusion.Batch``) among faiss's candidates: ``Pairs``."""
    need = batch.width + 1  # one of them may be excluded
    depth = need + SPARE if batch.fuser.kind == "max" else max(10 * need, 100)
    query, row = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for asking, vectors, faiss in _asked(batch):
        rows = faiss.search(np.ascontiguousarray(vectors, np.float32), depth)[1]
        query.append(np.repeat(asking, rows.shape[1]))
        row.append(rows.ravel())
    if "lexical" in batch.names:
        words = batch.narrowed(Fuser("sum", (0, 0, 0, 1), {"lexical": Uncalibrated()}), depth)
        found = search_exactly(words)
        query, row = [*query, found.query], [*row, found.row]
    query, row = np.concatenate(query), np.concatenate(row)
    pairs = np.unique(query[row >= 0] * len(batch.index) + row[row >= 0])
    return batch.best(*np.divmod(pairs, len(batch.index)))


def _asked(batch):
    """Yield positions of queries, what to look up for them, and in which faiss index."""
    index = batch.index
    if FUSED in index.faiss:
        asking = np.flatnonzero(batch.has[:, : len(EMBEDDINGS)].any(axis=1))
        wanted = dict(zip(batch.names, batch.fuser.linear()[0]))
        rows = [
            batch.queries[name][asking] * (wanted.get(name, 0) / (scale or 1))
            for name, scale in index.meta["list_scales"].items()
        ]
        yield asking, np.concatenate(rows, axis=1), index.faiss[FUSED]
        return
    for i, name in enumerate(batch.names):
        if name in index.faiss:
            asking = np.flatnonzero(batch.present[:, i])
            yield asking, batch.queries[name][asking], index.faiss[name]
