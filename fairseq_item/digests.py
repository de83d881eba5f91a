"""Size and SHA-256 of files, kept beside them: what was changed or damaged later is noticed.

The entries of a folder's files, ``{name: {"size": bytes, "sha256": hexadecimal}}``, lie under
``files`` in the JSON file that is written last. Who opens the folder calls :func:`check`, which
costs little whatever the size: of large files a sample is read, which tells one file from another
but not whether a byte was damaged; ``item-verify`` and ``--verify`` read every byte.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fairseq_item.errors import InputError

CHEAP = 1 << 20  # bytes; files up to this are always read
PIECES, PIECE = 32, 4096  # of larger ones: so many pieces of so many bytes


def digest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Size in bytes and SHA-256 in hexadecimal of a file: ``{"size": ..., "sha256": ...}``.

    Of a large one also the SHA-256 of a ``sample``.
    """
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    entry: dict[str, Any] = {"size": size, "sha256": found}
    return entry if size <= CHEAP else {**entry, "sample": sample(path)}


def sample(path: str | os.PathLike[str]) -> str:
    """SHA-256 of ``PIECES`` pieces of a file, spread evenly from its first to its last byte."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        last = max(0, os.fstat(file.fileno()).st_size - PIECE)
        for piece in range(PIECES):
            file.seek(last * piece // (PIECES - 1))
            found.update(file.read(PIECE))
    return found.hexdigest()


def digests(folder: str | os.PathLike[str], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The entries of some files of a folder: dict of name -> :func:`digest`."""
    return {name: digest(Path(folder) / name) for name in names}


def check(
    folder: str | os.PathLike[str], entries: Any, mend: str, everything: bool = False
) -> None:
    """Compare the files of a folder with their entries: sizes, and SHA-256 of those up to CHEAP.

    Of larger files the samples are compared.

    Args:
        folder: where the files lie.
        entries: of :func:`digests`, as read from JSON; ``{}`` where an older version wrote none.
        mend: what to do about a difference, for the message: "run item-index again".
        everything: read the large files, too.

    Raises:
        InputError: a file is missing or another one, or ``entries`` are none.
    """
    if not isinstance(entries, dict):
        raise InputError(f"{folder}: the entries of its files are damaged; {mend}")
    for name, entry in entries.items():
        size, sha256 = _entry(folder, name, entry, mend)
        path = Path(folder) / name
        try:
            same = path.stat().st_size == size
            if same and (everything or size <= CHEAP):
                same = digest(path)["sha256"] == sha256
            elif same and "sample" in entry:
                same = sample(path) == entry["sample"]
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); {mend}") from None
        if not same:
            raise InputError(f"{path} is not the file that was written here; {mend}")


def _entry(folder: Any, name: str, entry: Any, mend: str) -> tuple[int, str]:
    """Size and SHA-256 of one entry; a name never leads out of the folder."""
    try:
        size, sha256 = entry["size"], entry["sha256"]
        inside = name == os.path.basename(name) and name not in ("", ".", "..")
        if inside and isinstance(size, int) and isinstance(sha256, str):
            return size, sha256
    except (KeyError, TypeError):
        pass
    raise InputError(f"{folder}: the entry of its file {name!r} is damaged; {mend}")


def sealed(values: dict[str, Any]) -> dict[str, Any]:
    """``values`` (of JSON) with a digest of themselves under ``seal``, for a description."""
    return {**values, "seal": _seal(values)}


def unsealed(path: str | os.PathLike[str], values: dict[str, Any], mend: str) -> dict[str, Any]:
    """Values that were read from a JSON file, without ``seal``; older versions wrote none.

    Raises:
        InputError: they are not what :func:`sealed` was given.
    """
    rest = {name: value for name, value in values.items() if name != "seal"}
    if "seal" in values and values["seal"] != _seal(rest):
        raise InputError(f"{path} was changed after it was written; {mend}")
    return rest


def _seal(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
