"""Approximate search: a few candidates of each query, scored exactly.

Candidates by their embeddings are those that faiss lists (see ``lists``), candidates by
their words those with the rarest words of the query (see ``postings``). Where there are more than
are to be scored, a first score chooses: the embeddings' share as the quantiser's codes tell it, the
words' as it is. What is left is scored as the exact search does, by all four similarities of the
stored vectors, so that an answer's score is right and only the choice may lack some.

How far all of this goes is a :class:`Setting`; see ``recall`` for what each of them finds.
"""

from dataclasses import dataclass, fields

import numpy as np

from fairseq_item import digests
from fairseq_item.data.arrays import open_mapped
from fairseq_item.errors import InputError
from fairseq_item.search.candidates.lists import ivf_of, side_by_side
from fairseq_item.search.candidates.postings import Postings
from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.index import CODES, LISTS, import_faiss
from fairseq_item.search.lexical import COLUMNS, LexicalIndex

MEND = "run item-index again"


@dataclass(frozen=True)
class Setting:
    """How far a search goes, a query.

    Attributes:
        visits: inverted lists visited; of a graph, how many items are kept in view.
        near: candidates by embeddings.
        postings: titles' words looked at, the rarest first.
        wordy: candidates by words.
        scored: candidates that are scored exactly.
    """

    visits: int
    near: int
    postings: int
    wordy: int
    scored: int

    @classmethod
    def of(cls, values):
        """From what JSON holds of it."""
        return cls(*(values[field.name] for field in fields(cls)))


class Candidates:
    """What an index folder holds for approximate search.

    Args:
        lists: faiss index whose ids are storage positions.
        scales: of ``lists.scales_of``.
        codes: (n, M) uint8, or None.
        postings: ``Postings``, or None where words do not count.

    Attributes:
        setting: :class:`Setting` that searches use.
        ivf: faiss's inverted file, None where there is a graph.
    """

    def __init__(self, lists, scales, codes, postings):
        faiss = import_faiss()
        self.scales, self.postings, self.setting = scales, postings, None
        self.codes = None if codes is None else np.asarray(codes)
        self.ivf, self._kept = ivf_of(lists), lists
        self._turn = self._graph = self._quantiser = None
        if self.ivf is None:
            self._graph = lists
            inner = faiss.downcast_index(faiss.downcast_index(lists).index)
            self._quantiser = faiss.downcast_index(inner.storage).pq
        else:
            whole = faiss.downcast_index(lists)
            if isinstance(whole, faiss.IndexPreTransform):
                self._turn = faiss.downcast_VectorTransform(whole.chain.at(0))
            self._quantiser = self.ivf.pq if codes is not None else None

    @classmethod
    def open(cls, folder, meta, present):
        """Open the files of an index folder.

        Args:
            folder: the folder.
            meta: of the index; ``approximate`` says what was built.
            present: (n, 4) bool of the index.

        Raises:
            InputError: a file is missing or damaged.
        """
        built, faiss = meta["approximate"], import_faiss()
        files = {n: entry for n, entry in (meta.get("files") or {}).items() if n == LISTS}
        digests.check(folder, files, MEND, everything=True)  # faiss trusts what it reads
        path = folder / LISTS
        try:
            flags = faiss.IO_FLAG_READ_ONLY | faiss.IO_FLAG_ONDISK_SAME_DIR
            lists = faiss.read_index(str(path), flags)
        except RuntimeError:
            raise InputError(f"{path} cannot be read; {MEND}") from None
        columns = [EMBEDDINGS.index(name) for name in built["scales"]]
        count = int(present[:, columns].any(axis=1).sum())
        if lists.ntotal != count:
            raise InputError(f"{path} holds {lists.ntotal} items, not {count}; {MEND}")
        codes = None
        if built["width"]:
            codes = open_mapped(folder / CODES, (len(present), built["width"]), ("uint8",), MEND)
        postings = Postings.open(folder, len(present)) if built["words"] else None
        return cls(lists, built["scales"], codes, postings)

    def whole(self, batch):
        """Which queries have what recall is measured with: embeddings, and words if items have any.

        A photo alone has its nearest items all over the lists, which are of all embeddings.

        Returns:
            (q,) bool.
        """
        dense = batch.has[:, : len(EMBEDDINGS)].any(axis=1)
        return dense if self.postings is None else dense & batch.has[:, -1]

    def search(self, batch, setting=None):
        """The best of a batch of queries (``fusion.Batch``) among the candidates: ``Pairs``."""
        setting, count = setting or self.setting, len(batch)
        more = max(1, -(-batch.width // 10))  # settings are measured for ten answers
        vectors = self._vectors(batch)
        near = self._near(vectors, setting, more)
        tables = self._tables(vectors)
        words = batch.queries["lexical"] if self.postings is not None else None
        weights = _Words(words, batch.index.lexical) if words is not None else None
        found = []
        for query in range(count):
            rows = near[query][near[query] >= 0]
            if words is not None:
                some = slice(*words.indptr[query : query + 2])
                terms = words.indices[some], words.data[some]
                by_words = self.postings.best(*terms, setting.postings, setting.wordy * more)
                rows = np.concatenate([rows, by_words])
            rows = np.unique(rows)
            most = setting.scored * more
            if tables is not None and len(rows) > most:
                rough = self._rough(batch, query, rows, tables[query], weights)
                rows = rows[np.argpartition(-rough, most - 1)[:most]]
            found.append(rows)
        sizes = [len(rows) for rows in found]
        return batch.best(np.repeat(np.arange(count), sizes), np.concatenate(found))

    def _vectors(self, batch):
        vectors = np.ascontiguousarray(side_by_side(batch.queries, self.scales), np.float32)
        return vectors if self._turn is None else self._turn.apply(vectors)

    def _near(self, vectors, setting, more):
        """(q, near) positions, -1 beyond the last."""
        faiss, most = import_faiss(), min(setting.near * more, self._kept.ntotal)
        if self.ivf is None:
            asked = faiss.SearchParametersHNSW(efSearch=max(setting.visits, most))
            return self._graph.search(vectors, most, params=asked)[1]
        visits = min(setting.visits, self.ivf.nlist)
        asked = faiss.SearchParametersIVF(nprobe=visits)
        return self.ivf.search(vectors, most, params=asked)[1]

    def _tables(self, vectors):
        """(q, M, 256) float32: what each code adds to an inner product; None without codes."""
        if self.codes is None:
            return None
        faiss, pq = import_faiss(), self._quantiser
        tables = np.empty((len(vectors), pq.M, pq.ksub), np.float32)
        pq.compute_inner_prod_tables(len(vectors), faiss.swig_ptr(vectors), faiss.swig_ptr(tables))
        return tables

    def _rough(self, batch, query, rows, table, weights):
        """A first score of some items: (m,) float32."""
        codes = self.codes[rows]
        places = codes + table.shape[1] * np.arange(codes.shape[1])  # in the table as one row
        rough = table.ravel().take(places).sum(axis=1)
        scales, shifts = batch.fuser.linear()
        both = batch.index.present[rows][:, batch.columns] & batch.present[query]
        rough -= both @ shifts.astype(np.float32)
        if weights is not None:
            rough += np.float32(scales[-1]) * weights.products(query, rows)
        return rough


class _Words:
    """Products of a batch's titles with titles of the index.

    Args:
        counts: (q, COLUMNS) CSR matrix.
        lexical: ``LexicalIndex``.
    """

    def __init__(self, counts, lexical):
        self._counts = counts
        # Plain arrays: a memory map takes longer to index.
        columns, weights = np.asarray(lexical.columns), np.asarray(lexical.weights)
        self._lexical = LexicalIndex(lexical.starts, columns, weights)
        self._dense = np.zeros(COLUMNS, np.float32)

    def products(self, query, rows):
        """(m,) float32 of one query with some rows."""
        titles = self._lexical.take(rows)
        some = slice(*self._counts.indptr[query : query + 2])
        columns = self._counts.indices[some]
        self._dense[columns] = self._counts.data[some]
        added = self._dense[titles.columns] * titles.weights
        self._dense[columns] = 0
        sums = np.concatenate([[0], np.cumsum(added, dtype=np.float64)])
        return (sums[titles.starts[1:]] - sums[titles.starts[:-1]]).astype(np.float32)
