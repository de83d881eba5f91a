"""An index folder: what a search needs of the indexed items, opened without reading it all.

``global.npy``, ``title.npy``, ``image.npy``   transformed embeddings, see ``vectors``
``lexical.*``                                  titles, see ``lexical``; not in old folders
``present.npy``                                (n, 4) bool: what an item can be compared by
``fused.faiss``, or ``{name}.faiss`` for each  faiss indexes of the items that have the embeddings;
                                               none for --factory Flat, where the vectors are all
                                               it takes
``candidates.*``, ``postings.*``               for approximate search, see ``candidates``; of
                                               indexes that were built for it
``{name}.transform.npz``                       applied to queries as it was to the items
``items.tsv``, ``meta.json``                   meta.json is written last
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_item.data.tsv import Table
from fairseq_item.errors import InputError
from fairseq_item.folders import steadily
from fairseq_item.search import calibration
from fairseq_item.search.embeddings import EMBEDDINGS, embedding_path, is_embeddings_file
from fairseq_item.search.hits import SIMILARITIES
from fairseq_item.search.index_meta import embedding_dims, read_index_meta
from fairseq_item.search.lexical import LexicalIndex, found_path, lexical_paths
from fairseq_item.search.meta import check_files, read_items
from fairseq_item.search.transforms import load_transform
from fairseq_item.search.vectors import Vectors, scale_path

# The factory that searches the stored vectors themselves.
EXACT = "Flat"
# Name of the faiss index of concatenated embeddings.
FUSED = "fused"
# Files of approximate search, beside those of exact search.
LISTS, LISTS_DATA, CODES = "candidates.lists", "candidates.ivfdata", "candidates.codes.npy"
POSTINGS = tuple(f"postings.{name}.npy" for name in ("starts", "rows", "weights"))
CANDIDATES = (*map(Path, (LISTS, LISTS_DATA, CODES, *POSTINGS)),)


def faiss_path(folder, name):
    return Path(folder) / f"{name}.faiss"


def transform_path(folder, name):
    return Path(folder) / f"{name}.transform.npz"


def is_index_file(name):
    """Whether an index folder may hold a file of this name."""
    paths = [faiss_path("", FUSED), Path("present.npy"), *lexical_paths(""), *CANDIDATES]
    paths.append(found_path(""))
    for embedding in EMBEDDINGS:
        paths += [faiss_path("", embedding), transform_path("", embedding)]
        paths.append(scale_path(embedding_path("", embedding)))
    return is_embeddings_file(name) or Path(name) in paths


@dataclass
class ItemIndex:
    """Everything a search needs.

    Attributes:
        vectors: embedding -> ``Vectors`` (n, d), transformed and L2-normalised.
        lexical: ``LexicalIndex``, or None.
        present: (n, 4) bool, columns in the order of ``SIMILARITIES``.
        faiss: "fused", or embeddings that items have -> faiss index over inner products whose ids
            are storage positions; empty where the search is exact.
        transforms: embedding -> transform.
        calibrations: similarity -> calibration.
        items: ``Table`` of the n items.
        meta: dict; ``fusion``, ``weights``, ``fit``, ``factory``, ``list_scales`` and ``dim`` are
            read by searches.
        candidates: ``Candidates`` set to a recall, which searches by the index's own weights then
            use; None where they are exact.
    """

    vectors: dict
    lexical: LexicalIndex | None
    present: np.ndarray
    faiss: dict
    transforms: dict
    calibrations: dict
    items: Table
    meta: dict
    candidates: Any = None

    @classmethod
    def load(cls, path, verify=False, recall=None):
        """Open an index folder, whole as it was at one time, even if it is replaced meanwhile.

        Args:
            path: the folder.
            verify: read all of the arrays, too, to see whether they are as they were written.
            recall: search approximately, with this recall@10, 0 to 1; None searches exactly.

        Raises:
            InputError: it is not whole, its files do not fit one another, or it does not reach
                the recall.
        """
        return steadily(path, lambda: cls._load(path, verify, recall))

    @classmethod
    def _load(cls, path, verify, recall=None):
        meta = read_index_meta(path)
        items = read_items(path, meta, "index")
        present = _load_present(path, len(items), "lexical" in meta["calibrations"])
        vectors = {
            name: Vectors.open(embedding_path(path, name), (len(items), meta["dims"][name]))
            for name in EMBEDDINGS
        }
        calibrations = {
            name: calibration.from_json(values) for name, values in meta["calibrations"].items()
        }
        # Folders made before there was a lexical similarity search without.
        lexical = LexicalIndex.open(path, len(items)) if "lexical" in calibrations else None
        if lexical and meta.get("words"):
            lexical.weighed = meta["words"]["titles"]
        widths = embedding_dims(meta)
        transforms = {
            name: load_transform(transform_path(path, name), widths[name], meta["dims"][name])
            for name in EMBEDDINGS
        }
        check_files(path, meta, "index", verify)  # before faiss, which trusts what it reads
        return cls(
            vectors=vectors,
            lexical=lexical,
            present=present,
            faiss=_load_lists(path, meta, present),
            transforms=transforms,
            calibrations=calibrations,
            items=items,
            meta=meta,
            candidates=None if recall is None else _load_candidates(path, meta, present, recall),
        )

    def __len__(self):
        return len(self.present)

    @property
    def exact(self):
        """Whether searches compare with every item, rather than with those that faiss lists."""
        return self.meta["factory"] == EXACT

    def parts(self):
        """What is searched one after the other: list of (position of the first item, index)."""
        return [(0, self)]

    @cached_property
    def ids(self):
        """List of n strings."""
        return self.items.column("id")

    def set_nprobe(self, nprobe):
        """How many lists of an inverted file are visited.

        Raises:
            InputError: the index has no inverted lists.
        """
        faiss = import_faiss()
        try:
            if self.exact:
                raise RuntimeError
            for index in self.faiss.values():
                faiss.ParameterSpace().set_index_parameter(index, "nprobe", nprobe)
        except RuntimeError:
            raise InputError(
                "--nprobe needs an inverted file (--factory IVF...), the index was built with "
                f"--factory {self.meta['factory']}"
            ) from None


def import_faiss():
    """faiss, without the log lines about the processor features that it tries in turn."""
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)
    import faiss

    return faiss


def _load_present(path, count, lexical):
    """(n, 4) bool; ``lexical`` False: made before there was such a similarity."""
    file = Path(path) / "present.npy"
    try:
        present = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # numpy raises many kinds for damaged headers
        raise InputError(f"{file} is damaged ({error}); run item-index again") from None
    if not lexical and present.shape == (count, len(EMBEDDINGS)):
        present = np.pad(present, ((0, 0), (0, 1)))
    if present.shape != (count, len(SIMILARITIES)) or present.dtype != bool:
        raise InputError(f"{file} does not fit the {count} items; run item-index again")
    # A byte that is neither 0 nor 1 is no bool, whatever its type says.
    present = np.array(present).view(np.uint8)
    if present.max() > 1 or not present.any():
        raise InputError(f"{file} says that no item has anything; run item-index again")
    return present.view(bool)


def _load_lists(path, meta, present):
    """The faiss indexes that a folder should have: name -> index."""
    # Folders of exact indexes once held faiss files, too: they are left alone.
    if meta["factory"] == EXACT:
        return {}
    scales = meta.get("list_scales")
    columns = {name: [column] for column, name in enumerate(EMBEDDINGS)}
    if scales:
        columns = {FUSED: [column for column, name in enumerate(EMBEDDINGS) if scales[name]]}
    counts = {name: int(present[:, some].any(axis=1).sum()) for name, some in columns.items()}
    return {name: _load_faiss(faiss_path(path, name), n) for name, n in counts.items() if n}


def _load_candidates(path, meta, present, recall):
    """``Candidates``, set to a recall."""
    from fairseq_item.search.candidates.recall import choose
    from fairseq_item.search.candidates.search import Candidates

    setting = choose(meta, recall, path)
    found = Candidates.open(Path(path), meta, present)
    found.setting = setting
    return found


def _load_faiss(path, count):
    faiss = import_faiss()
    try:
        # Maps what can be mapped, where this faiss can: a flat index is read as it is searched.
        index = faiss.read_index(str(path), getattr(faiss, "IO_FLAG_MMAP_IFC", 0))
    except RuntimeError:
        raise InputError(f"{path} cannot be read; run item-index again") from None
    if index.ntotal != count:
        raise InputError(f"{path} holds {index.ntotal} items, not {count}; run item-index again")
    return index
