"""``meta.json``: what a folder of embeddings, or an index, says of itself; written last.

It holds the digests of the folder's other files, and one of itself (``seal``): who changes it by
hand removes that line.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fairseq_item import digests
from fairseq_item.data.tsv import Table, check_ids, read_table
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path

FORMAT = 1
MEND = {
    "embeddings": "run item-embed again",
    "index": "run item-index again",
    "fused vectors": "run item-fuse again",
}
Check = Callable[[Any], bool]


def read_meta(folder: str | Path, what: str, fields: Mapping[str, Check]) -> dict[str, Any]:
    """Read ``meta.json`` of a folder.

    Args:
        folder: the folder.
        what: "embeddings", "index" or "fused vectors".
        fields: key -> whether a value, None where the key is missing, can be right.

    Raises:
        InputError: the folder or the file is missing, damaged, of another format or of another
            kind of folder.
    """
    path, mend = Path(folder) / "meta.json", MEND[what]
    if not path.is_file():
        raise InputError(f"{path} is missing, so {folder} holds no whole {what}; {mend}")
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_file() and not entry.is_dir():  # a pipe would be waited for
                raise InputError(f"{entry.path} is no file; {mend}")
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict) or "format" not in meta:
        raise InputError(f"{path} is not a description of {what}; {mend}")
    if not one_of(FORMAT)(meta["format"]):
        raise InputError(f"{path} has format {meta['format']!r}, not {FORMAT}; {mend}")
    # Older folders of embeddings do not say what they are.
    content = meta.get("content", "embeddings")
    if content != what:
        if "fused vectors" in (content, what):
            raise InputError(f"{folder} holds {content}, not {what}; name another folder")
        if what == "index":
            raise InputError(f"{folder} holds embeddings, not an index; run item-index on it")
        raise InputError(f"{folder} holds an index; name the embeddings that it was made of")
    meta = digests.unsealed(path, meta, mend)
    check_fields(meta, fields, path, mend)
    return meta


def check_fields(
    values: Mapping[str, Any], fields: Mapping[str, Check], path: str | Path, mend: str
) -> None:
    """Refuse values of ``path`` that cannot be right; ``fields`` as of :func:`read_meta`."""
    for key, check in fields.items():
        if not check(values.get(key)):
            shown = json.dumps(values[key])[:60] if key in values else "missing"
            raise InputError(f"{path}: {key} is {shown}; {mend}")


def write_meta(folder: str | Path, meta: Mapping[str, Any]) -> None:
    """Write ``meta.json``, which declares the folder whole, with its own digest."""
    with atomic_path(Path(folder) / "meta.json") as path:
        text = json.dumps(digests.sealed(dict(meta)), indent=2, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")


def read_items(folder: str | Path, meta: Mapping[str, Any], what: str) -> Table:
    """The items of a folder, as many as ``meta`` says, each with an id of its own.

    Raises:
        InputError: they are not there, or damaged.
    """
    path = Path(folder) / "items.tsv"
    try:
        items = read_table(path, ["id"])
        check_ids(items, path)
    except InputError as error:
        raise InputError(f"{path} is damaged ({error}); {MEND[what]}") from None
    if len(items) != meta["count"]:
        raise InputError(
            f"{path} has {len(items)} rows where meta.json says {meta['count']}; {MEND[what]}"
        )
    return items


def check_files(folder: str | Path, meta: Mapping[str, Any], what: str, verify: bool) -> None:
    """Compare a folder's files with what ``meta.json`` says of them.

    What is read whole anyway, such as items and faiss indexes, is compared whole; of arrays a
    sample, and all of it under ``verify``. Older folders have no digests.

    Raises:
        InputError: a file is missing or is another one.
    """
    entries = meta.get("files") or {}
    read = {name: entry for name, entry in entries.items() if name.endswith((".tsv", ".faiss"))}
    digests.check(folder, read, MEND[what], everything=True)
    digests.check(folder, entries, MEND[what], everything=verify)


# What values of a description may be.


def whole(least: int) -> Check:
    """Whole numbers of ``least`` or more."""
    return lambda value: type(value) is int and value >= least


def number(value: Any) -> bool:
    """A finite number."""
    return type(value) in (int, float) and abs(value) < 1e300  # false for NaN


def text(value: Any) -> bool:
    """A string that is not empty."""
    return isinstance(value, str) and bool(value)


def maybe(check: Check) -> Check:
    """None, or what ``check`` lets pass."""
    return lambda value: value is None or check(value)


def one_of(*values: Any) -> Check:
    """One of these values, of the same type."""
    return lambda value: any(type(value) is type(one) and value == one for one in values)


def mapping(names: tuple[str, ...], check: Check) -> Check:
    """An object with at least these names, whose values ``check`` lets pass."""
    return lambda value: isinstance(value, dict) and all(check(value.get(name)) for name in names)
