"""Tab-separated files: UTF-8, a header, no quoting; all that preprocessing and search write."""

from contextlib import ExitStack
from itertools import repeat

import numpy as np

from fairseq_item.data.duplicates import Duplicates
from fairseq_item.data.lines import Lines
from fairseq_item.data.text import clean_field
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path


class Table:
    """Rows of strings under named columns; ``table[i]`` is row ``i`` as a dict.

    A table that was read stays in its file, whose lines are read and taken apart when they are
    asked for: a million rows as lists of strings would take seconds and most of a gigabyte.

    Args:
        fieldnames: names of the columns.
        rows: list of lists of str, each as long as ``fieldnames``.
    """

    def __init__(self, fieldnames, rows):
        self.fieldnames = list(fieldnames)
        self._lines, self._rows = None, rows

    @classmethod
    def of_lines(cls, fieldnames, lines):
        """A table of ``lines``: strings with a tab between two values, as many as there are names.

        Args:
            fieldnames: names of the columns.
            lines: list of str, or ``Lines``.
        """
        table = cls(fieldnames, None)
        table._lines = lines
        return table

    @classmethod
    def of(cls, items):
        """A table of ``items``: a ``Table`` as it is, or a list of dicts with the same keys."""
        if isinstance(items, Table):
            return items
        items = list(items)
        fieldnames = list(items[0]) if items else ["id", "title", "image"]
        return cls(fieldnames, [[item.get(name, "") for name in fieldnames] for item in items])

    @classmethod
    def joined(cls, tables):
        """The rows of several tables, one after the other, under the columns of all of them."""
        if len(tables) == 1:
            return tables[0]
        fieldnames = list(dict.fromkeys(name for table in tables for name in table.fieldnames))
        if all(t._rows is None and t.fieldnames == fieldnames for t in tables):
            return cls.of_lines(fieldnames, [line for table in tables for line in table._lines])
        columns = [[v for table in tables for v in table.values(name)] for name in fieldnames]
        return cls(fieldnames, [list(row) for row in zip(*columns)])

    @property
    def rows(self):
        """All rows, list of lists of str: the table's own, to be changed where need be."""
        if self._rows is None:
            self._rows, self._lines = [line.split("\t") for line in self._lines], None
        return self._rows

    def __len__(self):
        return len(self._lines if self._rows is None else self._rows)

    def __getitem__(self, i):
        row = self._lines[i].split("\t") if self._rows is None else self._rows[i]
        return dict(zip(self.fieldnames, row))

    def __iter__(self):
        """Yield each row as a list of str."""
        if self._rows is None:
            return (line.split("\t") for line in self._lines)
        return iter(self._rows)

    def dicts(self):
        """Yield each row as a dict, column name -> value."""
        return (dict(zip(self.fieldnames, row)) for row in self)

    def column(self, name):
        """All values of a column; empty strings where there is no such column."""
        return list(self.values(name))

    def values(self, name):
        """Yield what :meth:`column` lists."""
        if name not in self.fieldnames:
            return repeat("", len(self))
        position = self.fieldnames.index(name)
        if self._rows is None:
            return (line.split("\t", position + 1)[position] for line in self._lines)
        return (row[position] for row in self._rows)


def read_table(path, required=(), only=False):
    """Read a TSV file.

    Args:
        path: the file.
        required: columns that it must have.
        only: refuse any further column.

    Raises:
        InputError: the file is missing, empty, not UTF-8, lacks a column, has one column twice or
            one too many, or has a row that is longer or shorter than the header.
    """
    try:
        lines = Lines(path)
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(
            f"{path} is not there; name an existing TSV file, or run the step that writes it"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error.reason}); convert it") from None
    if not lines.header:
        raise InputError(f"{path} is empty; it needs a header with {', '.join(required)}")
    fieldnames = lines.header.split("\t")
    if len(set(fieldnames)) != len(fieldnames):
        raise InputError(f"{path} row 1 names a column twice; rename one of them")
    missing = [name for name in required if name not in fieldnames]
    if missing:
        raise InputError(f"{path} row 1 lacks {', '.join(missing)}; it has {', '.join(fieldnames)}")
    unknown = [name for name in fieldnames if name not in required]
    if only and unknown:
        raise InputError(f"{path} row 1 has unknown columns {', '.join(unknown)}; remove them")
    _check_lengths(path, lines, len(fieldnames))
    return Table.of_lines(fieldnames, lines)


def _check_lengths(path, lines, length):
    number = 2
    for values in (tabs + 1 for tabs in lines.count("\t")):
        bad = np.flatnonzero(values != length)
        if len(bad):
            raise InputError(
                f"{path} row {number + bad[0]} has {values[bad[0]]} values where the header has "
                f"{length}; mend that row"
            )
        number += len(values)


def check_ids(table, path):
    """Refuse a table read from ``path`` if its column ``id`` does not name the rows.

    Raises:
        InputError: an id is empty or occurs twice.
    """
    _check_ids(lambda: enumerate(table.values("id"), start=2), path)


def unique_ids(table, path):
    """The column ``id`` of a table read from ``path``; raises as :func:`check_ids`."""
    ids = table.column("id")
    _check_ids(lambda: enumerate(ids, start=2), path)
    return ids


def _check_ids(numbered, path):
    """``numbered``: function that iterates over (row, id)."""
    duplicates = Duplicates()
    for row, name in numbered():
        if not name:
            raise InputError(f"{path} row {row} has an empty id; give every row its own")
        duplicates.add(name)
    repeated = duplicates.first(numbered)
    if repeated:
        name, row, first = repeated
        raise InputError(f"{path} row {row} has the id {name!r} of row {first}; give it its own")


class TsvWriter:
    """Write a TSV row by row; the file takes its place only if the block succeeds.

    Control characters inside values, tabs and newlines among them, become single spaces.

    Args:
        path: the file to be written.
        fieldnames: the header.

    Attributes:
        count: rows written so far.
    """

    def __init__(self, path, fieldnames):
        self.path = path
        self.fieldnames = list(fieldnames)
        self.count = 0

    def __enter__(self):
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._file = stack.enter_context(
                open(temporary, "w", encoding="utf-8", newline="\n", buffering=1 << 20)
            )
            self._stack = stack.pop_all()
        self._write(self.fieldnames)
        return self

    def write(self, row):
        """Append a row: a dict; fields that it lacks are left empty, others are ignored."""
        self.write_values(row.get(name, "") for name in self.fieldnames)

    def write_values(self, values):
        """Append a row: its values, as many as there are columns."""
        self._write(values)
        self.count += 1

    def _write(self, values):
        self._file.write("\t".join([clean_field(str(value)) for value in values]) + "\n")

    def __exit__(self, *error):
        return self._stack.__exit__(*error)


def write_tsv(path, fieldnames, rows):
    """Write dict ``rows`` under a header of ``fieldnames`` and return how many there were."""
    with TsvWriter(path, fieldnames) as writer:
        for row in rows:
            writer.write(row)
    return writer.count


def write_table(path, table):
    """Write a :class:`Table`."""
    with TsvWriter(path, table.fieldnames) as writer:
        for row in table:
            writer.write_values(row)
