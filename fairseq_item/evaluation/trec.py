"""TREC runs and qrels, the files of ``trec_eval`` and the programs that follow it.

A run has lines ``query Q0 item rank score tag``, qrels have lines ``query 0 item relevance``, with
white space between the fields and no header. As in ``trec_eval`` the score decides the order of a
run, not the rank.
"""

import math
from pathlib import Path

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.search.hits import Hit, read_hits, read_truth

RUNS = (".run", ".trec")
QRELS = (".qrels",)


def read_any_hits(path):
    """Hits of a TREC run (``.run``, ``.trec``), or of what ``item-search`` wrote (any other name).

    Returns:
        dict: query id -> list of ``Hit``, best first.
    """
    return read_run(path) if Path(path).suffix in RUNS else read_hits(path)


def read_any_truth(path):
    """Truth of TREC qrels (``.qrels``), or of a TSV ``query_id item_id`` (any other name).

    Returns:
        dict: query id -> set of item ids.
    """
    return read_qrels(path) if Path(path).suffix in QRELS else read_truth(path)


def read_run(path):
    """Read a TREC run.

    Returns:
        dict: query id -> list of ``Hit``, by descending score; equal scores by rank.

    Raises:
        InputError: the file is not there, or a line is not one of a run, or answers again.
    """
    found = {}
    for row, (query, _, item, rank, score, _) in _rows(path, 6, "query Q0 item rank score tag"):
        answers = found.setdefault(query, {})
        if item in answers:
            raise InputError(
                f"{path} row {row} answers {item!r} to query {query!r} again; keep the best"
            )
        answers[item] = (-_number(score, "score", path, row), _number(rank, "rank", path, row))
    return {
        query: [Hit(item, -answers[item][0]) for item in sorted(answers, key=answers.get)]
        for query, answers in found.items()
    }


def write_run(path, hits, tag="fairseq-item"):
    """Write ``hits`` (query id -> list of ``Hit``, best first) as a TREC run.

    Programs that read runs sort by score, as float32, and equal ones by id. So that they see the
    order of the hits, a score that is not below the one before it is lowered to the next float32
    below that.

    Raises:
        InputError: an id has white space in it.
    """
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as out:
        for query, answers in hits.items():
            last = np.float32(math.inf)
            for rank, hit in enumerate(answers, start=1):
                last = np.fmin(np.float32(hit.score), np.nextafter(last, np.float32(-math.inf)))
                ids = _field(query), _field(hit.item_id)
                out.write(f"{ids[0]} Q0 {ids[1]} {rank} {float(last):.9g} {tag}\n")


def read_qrels(path):
    """Read TREC qrels; what has a relevance above 0 is a true match, whatever its grade.

    Returns:
        dict: query id -> set of item ids; queries without a true match are left out.

    Raises:
        InputError: the file is not there, a line is not one of qrels, or no match is true.
    """
    truth = {}
    for row, (query, _, item, relevance) in _rows(path, 4, "query 0 item relevance"):
        if _number(relevance, "relevance", path, row) > 0:
            truth.setdefault(query, set()).add(item)
    if not truth:
        raise InputError(f"{path} has no true match; there is nothing to score against")
    return truth


def write_qrels(path, truth):
    """Write ``truth`` (query id -> iterable of item ids) as TREC qrels.

    Raises:
        InputError: an id has white space in it.
    """
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as out:
        for query, items in truth.items():
            for item in sorted(items):
                out.write(f"{_field(query)} 0 {_field(item)} 1\n")


def _rows(path, count, what):
    """Yield (number, fields) of each line that is not blank."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path} is not there; name an existing file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error.reason}); convert it") from None
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if fields and len(fields) != count:
            raise InputError(f"{path} row {number} has {len(fields)} fields; it must be: {what}")
        if fields:
            yield number, fields


def _number(text, what, path, row):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path} row {row} has the {what} {text!r}; it must be a number")
    return value


def _field(name):
    if len(name.split()) != 1:
        raise InputError(f"the id {name!r} cannot be part of a TREC file: it has white space in it")
    return name
