"""The lexical similarity: titles compared by the words that they share, weighted by BM25.

Titles are normalised (Unicode NFKC, case folded) and cut into runs of letters and runs of digits.
Neighbouring runs with no space between are terms once more, joined: "FTM-663" and "FTM663" both
become "ftm", "663" and "ftm663". Scripts without spaces (Chinese, Japanese, Thai, ...) are cut into
pairs of characters.

Of a term that occurs f times in a title, in m of n titles, with l the title's number of terms over
their mean, BM25 makes

    log(1 + (n - m + 0.5) / (m + 0.5))  f (k1 + 1) / (f + k1 (1 - b + b l))

and the similarity of a query is the sum of that over its terms, each as often as the query has it
(Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009). It is
never negative, and not symmetric.

Terms are hashed into columns, so that no vocabulary is kept. The index is a sparse matrix of a row
a title, in three files that are mapped rather than read: ``lexical.starts.npy`` (n + 1,) where each
row begins, ``lexical.columns`` int32 and ``lexical.weights`` float32. Where the weights are of
another index's titles ``lexical.found.npy`` (COLUMNS,) int64 holds in how many each term is.
"""

import hashlib
import re
import unicodedata
import zlib
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse

from fairseq_item.data.arrays import open_mapped, save_array
from fairseq_item.errors import InputError
from fairseq_item.files import writing
from fairseq_item.search.vectors import release

COLUMNS = 1 << 20
K1, B = 1.2, 0.75
TITLES_A_TIME, ENTRIES_A_TIME = 16384, 1 << 20
MEND = "run item-index again"
# Thai to Myanmar, Khmer, Japanese and Chinese.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_UNSPACED += "\U00020000-\U0003ffff"
# Vowel signs and accents that NFKC leaves apart from their letters; re counts them no letters.
_MARKS = "".join(c for c in map(chr, range(0x300, 0x1CFF)) if unicodedata.category(c)[0] == "M")
_RUN = re.compile(rf"[{_UNSPACED}]+|\d+|(?:(?![{_UNSPACED}])[^\W\d_][{_MARKS}]*)+")
_PAIR = re.compile(rf"[{_UNSPACED}]")
_CHUNK = re.compile(rf"[\w{_MARKS}]+(?:[-./_+'\u2019&][\w{_MARKS}]+)*")


def terms(title):
    """The terms of a title, in order, as often as they occur: list of str."""
    found = []
    for chunk in _CHUNK.findall(unicodedata.normalize("NFKC", title).casefold()):
        runs = _RUN.findall(chunk)
        for run in runs:
            if _PAIR.match(run) and len(run) > 1:
                found += [run[i : i + 2] for i in range(len(run) - 1)]
            else:
                found.append(run)
        found += [one + other for one, other in pairwise(runs)]
    return found


def count_terms(titles):
    """How often each term occurs in each title: (q, COLUMNS) float32 CSR matrix, rows sorted."""
    columns, starts = [], [0]
    for title in titles:
        columns += [zlib.crc32(term.encode()) % COLUMNS for term in terms(title)]
        starts.append(len(columns))
    ones = np.ones(len(columns), np.float32)
    counts = sparse.csr_matrix((ones, columns, starts), (len(starts) - 1, COLUMNS))
    counts.sum_duplicates()
    return counts


def lexical_paths(folder):
    """Where the rows' beginnings, the columns and the weights lie."""
    return [Path(folder) / f"lexical.{name}" for name in ("starts.npy", "columns", "weights")]


def _mapped(path, dtype, mode, count):
    try:
        if path.stat().st_size == count * np.dtype(dtype).itemsize:
            return np.memmap(path, dtype, mode, shape=(count,)) if count else np.zeros(0, dtype)
        reason = "it is of another size"
    except OSError as error:
        reason = error.strerror
    raise InputError(f"{path} is damaged ({reason}); {MEND}")


def open_starts(path, count):
    """Where each of ``count`` rows, or columns, begins and the last one ends: (count + 1,) int64.

    Raises:
        InputError: the file is missing, or does not ascend from 0.
    """
    starts = np.array(open_mapped(path, (count + 1,), ("int64",), MEND))
    if starts[0] != 0 or (np.diff(starts) < 0).any():
        raise InputError(f"{path} is damaged; {MEND}")
    return starts


class Statistics(NamedTuple):
    """What the weights of terms are made of.

    Attributes:
        found: (COLUMNS,) int64, in how many titles each term is.
        titles: number of titles.
        length: terms that a title has on average, 1 or more.
    """

    found: np.ndarray
    titles: int
    length: float

    @property
    def summary(self):
        """What tells them from others, for JSON."""
        found = np.ascontiguousarray(self.found, np.int64)
        digest = hashlib.sha256(found).hexdigest()
        return {"titles": int(self.titles), "length": float(self.length), "found": digest}


def found_path(folder):
    """Where the number of titles with each term lies, in an index made like another one."""
    return Path(folder) / "lexical.found.npy"


class LexicalIndex:
    """The titles of an index.

    Args:
        starts: (n + 1,) int64.
        columns: (m,) int32, ascending within a row.
        weights: (m,) float32.
        weighed: of how many titles the weights are; None: n.

    Attributes:
        statistics: ``Statistics`` that the weights are of, where they were just made.
    """

    def __init__(self, starts, columns, weights, weighed=None):
        self.starts, self.columns, self.weights = starts, columns, weights
        self.weighed = len(self) if weighed is None else weighed
        self.statistics = None

    def __len__(self):
        return len(self.starts) - 1

    @classmethod
    def build(cls, titles, folder, statistics=None):
        """Write the files.

        Args:
            titles: iterable, read once, some at a time.
            folder: where to.
            statistics: ``Statistics`` that the weights are to be of; None takes these titles'.
        """
        titles, paths = iter(titles), lexical_paths(folder)
        found, sizes, lengths = np.zeros(COLUMNS, np.int64), [], []
        with (
            writing(paths[1]),
            open(paths[1], "wb") as columns,
            open(paths[2], "wb") as weights,
        ):
            while some := list(islice(titles, TITLES_A_TIME)):
                counts = count_terms(some)
                columns.write(counts.indices.astype(np.int32).tobytes())
                weights.write(counts.data.tobytes())
                found += np.bincount(counts.indices, minlength=COLUMNS)
                sizes.append(np.diff(counts.indptr))
                lengths.append(np.asarray(counts.sum(axis=1)).ravel())
        lengths = np.concatenate(lengths or [[]]).astype(np.float64)
        save_array(paths[0], np.cumsum(np.concatenate([[0], *sizes]), dtype=np.int64))
        self = cls.open(folder, len(lengths), "r+")
        if statistics is None:
            mean = max(float(lengths.mean()), 1.0) if len(lengths) else 1.0
            statistics = Statistics(found, len(lengths), mean)
        else:
            save_array(found_path(folder), np.asarray(statistics.found))
        self.statistics, self.weighed = statistics, statistics.titles
        self._weigh(lengths)
        return self

    def _weigh(self, lengths):
        """Turn counts into the weights of BM25, in place."""
        found, titles, mean = self.statistics
        rarity = np.log1p((titles - found + 0.5) / (found + 0.5))
        norms = K1 * (1 - B + B * lengths / mean)
        for start in range(0, len(self), TITLES_A_TIME):
            rows = slice(start, start + TITLES_A_TIME)
            starts = self.starts[start : start + TITLES_A_TIME + 1]
            some = slice(starts[0], starts[-1])
            counts = self.weights[some].astype(np.float64)
            norm = np.repeat(norms[rows], np.diff(starts))
            self.weights[some] = counts * (K1 + 1) / (counts + norm) * rarity[self.columns[some]]

    @classmethod
    def open(cls, folder, count, mode="r"):
        """Map the files of a folder with ``count`` items.

        Raises:
            InputError: one is missing or does not fit.
        """
        paths = lexical_paths(folder)
        starts = open_starts(paths[0], count)
        columns, weights = (
            _mapped(path, kind, mode, int(starts[-1]))
            for path, kind in zip(paths[1:], (np.int32, np.float32))
        )
        # scipy trusts what it is given.
        if len(columns) and (columns.min() < 0 or columns.max() >= COLUMNS):
            raise InputError(f"{paths[1]} is damaged; {MEND}")
        if len(weights) and not 0 <= weights.min() <= weights.max() < np.inf:  # false for NaN
            raise InputError(f"{paths[2]} is damaged; {MEND}")
        release(columns)
        release(weights)
        return cls(starts, columns, weights)

    def read_statistics(self, folder, words):
        """The ``Statistics`` that the weights are of.

        Args:
            folder: of the index.
            words: of its ``meta.json``.

        Raises:
            InputError: their file is damaged.
        """
        path = found_path(folder)
        if path.exists():
            found = np.array(open_mapped(path, (COLUMNS,), ("int64",), MEND))
        else:
            found = self.title_counts()
            release(self.columns)
        statistics = Statistics(found, words["titles"], words["length"])
        if statistics.summary != words:
            raise InputError(f"{folder} is damaged (its words were counted otherwise); {MEND}")
        return statistics

    def stretches(self):
        """Yield (start, stop) of entries to be read at a time."""
        count = int(self.starts[-1])
        return ((i, min(i + ENTRIES_A_TIME, count)) for i in range(0, count, ENTRIES_A_TIME))

    def title_counts(self):
        """(COLUMNS,) int64: in how many titles each term is."""
        found = np.zeros(COLUMNS, np.int64)
        for start, stop in self.stretches():
            found += np.bincount(self.columns[start:stop], minlength=COLUMNS)
        return found

    @property
    def most(self):
        """What one term can add at most to a similarity."""
        return (K1 + 1) * np.log(2 * self.weighed + 2)

    @property
    def present(self):
        """(n,) bool: which titles have any term."""
        return np.diff(self.starts) > 0

    def stretch(self, start, stop, numbers, width):
        """Some columns of rows ``start`` to ``stop``: (stop - start, width) CSR matrix.

        Args:
            start, stop: positions.
            numbers: (COLUMNS,) int32, which column each becomes; -1 leaves it out.
            width: how many columns there are then.
        """
        starts = self.starts[start : stop + 1]
        some = slice(starts[0], starts[-1])
        columns = numbers[self.columns[some]]
        kept = columns >= 0
        starts = np.concatenate([[0], np.cumsum(kept)])[starts - starts[0]]
        shape = stop - start, width
        return sparse.csr_matrix((self.weights[some][kept], columns[kept], starts), shape)

    def take(self, rows):
        """Rows at an array of positions, read into memory: ``LexicalIndex``."""
        sizes = self.starts[rows + 1] - self.starts[rows]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        where = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], sizes)
        values = np.asarray(self.columns[where]), np.asarray(self.weights[where])
        return LexicalIndex(starts, *values, self.weighed)

    def __getitem__(self, rows):
        """Rows at an array of positions: (m, COLUMNS) CSR matrix."""
        some = self.take(rows)
        values = some.weights, some.columns, some.starts.astype(np.int32)
        return sparse.csr_matrix(values, (len(some), COLUMNS))

    def similarities(self, counts, rows):
        """Exact similarities, pair by pair.

        Args:
            counts: (m, COLUMNS) CSR matrix of :func:`count_terms`.
            rows: (m,) positions.

        Returns:
            (m,) float64.
        """
        products = counts.astype(np.float64).multiply(self[rows].astype(np.float64))
        return np.asarray(products.sum(axis=1)).ravel()
