"""A Parquet catalogue in parts, as Spark and Ray write it: a folder of files, or a glob."""

from bisect import bisect_right
from glob import glob, has_magic
from pathlib import Path

from fairseq_item.errors import InputError


def part_paths(path):
    """The files of a catalogue in parts, in the order of their names.

    Args:
        path: a folder, of which the ``.parquet`` files are taken, or a glob such as
            ``"products/*.parquet"`` (``**`` goes into folders). Names that begin with "_" or "."
            are left out, as Spark's own are.

    Returns:
        list of Path; None where ``path`` is neither.

    Raises:
        InputError: there is no such file.
    """
    path = Path(path)
    if path.is_dir():
        found = list(path.glob("*.parquet"))
    elif has_magic(str(path)) and not path.exists():
        found = [Path(name) for name in glob(str(path), recursive=True)]
    else:
        return None
    found = sorted(p for p in found if not p.name.startswith(("_", ".")) and p.is_file())
    other = [p for p in found if p.suffix.lower() != ".parquet"]
    if other:
        raise InputError(f"{other[0]} is not Parquet; a catalogue in parts is of .parquet files")
    if not found:
        raise InputError(f"{path} has no .parquet files; name the folder that they lie in")
    return found


def join_parts(paths, parts):
    """The rows of several files, one file after the other, as one.

    Args:
        paths: of the files.
        parts: a ``CatalogFile`` of each, with ``count``.

    Returns:
        the arguments of a ``CatalogFile``: dict.

    Raises:
        InputError: the files do not have the same columns.
    """
    fieldnames = parts[0].fieldnames
    for path, part in zip(paths, parts):
        if set(part.fieldnames) != set(fieldnames):
            odd = sorted(set(part.fieldnames) ^ set(fieldnames))
            raise InputError(
                f"{path} does not have the columns of {paths[0]} ({', '.join(odd)}); write all "
                "parts with the same columns"
            )
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + part.count)

    def rows():
        for start, part in zip(starts, parts):
            order = [part.fieldnames.index(name) for name in fieldnames]
            for number, values in part.rows():
                yield start + number, [values[i] for i in order]

    def where(number):
        part = bisect_right(starts, number - 1) - 1
        return f"{paths[part]} row {number - starts[part]}"

    return {"fieldnames": fieldnames, "rows": rows, "unit": "row", "where": where, "files": paths}
