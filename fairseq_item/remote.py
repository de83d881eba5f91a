"""Folders of object stores (``s3://``, ``gs://``, all that fsspec knows), and their copies here.

Arrays are mapped into memory and so must lie on a disk: a folder of a URL is worked on as its
copy, below ``FAIRSEQ_ITEM_CACHE`` (``~/.cache/fairseq-item``), to which the files are fetched that
changed there, and from which those are sent that changed here. Both ways descriptions (``.json``)
go last, and are removed before what they describe is replaced: a folder that was copied in part is
never taken for whole. A few files are copied at a time, in blocks.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path
from typing import Any

from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path, locked
from fairseq_item.parallel import map_in_threads
from fairseq_item.progress import progress

Wanted = Callable[[str], bool]
THREADS = 4  # files copied at a time; a store may keep 50 MB of each in memory
VOCABULARY = ("dict.txt", "bpe.model", "wordpiece.json")


def is_url(path: Any) -> bool:
    """Whether a path is a URL, such as ``s3://bucket/folder``."""
    return re.match(r"[a-z][a-z0-9+.-]+://", str(path)) is not None


def filesystem(url: str) -> tuple[Any, str]:
    """(fsspec's file system, path there) of a URL.

    Raises:
        InputError: the package of that kind of store is not installed, or there is none.
    """
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{url} cannot be opened ({reason}); pip install 'fairseq-item[cloud]' for s3://, "
            "gcsfs for gs://"
        ) from None


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Let what stores raise (no bucket, no rights, no network) end in an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each store has exceptions of its own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{url} cannot be read or written ({reason}); see its name, your rights and the network"
        ) from None


def cache() -> Path:
    """Where copies lie: FAIRSEQ_ITEM_CACHE."""
    default = Path.home() / ".cache" / "fairseq-item"
    return Path(os.environ.get("FAIRSEQ_ITEM_CACHE") or default)


def copy_of(url: str) -> Path:
    """Where the copy of a URL lies: its parts are folders, so that messages tell it."""
    scheme, _, rest = url.partition("://")
    parts = [part for part in rest.split("/") if part not in ("", ".", "..")]
    return cache().joinpath(scheme, *parts)


@dataclass(frozen=True)
class Mirror:
    """A folder of an object store and its copy here.

    Attributes:
        url: the folder there.
        path: the copy.
    """

    url: str
    path: Path

    @classmethod
    def of(cls, url: str) -> "Mirror":
        """That of the cache."""
        return cls(url.rstrip("/"), copy_of(url))

    def pull(self, wanted: Wanted = lambda name: True) -> Path:
        """Fetch what changed there; returns the path of the copy.

        Args:
            wanted: tells by the name within the folder which files matter.

        Raises:
            InputError: there is no such folder, it cannot be reached, or it changed meanwhile.
        """
        with self._record() as record, reaching(self.url):
            there = self._there(wanted)
            new = [name for name, state in there.items() if not self._same(name, state, record)]
            gone = [name for name in record if wanted(name) and name not in there]
            for name in [*gone, *filter(_describes, new)]:
                (self.path / name).unlink(missing_ok=True)
                record.pop(name, None)
            for name in self._copied(self._fetch, new, "fetching"):
                record[name] = [there[name], self._here(name)]
            if self._there(wanted) != there:
                raise InputError(f"{self.url} was changed while it was fetched; run again")
        return self.path

    def push(self, wanted: Wanted = lambda name: True) -> None:
        """Send what changed here.

        Raises:
            InputError: it cannot be reached or written.
        """
        with self._record() as record, reaching(self.url):
            there = self._there(wanted, may_lack=True)
            files = (path for path in sorted(self.path.rglob("*")) if path.is_file())
            names = [path.relative_to(self.path).as_posix() for path in files]
            new = [
                name
                for name in names
                if not any(part.startswith(".") for part in name.split("/"))
                and wanted(name)
                and not (name in there and self._same(name, there[name], record))
            ]
            fs, root = filesystem(self.url)
            for name in filter(_describes, new):
                if name in there:
                    fs.rm_file(f"{root}/{name}")
            here = {name: self._here(name) for name in new}
            sent = list(self._copied(self._send, new, "sending"))
            there = self._there(wanted, may_lack=True)
            record.update((name, [there[name], here[name]]) for name in sent)

    def _copied(self, copy: Callable[[str], str], names: list[str], doing: str) -> Iterator[str]:
        """Copy files, a few at a time and descriptions last; yields the names of those done."""
        ordered = sorted(names, key=_describes)
        split = len(names) - sum(map(_describes, names))
        parts = (map_in_threads(copy, part, THREADS) for part in (ordered[:split], ordered[split:]))
        yield from progress(chain.from_iterable(parts), f"{doing} {self.url}", len(names), "file")

    def _fetch(self, name: str) -> str:
        fs, root = filesystem(self.url)
        with atomic_path(self.path / name) as temporary:
            fs.get_file(f"{root}/{name}", str(temporary))
        return name

    def _send(self, name: str) -> str:
        fs, root = filesystem(self.url)
        fs.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
        fs.put_file(str(self.path / name), f"{root}/{name}")
        return name

    def _there(self, wanted: Wanted, may_lack: bool = False) -> dict[str, list]:
        """Name -> state of the files there."""
        fs, root = filesystem(self.url)
        fs.invalidate_cache()
        root = root.rstrip("/")
        found = fs.find(root, detail=True)
        if not found and not may_lack:
            raise InputError(f"{self.url} is empty or missing; name a folder that is there")
        names = {path.removeprefix(root).lstrip("/"): info for path, info in found.items()}
        for name in names:
            if ".." in name.split("/"):
                raise InputError(f"{self.url} has a file {name!r}, which leads out of it")
        return {name: _state(info) for name, info in names.items() if name and wanted(name)}

    def _here(self, name: str) -> list[int]:
        status = (self.path / name).stat()
        return [status.st_size, status.st_mtime_ns]

    def _same(self, name: str, state: list, record: dict) -> bool:
        """Whether a file is as it was when it was copied last, here and there."""
        if name not in record or not (self.path / name).is_file():
            return False
        return record[name] == [state, self._here(name)]

    @contextmanager
    def _record(self) -> Iterator[dict]:
        """Name -> [state there, state here] at the last copy; one process at a time."""
        path = self.path.with_name(f".{self.path.name}.mirror.json")
        with locked(path.with_suffix(".lock"), wait=True):
            record: dict = {}
            if path.exists():
                record = json.loads(path.read_text(encoding="utf-8"))
                record = record["files"] if record.get("url") == self.url else {}
            try:
                yield record
            finally:
                with atomic_path(path) as temporary:
                    temporary.write_text(json.dumps({"url": self.url, "files": record}))


def _describes(name: str) -> bool:
    return name.endswith(".json")


def _state(info: dict) -> list:
    """What tells a file of a store from the one that replaces it: size, and tag or time."""
    tags = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created")
    return [info["size"], next((str(info[tag]) for tag in tags if info.get(tag)), "")]


def local(path: Any, wanted: Wanted = lambda name: True) -> Any:
    """A path as it is; of a URL the path of the copy, fetched: a file, a folder, or a glob.

    Args:
        path: path or URL.
        wanted: of a folder, tells by their names within it which files are fetched.
    """
    if not is_url(path):
        return path
    url = str(path).rstrip("/")
    folder, _, name = url.rpartition("/")
    if any(letter in url for letter in "*?["):
        start = re.split(r"[*?\[]", url)[0].rpartition("/")[0]
        pattern = url[len(start) + 1 :]
        Mirror.of(start).pull(lambda name: fnmatch(name, pattern))
        return copy_of(start) / pattern
    fs, there = filesystem(url)
    with reaching(url):
        is_file = fs.isfile(there)
    if not is_file:
        return Mirror.of(url).pull(wanted)
    return Mirror.of(folder).pull(lambda found: found == name) / name


@contextmanager
def output(path: Any, pull: Wanted | None = None) -> Iterator[Path]:
    """Where to write what belongs at ``path``: there, or for a URL in its copy.

    What changed in the copy is sent when the block has ended without error.

    Args:
        path: path or URL of a folder.
        pull: tells which files that are there already are needed.
    """
    if not is_url(path):
        yield Path(path)
        return
    mirror = Mirror.of(str(path))
    if pull is not None and mirror._there(pull, may_lack=True):
        mirror.pull(pull)
    yield mirror.path
    mirror.push()


def of_splits(splits: list[str]) -> Wanted:
    """Tells the files of a data-bin that belong to some splits and their shards, and the
    vocabulary."""
    shard = re.compile(rf"(?:{'|'.join(map(re.escape, splits))})\d*")

    def wanted(name: str) -> bool:
        path = Path(name)
        return path.name in VOCABULARY or shard.fullmatch(path.stem) is not None

    return wanted


def local_model(path: Any) -> Any:
    """:func:`local` of a model folder or a checkpoint in one; of the folder only what is needed."""
    if not is_url(path):
        return path
    url = str(path).rstrip("/")
    folder, _, name = url.rpartition("/")
    if not name.endswith(".pt"):
        folder, name = url, "checkpoint_best.pt"
    copy = Mirror.of(folder).pull(lambda n: "/" not in n and (n == name or not n.endswith(".pt")))
    return copy if folder == url else copy / name
