"""Tab-separated tables: a header, no quoting, UTF-8."""

from itertools import chain, repeat

import numpy as np

from fairseq_item.data.lines import Lines
from fairseq_item.data.text import clean_field
from fairseq_item.data.unique import Suspects
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
        columns = [[v for table in tables for v in table.column(name)] for name in fieldnames]
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
        return dict(zip(self.fieldnames, self._row(i)))

    def __iter__(self):
        """Yield each row as a list of str."""
        if self._rows is None:
            return (line.split("\t") for line in self._lines)
        return iter(self._rows)

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

    def _row(self, i):
        return self._lines[i].split("\t") if self._rows is None else self._rows[i]


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
        raise InputError(f"{path} is not there; name an existing TSV file") from None
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
    number = 2
    for values in (tabs + 1 for tabs in lines.count("\t")):
        bad = np.flatnonzero(values != len(fieldnames))
        if len(bad):
            raise InputError(
                f"{path} row {number + bad[0]} has {values[bad[0]]} values where the header has "
                f"{len(fieldnames)}; mend that row"
            )
        number += len(values)
    return Table.of_lines(fieldnames, lines)


def write_table(path, table):
    """Write a ``Table`` as TSV; values are cleaned of tabs and line ends."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as out:
        for row in chain([table.fieldnames], table):
            out.write("\t".join(clean_field(str(value)) for value in row) + "\n")


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
    suspects = Suspects()
    for row, name in numbered():
        if not name:
            raise InputError(f"{path} row {row} has an empty id; give every row its own")
        suspects.add(name)
    repeat = suspects.repeat(numbered)
    if repeat:
        name, row, first = repeat
        raise InputError(f"{path} row {row} has the id {name!r} of row {first}; give it its own")
