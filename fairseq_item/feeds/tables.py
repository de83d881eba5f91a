"""Tables (CSV, TSV) and JSON Lines: row by row, and what cannot be read is told, not dropped."""

import csv
import json
from itertools import chain

from fairseq_item.feeds.blocks import first_line, is_utf8, lines
from fairseq_item.feeds.listing import Rejected

MAX_FIELD = 1 << 20
# Lines that one row of a TSV may be broken over, inside quotes.
MAX_BROKEN = 200


def header(path):
    """The columns of a table in lower case without blanks around them, in order, list of str.

    Of a file that is none they are whatever its first line falls into, or none.
    """
    line = first_line(path)
    try:
        return [name.strip().lower() for name in _split(line, delimiter(line))]
    except csv.Error:
        return []


def delimiter(line):
    """What stands between the columns of a header."""
    return next((mark for mark in "\t,;" if mark in line), " ")


def table(path):
    """Yield (row, dict) of a table's rows, and :class:`Rejected` for those that cannot be read.

    ``row`` is the line that it starts on; columns are as :func:`header` names them, and where two
    have one name, their values stand in one, with a comma between.
    """
    names, mark = header(path), delimiter(first_line(path))
    numbered = ((number, line) for number, line in lines(path) if line.strip())
    records = (
        _tsv_records(numbered, len(names)) if mark == "\t" else _csv_records(lines(path), mark)
    )
    next(records)
    for row, values in records:
        if isinstance(values, str):
            yield Rejected(row, "", values)
        elif len(values) != len(names):
            yield Rejected(row, "", f"has {len(values)} fields where the header has {len(names)}")
        elif not all(map(is_utf8, values)):
            yield Rejected(row, "", "is not UTF-8")
        else:
            yield row, _joined(names, values)


def _joined(names, values):
    record = {}
    for name, value in zip(names, values):
        value, before = value.strip(), record.get(name)
        record[name] = f"{before},{value}" if before and value else before or value
    return record


def _csv_records(numbered, mark):
    """(row, values) of a CSV, or (row, reason) of what is none; RFC 4180."""
    csv.field_size_limit(MAX_FIELD)
    last = 0

    def text():
        nonlocal last
        for number, line in numbered:
            last = number
            yield line + "\n"

    # Strict: a quote that is never closed must not swallow the rows below without a word.
    reader = csv.reader(text(), delimiter=mark, strict=True)
    while True:
        start = last + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield start, f"is not valid CSV ({error}; lines {start} to {last})"
            continue
        if values:
            yield start, values


def _tsv_records(numbered, columns):
    """(row, values) of a TSV; a row that is broken over lines, inside quotes, is made whole.

    A line with as many tabs as the header is a row, whatever quotes it holds (22" screens are
    common), unless its last value opens one that the next lines close.
    """
    numbered = iter(numbered)
    waiting = []
    while True:
        row, line = waiting.pop(0) if waiting else next(numbered, (0, None))
        if line is None:
            return
        fields = line.split("\t")
        if '"' in line and (len(fields) < columns or fields[-1].count('"') % 2):
            read, text = [], line
            for number, further in chain(waiting, numbered):
                read.append((number, further))
                text += "\n" + further
                if _whole(text, columns) or text.count("\t") >= columns or len(read) == MAX_BROKEN:
                    break
            waiting = waiting[len(read) :]
            if _whole(text, columns):
                line = text
            else:
                waiting = read + waiting
        yield row, _split(line, "\t")


def _whole(text, columns):
    """Whether the lines of ``text`` are one row: line ends are inside quotes only."""
    fields = text.split("\t")
    return len(fields) == columns and all(
        field[0] == field[-1] == '"' and field.count('"') % 2 == 0
        for field in fields
        if "\n" in field
    )


def _split(line, mark):
    if mark != "\t":
        return next(csv.reader([line], delimiter=mark), [])
    return [_unquoted(value) for value in line.split("\t")]


def _unquoted(value):
    if len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1].replace('""', '"')
    return value


def listings(rows, make):
    """Yield what ``make(row, record)`` returns of each of ``rows``; :class:`Rejected` stay so.

    Args:
        rows: those of :func:`table` or :func:`json_lines`, or of one's own making.
        make: takes what a row is a tuple of.
    """
    return (found if isinstance(found, Rejected) else make(*found) for found in rows)


def json_lines(path):
    """Yield (row, dict) of a file of JSON objects, and :class:`Rejected` for what is none."""
    for row, line in lines(path):
        if not line.strip():
            continue
        try:
            record = json.loads(line) if is_utf8(line) else None
        except (ValueError, RecursionError) as error:
            yield Rejected(row, "", f"is not valid JSON ({error})")
            continue
        if isinstance(record, dict):
            yield row, record
        else:
            reason = "is not a JSON object" if is_utf8(line) else "is not UTF-8"
            yield Rejected(row, "", reason)
