"""Steps that are done once: cut off, the next call goes on with the first that is not whole."""

import hashlib
import json
import logging
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import programs

from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path

logger = logging.getLogger(__name__)
TAIL = 5


class Steps:
    """The steps of one folder.

    Args:
        folder: where their files and logs go; ``folder/steps`` says what is done.
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def run(self, name, command, makes=(), inputs=""):
        """Run a program unless it was run to its end before, with the same arguments.

        A step whose arguments changed starts afresh: what it ``makes`` is removed first. One that
        was cut off is called again on what it left, so that a training goes on.

        Args:
            name: of the step; its output goes to ``folder/logs/NAME.log``.
            command: the program (a Python file or a module) and its arguments.
            makes: files and folders within ``folder`` that it writes.
            inputs: what it depends on beyond its arguments, such as ``digest`` of the step before.

        Returns:
            str: digest of the step and all before it, for the ``inputs`` of the next.

        Raises:
            InputError: the program failed.
        """
        command = [str(part) for part in command]
        digest = hashlib.sha256(json.dumps([command, inputs]).encode()).hexdigest()[:16]
        done, begun = (self.folder / "steps" / f"{name}.{state}" for state in ("json", "begun"))
        if _digest(done) == digest:
            return digest
        if _digest(done) is not None or _digest(begun) not in (None, digest):
            for made in makes:
                _remove(self.folder / made)
        done.unlink(missing_ok=True)
        _write(begun, {"digest": digest, "command": command})
        seconds = self._call(name, command)
        before = json.loads(begun.read_text(encoding="utf-8"))
        _write(done, {**before, "seconds": round(seconds, 1)})
        begun.unlink()
        return digest

    def _call(self, name, command):
        log = self.folder / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        logger.info("%s: %s", self.folder, name)
        start = time.monotonic()
        status = programs.call(command[0], command[1:], log)
        if status:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
            raise InputError(f"{name} failed with status {status}; {log} ends: {' / '.join(lines)}")
        return time.monotonic() - start


def seconds(folder, name):
    """How long a step took, in seconds; None where it is not done."""
    path = Path(folder) / "steps" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["seconds"] if path.exists() else None


def in_parallel(functions, jobs):
    """Call functions, ``jobs`` at a time, in order; what fails does not keep others from ending.

    Args:
        functions: name -> function without arguments.
        jobs: threads.

    Raises:
        InputError: some failed, with what each said.
    """
    failed = {}

    def call(name, function):
        try:
            function()
        except InputError as error:
            logger.error("%s: %s", name, error)
            failed[name] = error

    programs.end_with_parent()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for future in [pool.submit(call, *pair) for pair in functions.items()]:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            programs.end_all()
            raise
    if failed:
        raise InputError("; ".join(f"{name}: {error}" for name, error in failed.items()))


def _digest(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError):
        return None


def _write(path, value):
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
