"""Writing files so that a half-written one is never taken for whole, and none by mistake."""

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path

from fairseq_item.errors import InputError


@contextmanager
def atomic_path(path):
    """Yield a temporary path beside ``path`` that takes its place only if the block succeeds.

    Args:
        path: the file to be written; its folder is made where it is missing.

    Yields:
        Path: write here. On an exception it is removed, and ``path`` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_overwriting(source, outputs):
    """Refuse to write over what is read.

    Args:
        source: the file that is read.
        outputs: the files to be written.

    Raises:
        InputError: one of them is ``source``.
    """
    source = Path(source).resolve()
    for path in outputs:
        if Path(path).resolve() == source:
            raise InputError(f"{path} would overwrite what is read; name another folder with --out")


@contextmanager
def locked(path):
    """Hold a lock file while the block runs; a killed process holds it no longer.

    Args:
        path: the lock file, removed at the end; its folder is made where it is missing.

    Raises:
        InputError: another process holds it; the message names that process.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()}, started {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _lock(path):
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  (for as long as it is held)
        try:
            # A lock of lockf is not inherited by workers, which may outlive a killed parent.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = file.read() or "another process"
            file.close()
            raise InputError(f"{path} is held by {holder}; let it end first") from None
        except FileNotFoundError:
            pass
        file.close()  # removed meanwhile by the one that held it
