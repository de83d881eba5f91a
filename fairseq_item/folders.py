"""Folders that appear whole: written beside their place and put there by one exchange of names.

Whoever has opened files of a folder goes on reading those; who opens one finds all of the old
folder or all of the new. A killed run leaves the old folder as it was, and what it had begun is
removed by the next one.
"""

import ctypes
import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from fairseq_item.errors import InputError
from fairseq_item.files import locked, writing

T = TypeVar("T")
# Times that a folder is opened anew because it was replaced meanwhile.
TRIES = 20
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux' fcntl.h and fs.h


def work_path(folder: str | os.PathLike[str]) -> Path:
    """Where a folder is written before it takes its place: beside it, on the same file system."""
    folder = Path(folder).resolve()
    return folder.with_name(f".{folder.name}.new")


class NewFolder:
    """A folder in the making, by one process at a time; others may write into ``work``.

    Used as a context, it lets go of the lock and removes what was not put in place.

    Args:
        path: the folder. A link to it stays a link.
        known: tells by its name whether an entry belongs to such a folder: whatever else lies in
            ``path`` would be lost.

    Attributes:
        path: the folder itself, links resolved.
        work: where to write.

    Raises:
        InputError: another process writes the folder, it holds other things, or it cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str], known: Callable[[str], bool]) -> None:
        self.path = Path(path).resolve()
        self.work, self._open = work_path(self.path), True
        self._held = ExitStack()
        self._held.enter_context(locked(self.path.with_name(f".{self.path.name}.lock")))
        try:
            with writing(self.path):
                _mend(self.path)
                _remove(self.work)
                check_replaceable(self.path, known)
                self.work.mkdir()
        except BaseException:
            self._held.close()
            raise

    def put(self) -> None:
        """Let ``work`` take the place of ``path``, whose files go once nobody reads them."""
        with writing(self.path):
            _take_place(self.work, self.path)

    def close(self) -> None:
        """Remove what was not put in place, or what was there before; let go of the lock."""
        if self._open:  # later on ``work`` is another process'
            self._open = False
            with self._held:
                _remove(self.work)

    def __enter__(self) -> "NewFolder":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def check_replaceable(path: str | os.PathLike[str], known: Callable[[str], bool]) -> None:
    """Refuse a folder that cannot be replaced as a whole, before any work.

    Args:
        path: the folder, which need not be there.
        known: as of :class:`NewFolder`.

    Raises:
        InputError: it is a file, the current folder or a mount point, or holds other things.
    """
    path = Path(path).resolve()
    with writing(path):
        try:
            path.stat()
        except FileNotFoundError:
            return
    if not path.is_dir():
        raise InputError(f"{path} is a file; name another folder with --out")
    if path.is_mount() or path == Path.cwd():
        raise InputError(f"{path} cannot be replaced as a whole; name a folder below it with --out")
    others = sorted(name for name in os.listdir(path) if not known(name))
    if others:
        raise InputError(
            f"{path} holds other things ({', '.join(others[:3])}), which would be lost; name "
            "another folder with --out"
        )


def steadily(folder: str | os.PathLike[str], read: Callable[[], T]) -> T:
    """What ``read()`` makes of a folder, all of it before or all of it after it was replaced.

    Args:
        folder: which has ``meta.json`` if it is whole.
        read: opens all files that it needs; called again if the folder was replaced meanwhile.
    """
    for _ in range(TRIES):
        before = stamp(folder)
        try:
            found = read()
        except (OSError, ValueError):  # ValueError: numpy opens a file twice to map it
            if stamp(folder) == before:
                raise
            continue
        if stamp(folder) == before:
            return found
    raise InputError(f"{folder} is replaced all the time; try again")


def stamp(folder: str | os.PathLike[str]) -> Any:
    """Tells a folder from the one that replaces it; None for one that is not whole."""
    try:
        found = os.stat(Path(folder) / "meta.json")
    except OSError:
        return None
    # Not when it was modified: a copy may keep that, and its inode be that of one just removed.
    return found.st_dev, found.st_ino, found.st_ctime_ns, found.st_size


def _take_place(new: Path, old: Path) -> None:
    if not old.exists():
        new.rename(old)
    elif not _exchange(new, old):
        # Where names cannot be exchanged, who opens the folder in between finds none.
        old.rename(_aside(old))
        new.rename(old)
        _remove(_aside(old))


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _mend(folder: Path) -> None:
    """Put back the folder that a killed run had taken away, or remove it."""
    if not folder.exists() and _aside(folder).exists():
        _aside(folder).rename(folder)
    _remove(_aside(folder))


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names at once; False where the system or the file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    return rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0


def _remove(folder: Path) -> None:
    """Remove a folder and what is in it, even while other processes still write there."""
    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
    shutil.rmtree(folder)
