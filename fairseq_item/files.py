"""Writing files so that a half-written one is never taken for whole, and none by mistake."""

import atexit
import fcntl
import hashlib
import os
import platform
import re
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fairseq_item.errors import InputError

# The machine is a part of temporary names: on a shared disk others have processes of equal number.
MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
# .NAME.MACHINE.PROCESS.tmp; an earlier version left the machine out.
TEMPORARY = re.compile(r"\..+?(?:\.([0-9a-f]{8}))?\.(\d+)\.tmp")


@contextmanager
def atomic_path(path):
    """Yield a temporary path beside ``path`` that takes its place only if the block succeeds.

    Args:
        path: the file to be written; its folder is made where it is missing.

    Yields:
        Path: write here. On an exception it is removed, and ``path`` is left as it was.

    Raises:
        InputError: the file cannot be written: the disk is full, say.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _temporary(path):
    return path.with_name(f".{path.name}.{MACHINE}.{os.getpid()}.tmp")


@contextmanager
def writing(path):
    """Let the block, which writes ``path``, end in an InputError where that cannot be written.

    Raises:
        InputError: in place of OSError; it names the file, or the one that the error names.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        # NumPy's, of a full disk, has no number.
        reason = error.strerror or " ".join(str(error).split())
        name = str(error.filename2 or error.filename or path)
        if TEMPORARY.fullmatch(Path(name).name):
            name = path
        raise InputError(
            f"{name} cannot be written or read ({reason}); see its folder, permissions and disk"
        ) from None


def check_output(path):
    """Find out before long work whether a file can be written at its end.

    Args:
        path: the file.

    Raises:
        InputError: it is a folder, or nothing can be written there.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file")
    with writing(path):
        made = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        temporary = _temporary(path)
        temporary.touch()
        temporary.unlink()
        for folder in made:
            folder.rmdir()


def allocate(path, size):
    """Make a file of ``size`` bytes, zeros, whose room on the disk is its own.

    A full disk is then found here, and not by SIGBUS when the file is mapped and written to.

    Raises:
        InputError: there is no such room.
    """
    with writing(path), open(path, "wb") as file:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def sweep(folder, name=None):
    """Remove temporary files of killed runs of this machine: those whose process is no more.

    Args:
        folder: where they lie.
        name: of the file that they were to become; None for all.
    """
    start = "." if name is None else f".{name}."
    with os.scandir(folder) as entries:
        found = [entry.name for entry in entries if entry.name.startswith(start)]
    for temporary in found:
        match = TEMPORARY.fullmatch(temporary)
        if match and match[1] in (None, MACHINE) and not _alive(int(match[2])):
            Path(folder, temporary).unlink(missing_ok=True)


def _alive(process):
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # another user's
    return True


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
def locked_folder(folder):
    """Hold the lock of a folder that a command writes to, so that a second run is refused.

    Temporary files that killed runs left there are removed.

    Args:
        folder: made where it is missing.

    Raises:
        InputError: another process writes there, or nothing can be written there.
    """
    with locked(Path(folder) / ".lock"):
        sweep(folder)
        yield


def hold_folder(folder):
    """Hold the lock of :func:`locked_folder` until this process ends.

    Raises:
        InputError: another process holds it, or nothing can be written there.
    """
    path = (Path(folder) / ".lock").resolve()
    if path in _held:
        return
    stack, process = ExitStack(), os.getpid()
    stack.enter_context(locked(path))
    _held[path] = stack
    # Not in children, which Python gives the same list of what to do at the end.
    atexit.register(lambda: stack.close() if os.getpid() == process else None)


_held: dict[Path, ExitStack] = {}


@contextmanager
def locked(path, wait=False):
    """Hold a lock file while the block runs; a killed process holds it no longer.

    Args:
        path: the lock file, removed at the end; its folder is made where it is missing.
        wait: for another process that holds it, instead of raising an error.

    Raises:
        InputError: another process holds it (the message names that process), or it cannot be
            written.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _lock(path, wait)
    with file:
        with writing(path):
            file.truncate(0)
            file.write(f"process {os.getpid()}, started {time.strftime('%Y-%m-%d %H:%M:%S')}")
            file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _lock(path, wait):
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  (for as long as it is held)
        try:
            # A lock of lockf is not inherited by workers, which may outlive a killed parent.
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
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
