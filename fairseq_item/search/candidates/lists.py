"""faiss indexes of one vector a product: the embeddings that count, scaled and side by side.

With scale_p = w_p / r_p of each embedding p that counts (see ``fusion.Fuser.linear``), items and
queries are [sqrt(scale_p) x_p ...]: their inner product is the embeddings' share of the score, but
for the shifts of absent ones, which are left to whoever scores the candidates.

Kinds, M bytes a product by product quantisation:

    ivf-pq   inverted lists
    opq      the same behind a learned rotation
    hnsw     a graph
    flat     inverted lists of the vectors themselves, float16

``candidates.lists`` is faiss's file; ``candidates.ivfdata`` holds the lists that are not to be in
memory; ``candidates.codes.npy`` (n, M) uint8, mapped, holds what the quantiser made of each item,
by position, for a first score of candidates from elsewhere.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from fairseq_item.data.arrays import create_mapped
from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import BLOCK, EMBEDDINGS
from fairseq_item.search.index import CODES, LISTS, LISTS_DATA, import_faiss
from fairseq_item.search.vectors import Vectors, release

KINDS = ("ivf-pq", "opq", "hnsw", "flat")
# Points of the training sample a list, and rounds: more of either finds no more.
POINTS_A_LIST, ROUNDS, TURNS = 64, 10, 15
LEAST_POINTS = 256 * 64  # the quantiser has 256 centroids a byte
VALUES_A_BYTE = 8
LINKS = 16
LEAST_PIECE = 1024  # rows that a process of its own is worth


def scales_of(fuser):
    """Embedding that counts -> what its vectors are multiplied by."""
    pairs = zip(fuser.active(), fuser.linear()[0])
    return {name: float(np.sqrt(scale)) for (_, name), scale in pairs if name in EMBEDDINGS}


def side_by_side(rows, scales):
    """(b, D) float32 of ``rows``: embedding -> (b, d)."""
    return np.hstack([rows[name] * np.float32(scale) for name, scale in scales.items()])


def default_lists(count):
    """Inverted lists of so many items: a power of two near twice the square root."""
    return max(1, 1 << round(np.log2(max(1.0, 2 * np.sqrt(count)))))


def bytes_of(dim):
    """Bytes that a product's vector of ``dim`` values is stored in: a divisor of ``dim``."""
    return max(m for m in range(1, dim + 1) if dim % m == 0 and m * VALUES_A_BYTE <= max(dim, 8))


def factory_of(kind, dim, lists):
    """faiss's name of a kind."""
    pq = f"PQ{bytes_of(dim)}np"  # without polysemous training, which is slow and of no use here
    return {
        "ivf-pq": f"IVF{lists},{pq}",
        "opq": f"OPQ{bytes_of(dim)},IVF{lists},{pq}",
        "hnsw": f"HNSW{LINKS}_{pq}",
        "flat": f"IVF{lists},SQfp16",
    }[kind]


class Source:
    """The vectors of an index folder that is being written, to be read by several processes.

    Args:
        paths: embedding -> path of its vectors.
        shapes: embedding -> (n, d).
        scales: of :func:`scales_of`.
    """

    def __init__(self, paths, shapes, scales):
        self.paths, self.shapes, self.scales = paths, shapes, scales

    def __len__(self):
        return next(iter(self.shapes.values()))[0]

    @property
    def dim(self):
        return sum(self.shapes[name][1] for name in self.scales)

    def open(self):
        """Function of positions that gives (b, D) float32."""
        opened = {name: Vectors.open(self.paths[name], self.shapes[name]) for name in self.scales}

        def read(which):
            rows = side_by_side({name: one[which] for name, one in opened.items()}, self.scales)
            for one in opened.values():
                release(one.stored)
            return rows

        return read


def write_lists(source, rows, folder, kind, lists=None, on_disk=False, workers=1, seed=1):
    """Write the faiss index of some items, made in parts by several processes and merged.

    Args:
        source: :class:`Source`.
        rows: (m,) positions of the items that have what counts, ascending; not empty.
        folder: where to.
        kind: one of ``KINDS``.
        lists: inverted lists; None takes :func:`default_lists`.
        on_disk: leave the lists' contents on disk, mapped.
        workers: processes.
        seed: of the training sample.

    Returns:
        str: faiss's name of what was made.

    Raises:
        InputError: faiss refuses it for these items.
    """
    faiss, folder = import_faiss(), Path(folder)
    lists = min(lists or default_lists(len(rows)), len(rows))
    factory = factory_of(kind, source.dim, lists)
    # A graph of quantised vectors compares items by distance; those of one length rank alike.
    metric = faiss.METRIC_L2 if kind == "hnsw" else faiss.METRIC_INNER_PRODUCT
    try:
        index = faiss.index_factory(source.dim, factory, metric)
        _prepare(index, kind, seed)
        points = max(POINTS_A_LIST * lists, LEAST_POINTS)
        chosen = rows
        if len(rows) > points:
            chosen = np.sort(np.random.default_rng(seed).choice(rows, points, replace=False))
        if kind != "flat" and len(chosen) < 256:
            raise InputError(
                f"--approximate {kind} needs 256 items that have what counts, here are "
                f"{len(chosen)}; leave it out: exact search of so few is fast"
            )
        index.train(source.open()(chosen))
        trained = folder / LISTS
        faiss.write_index(index, str(trained))
        _fill(index, source, rows, folder, kind, on_disk, workers)
    except RuntimeError as error:
        reason = " ".join(str(error).split("Error: ")[-1].split())
        raise InputError(f"--approximate {kind} for {len(rows)} items: {reason}") from None
    return factory


def _prepare(index, kind, seed):
    """How an index is to be trained."""
    faiss, ivf = import_faiss(), ivf_of(index)
    if ivf is not None:
        ivf.cp.niter, ivf.cp.seed, ivf.cp.min_points_per_centroid = ROUNDS, seed, 1
    if kind in ("ivf-pq", "opq"):
        ivf.by_residual = False  # an item's code is the same in whatever list
        ivf.pq.cp.min_points_per_centroid = 1
    if kind == "hnsw":
        faiss.downcast_index(faiss.downcast_index(index).storage).pq.cp.min_points_per_centroid = 1
    if kind == "opq":
        turn = faiss.downcast_VectorTransform(index.chain.at(0))
        turn.niter = TURNS


def ivf_of(index):
    """The inverted file inside a faiss index; None where it is a graph."""
    faiss = import_faiss()
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    return index if isinstance(index, faiss.IndexIVF) else None


def _fill(index, source, rows, folder, kind, on_disk, workers):
    """Add the items to a trained index, which lies in ``folder`` too, and write it there."""
    faiss, target = import_faiss(), folder / LISTS
    codes = None
    if kind != "flat":
        width = bytes_of(source.dim)
        codes = create_mapped(folder / CODES, np.uint8, (len(source), width))
    if kind == "hnsw":
        # Graphs cannot be merged: faiss itself adds items side by side.
        index = faiss.IndexIDMap(index)
        read = source.open()
        for start in range(0, len(rows), BLOCK):
            index.add_with_ids(read(rows[start : start + BLOCK]), rows[start : start + BLOCK])
        storage = faiss.downcast_index(faiss.downcast_index(index.index).storage)
        codes[rows] = faiss.vector_to_array(storage.codes).reshape(len(rows), -1)
        codes.flush()
        faiss.write_index(index, str(target))
        return
    pieces = np.array_split(rows, max(1, min(workers, len(rows) // LEAST_PIECE)))
    paths = [folder / f"{LISTS}.{number}" for number in range(len(pieces))]
    _each(partial(_add, source, str(target)), list(zip(pieces, map(str, paths))), workers)
    parts = [faiss.read_index(str(path)) for path in paths]
    ivf = ivf_of(index)
    if on_disk:
        data = faiss.OnDiskInvertedLists(ivf.nlist, ivf.code_size, str(folder / LISTS_DATA))
        all_lists = faiss.InvertedListsPtrVector()
        for part in parts:
            all_lists.push_back(ivf_of(part).invlists)
        ivf.ntotal = index.ntotal = data.merge_from_multiple(all_lists.data(), all_lists.size())
        ivf.replace_invlists(data, False)
    else:
        for part in parts:
            ivf.merge_from(ivf_of(part), 0)
        index.ntotal = ivf.ntotal
    if codes is not None:
        _scatter(ivf, codes)
    faiss.write_index(index, str(target))
    for path in paths:
        path.unlink()


def _each(function, inputs, workers):
    """Call ``function`` with each of ``inputs``, in processes of their own where there are more."""
    if len(inputs) == 1:
        function(inputs[0])
        return
    # Not forked: faiss's and NumPy's threads do not survive that.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(function, inputs))


def _add(source, trained, piece):
    """Add some rows to a copy of the trained index; for a process of its own."""
    faiss, (rows, path) = import_faiss(), piece
    index, read = faiss.read_index(trained), source.open()
    for start in range(0, len(rows), BLOCK):
        index.add_with_ids(read(rows[start : start + BLOCK]), rows[start : start + BLOCK])
    faiss.write_index(index, path)


def _scatter(ivf, codes):
    """Write the codes in the lists to ``codes``, each at its item's position."""
    faiss, lists = import_faiss(), ivf.invlists
    for number in range(ivf.nlist):
        size = lists.list_size(number)
        if size:
            ids = faiss.rev_swig_ptr(lists.get_ids(number), size)
            found = faiss.rev_swig_ptr(lists.get_codes(number), size * ivf.code_size)
            codes[ids] = found.reshape(size, -1)
    codes.flush()
