"""The file formats of a catalogue, each read as the same plain rows of strings."""

import csv
import gzip
import json
import logging
import zlib
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

from fairseq_item.data.catalog_parts import join_parts, part_paths
from fairseq_item.errors import InputError

logger = logging.getLogger(__name__)

BOM = b"\xef\xbb\xbf"


@dataclass
class CatalogFile:
    """A catalogue as it lies in its file.

    Attributes:
        fieldnames: names of the columns.
        rows: ``rows()`` starts reading anew and yields (number, values): where the row lies, and
            a list of strings as long as ``fieldnames``.
        unit: what ``number`` counts: "line", from 1 with the header, or "row", from 1.
        files: the paths that it is read from.
        where: makes of a number what a message calls that row; None: the file, ``unit``, number.
        count: rows, where the file says it.
    """

    fieldnames: list
    rows: Callable
    unit: str = "line"
    files: Sequence = ()
    where: Callable | None = None
    count: int | None = None


def open_catalog_file(path):
    """The :class:`CatalogFile` of a path, by its extension; of a folder or glob of Parquet files.

    Raises:
        InputError: the file is missing, empty, or in no format that is known; ``rows()`` raises
            it too, at the first row that cannot be read.
    """
    parts = part_paths(path)
    if parts is not None:
        return CatalogFile(**join_parts(parts, [_open_parquet(part) for part in parts]))
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is missing; name a catalogue file")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    suffix = (suffixes[:-1] if zipped else suffixes)[-1:]
    opener = OPENERS.get(suffix[0] if suffix else "")
    if opener is None or (zipped and opener is _open_parquet):
        raise InputError(
            f"{path} has an unknown extension; a catalogue is .tsv, .csv, .jsonl (each also "
            "with .gz) or .parquet"
        )
    return replace(opener(path), files=[path])


def _lines(path):
    """(line number, decoded line with its end) of a text file, gzipped or not."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    number = 0
    try:
        with opener(path, "rb") as file:
            for number, raw in enumerate(file, 1):
                if number == 1 and raw.startswith(BOM):
                    raw = raw[len(BOM) :]
                yield number, raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} line {number} is not UTF-8; save the file as UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path} cannot be unpacked after line {number} ({error}); gzip it again"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); see its permissions") from None


def _check_length(path, number, values, fieldnames, mend):
    if len(values) != len(fieldnames):
        raise InputError(
            f"{path} line {number} has {len(values)} fields where the header has "
            f"{len(fieldnames)}; {mend}"
        )


def _with_header(path, parse, mend):
    """A file of a text format whose first row holds the names of the columns.

    Args:
        parse: makes (line number, list of values) of what ``_lines`` yields, header included.
        mend: advice for a row of another length than the header.
    """

    def rows():
        records = parse(path)
        next(records)
        for number, values in records:
            _check_length(path, number, values, fieldnames, mend)
            yield number, values

    fieldnames = next(parse(path), (0, []))[1]
    if not fieldnames:
        raise InputError(f"{path} is empty; it needs a header and a row per product")
    return CatalogFile(fieldnames, rows)


def _parse_tsv(path):
    for number, line in _lines(path):
        line = line.rstrip("\r\n")
        if line:
            yield number, line.split("\t")


def _parse_csv(path):
    # Descriptions in further columns easily pass the module's limit of 131,072 characters.
    csv.field_size_limit(2**31 - 1)
    # Strict: a quote that is never closed must not swallow the rest of the file.
    reader = csv.reader((line for _, line in _lines(path)), strict=True)
    start = 1
    try:
        for values in reader:
            if values:
                yield start, values
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path} line {start} is not valid CSV ({error}); quote fields that hold commas, "
            "quotes or line ends, and double the quotes inside them"
        ) from None


def _parse_json_lines(path):
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path} line {number} is not valid JSON ({error}); write one object a line"
            ) from None
        if not isinstance(record, dict):
            raise InputError(f"{path} line {number} is not a JSON object; write one object a line")
        yield number, record


def _open_tsv(path):
    return _with_header(path, _parse_tsv, "values cannot hold tabs or line ends; use CSV for those")


def _open_csv(path):
    return _with_header(path, _parse_csv, "quote fields that hold commas")


def _open_json_lines(path):
    # A pass of its own: an object may have keys that none before it had.
    names = {}
    for _, record in _parse_json_lines(path):
        names.update(dict.fromkeys(record))
    if not names:
        raise InputError(f"{path} is empty; it needs a JSON object per product")
    fieldnames = list(names)

    def rows():
        for number, record in _parse_json_lines(path):
            yield number, [_string(record.get(name)) for name in fieldnames]

    return CatalogFile(fieldnames, rows)


def _open_parquet(path):
    import pyarrow.parquet

    with _parquet_errors(path, "is not Parquet"), pyarrow.parquet.ParquetFile(path) as file:
        schema, count = file.schema_arrow, file.metadata.num_rows
        fieldnames = [field.name for field in schema if not _holds_bytes(field.type)]
    for name in schema.names:
        if name not in fieldnames:
            logger.warning("%s: column '%s' holds bytes, not text, and is left out", path, name)

    def rows():
        number = 0
        damaged = _parquet_errors(path, "is damaged")
        with damaged, pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=4096, columns=fieldnames):
                columns = [batch.column(name).to_pylist() for name in fieldnames]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield number, [_string(value) for value in values]

    return CatalogFile(fieldnames, rows, unit="row", count=count)


@contextmanager
def _parquet_errors(path, problem):
    try:
        yield
    except InputError:
        raise
    except (ValueError, OSError) as error:  # pyarrow's own exceptions derive from these two
        reason = " ".join(str(error).split())
        raise InputError(f"{path} {problem} ({reason}); write it again") from None


def _holds_bytes(kind):
    """Whether an Arrow type is binary (images, say), or nests something that is."""
    import pyarrow.types as types

    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return True
    return any(_holds_bytes(kind.field(i).type) for i in range(kind.num_fields))


def _string(value):
    """A JSON or Parquet value as the text that a TSV would hold."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        # Spreadsheets and data frames turn whole numbers, ids among them, into 1001.0 and gaps
        # into NaN.
        if value != value:
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, (bool, list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


OPENERS = {
    ".tsv": _open_tsv,
    ".csv": _open_csv,
    ".jsonl": _open_json_lines,
    ".ndjson": _open_json_lines,
    ".parquet": _open_parquet,
}
