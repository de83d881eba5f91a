"""Tab-separated files without quoting: the form of everything that preprocessing writes."""

from contextlib import ExitStack

from fairseq_item.data.text import clean_field
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path


class TsvWriter:
    """Write a TSV row by row; the file takes its place only if the block succeeds.

    Control characters inside values, tabs and newlines among them, become single spaces.

    Args:
        path: the file to be written.
        fieldnames: the header.
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
        self._write(row.get(name, "") for name in self.fieldnames)
        self.count += 1

    def _write(self, values):
        self._file.write("\t".join([clean_field(value) for value in values]) + "\n")

    def __exit__(self, *error):
        return self._stack.__exit__(*error)


def write_tsv(path, fieldnames, rows):
    """Write dict ``rows`` under a header of ``fieldnames`` and return how many there were."""
    with TsvWriter(path, fieldnames) as writer:
        for row in rows:
            writer.write(row)
    return writer.count


def iter_items(path, columns=None):
    """Rows of a TSV that preprocessing wrote (``items/{split}.tsv``, ``truth.tsv``), one by one.

    Args:
        path: the file.
        columns: names of the columns wanted; all by default.

    Yields:
        dict: column name -> value.

    Raises:
        InputError: the file is missing, is not UTF-8, lacks a column, or has a row of another
            length than its header.
    """
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            header = file.readline().rstrip("\r\n").split("\t")
            missing = [name for name in columns or () if name not in header]
            if missing:
                raise InputError(f"{path} has no column '{missing[0]}'; write it again")
            wanted = None if columns is None else [(c, header.index(c)) for c in columns]
            for number, line in enumerate(file, 2):
                values = line.rstrip("\r\n").split("\t")
                if len(values) != len(header):
                    raise InputError(
                        f"{path} line {number} has {len(values)} fields where the header has "
                        f"{len(header)}; write it again"
                    )
                if wanted is None:
                    yield dict(zip(header, values))
                else:
                    yield {name: values[i] for name, i in wanted}
    except FileNotFoundError:
        raise InputError(f"{path} is missing; run the step that writes it") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8; write it again") from None


def read_items(path, columns=None):
    """As :func:`iter_items`, all rows in a list: row ``i`` is sample ``i`` of its split."""
    return list(iter_items(path, columns))
