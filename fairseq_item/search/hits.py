"""Hits and truth: what a search answered, and what it should have answered.

Hits: TSV ``query_id rank item_id score score_global score_title score_image score_lexical``, rank
from 1; the last four columns are similarities, empty where one is absent. Files written before
there was a lexical similarity lack the last column and are read all the same.
Truth: TSV ``query_id item_id``, a line per true match.
"""

import math
from collections import namedtuple

from fairseq_item.data.tsv import Table, TsvWriter, read_table, write_table
from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import EMBEDDINGS

# What a query and an item are compared by. Code that counts columns relies on the order.
SIMILARITIES = (*EMBEDDINGS, "lexical")
NO_SIMILARITIES = (math.nan,) * len(SIMILARITIES)
HITS_COLUMNS = ("query_id", "rank", "item_id", "score", *(f"score_{s}" for s in SIMILARITIES))
TRUTH_COLUMNS = ("query_id", "item_id")


class Hit(namedtuple("Hit", ("item_id", "score", "similarities"))):
    """One answer.

    Attributes:
        item_id: the item.
        score: what it was ranked by.
        similarities: floats in the order of ``SIMILARITIES``, NaN where absent; those that are not
            given count as absent.
    """

    __slots__ = ()

    def __new__(cls, item_id, score, similarities=()):
        similarities = (*similarities, *NO_SIMILARITIES[len(similarities) :])
        return super().__new__(cls, item_id, score, similarities)


def write_hits(path, hits):
    """Write hits, those of a query as they come.

    Args:
        path: the file.
        hits: query id -> list of ``Hit``, best first; a dict, or an iterable of such pairs.

    Returns:
        int: how many hits there were.
    """
    count = 0
    with TsvWriter(path, HITS_COLUMNS) as writer:
        for query, answers in hits.items() if hasattr(hits, "items") else hits:
            count += len(answers)
            for rank, hit in enumerate(answers, start=1):
                scores = map(number, (hit.score, *hit.similarities))
                row = (query, str(rank), hit.item_id, *scores)
                writer.write(dict(zip(HITS_COLUMNS, row)))
    return count


def number(value):
    """A score as text: 7 decimals, empty for NaN."""
    return "" if math.isnan(value) else f"{value:.7f}"


def read_hits(path):
    """Read hits.

    Returns:
        dict: query id -> list of ``Hit``, best first, in the order of the file.

    Raises:
        InputError: other columns than those of hits, a query's ranks are not 1, 2, 3, ..., an item
            is answered twice to a query, an id is empty, or a score is no finite number.
    """
    table = read_table(path, HITS_COLUMNS[:-1])
    unknown = [name for name in table.fieldnames if name not in HITS_COLUMNS]
    if unknown:
        raise InputError(f"{path} row 1 has unknown columns {', '.join(unknown)}; remove them")
    columns = [table.fieldnames.index(n) for n in HITS_COLUMNS if n in table.fieldnames]
    hits, seen = {}, set()
    for number_, row in enumerate(table.rows, start=2):
        query, rank, item, *scores = (row[column] for column in columns)
        if not query or not item:
            raise InputError(f"{path} row {number_} has an empty id; fill it or remove the row")
        answers = hits.setdefault(query, [])
        if rank != str(len(answers) + 1):
            raise InputError(
                f"{path} row {number_} has rank {rank!r} for query {query!r} where "
                f"{len(answers) + 1} comes next; ranks must be 1, 2, 3, ..."
            )
        if (query, item) in seen:
            raise InputError(
                f"{path} row {number_} answers {item!r} to query {query!r} again; keep the best"
            )
        seen.add((query, item))
        score, *similarities = (_score(value, path, number_) for value in scores)
        answers.append(Hit(item, score, tuple(similarities)))
    return hits


def _score(text, path, row):
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path} row {row} has the score {text!r}; it must be a number")
    return value


def write_truth(path, truth):
    """Write ``truth``: query id -> iterable of item ids."""
    rows = [[query, item] for query, items in truth.items() for item in items]
    write_table(path, Table(TRUTH_COLUMNS, rows))


def read_truth(path):
    """Read true matches.

    Returns:
        dict: query id -> set of item ids, in the order of the file.

    Raises:
        InputError: other columns than those of truth, an empty id, or no line at all.
    """
    table = read_table(path, TRUTH_COLUMNS, only=True)
    truth = {}
    for number_, (query, item) in enumerate(
        zip(table.column("query_id"), table.column("item_id")), start=2
    ):
        if not query or not item:
            raise InputError(f"{path} row {number_} has an empty id; fill it or remove the row")
        truth.setdefault(query, set()).add(item)
    if not truth:
        raise InputError(f"{path} has no true match; there is nothing to score against")
    return truth
