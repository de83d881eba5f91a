"""A test that breaks things: what becomes of each bad input, counted in one table.

Every case goes through the fixture ``trial``. It is *kept* (read, and right), *rejected* (an image
or a row is listed as unusable, the rest is right) or *refused* (one line, exit status 2). A
traceback, and what is taken for right and is not (*silent*), fail the test. ``make robustness``
prints the table of all cases; ``make test`` runs a fixed quarter of them, and nothing that is
marked ``robustness``.
"""

import os
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from fairseq_item.errors import InputError, one_line

ROOT = Path(__file__).parents[2]
GOOD = ("kept", "rejected", "refused")
BAD = ("traceback", "silent")


class Rejected(Exception):
    """What ``action`` of a trial raises where its input is listed as unusable, with the reason."""


def attempt(action, right):
    """(outcome, what to say of it) of a trial."""
    try:
        value = action()
    except (InputError, OSError) as error:
        line = one_line(error)
        whole = isinstance(error, OSError) or "\n" not in str(error)
        return ("refused", line) if line.strip() and whole else ("traceback", repr(error))
    except Rejected as reason:
        return "rejected", str(reason)
    except SystemExit as end:
        return ("refused" if end.code == 2 else "traceback"), f"exit status {end.code}"
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    try:
        right(value)
    except AssertionError as error:
        return "silent", str(error)
    return "kept", ""


@pytest.fixture
def trial(record_property):
    """``trial(area, action, right, *expected)``: try a bad input, and count what becomes of it.

    ``action()`` reads it; ``right(value)`` asserts that what was read is right. ``expected``:
    outcomes that the case may have, all good ones where none is given.
    """

    def trial(area, action, right=lambda value: None, *expected):
        outcome, said = attempt(action, right)
        record_property("robustness", (area, outcome))
        assert outcome in (expected or GOOD), f"{outcome}: {said}"
        return said

    return trial


@pytest.fixture(scope="session")
def rejected():
    """:class:`Rejected`."""
    return Rejected


def pytest_collection_modifyitems(items):
    """Leave three quarters of the trials to ``make robustness``, told by their names."""
    for item in items:
        if "trial" in getattr(item, "fixturenames", ()) and zlib.crc32(item.nodeid.encode()) % 4:
            item.add_marker(pytest.mark.robustness)


def pytest_configure(config):
    config.pluginmanager.register(Table(), "robustness-table")


class Table:
    """Counts the outcomes of all trials, those of pytest-xdist's processes included.

    A test that is no trial says by passing that its input was kept, rejected or refused.
    """

    def __init__(self):
        self.counts = defaultdict(Counter)

    def pytest_runtest_logreport(self, report):
        if report.when != "call" or "tests/robustness/" not in report.nodeid or report.skipped:
            return
        found = [value for name, value in report.user_properties if name == "robustness"]
        for area, outcome in found:
            self.counts[area][outcome] += 1
        if not found:
            file, _, test = report.nodeid.partition("::")
            area = f"{Path(file).stem.removeprefix('test_')}: {test.partition('[')[0]}"
            self.counts[area.replace("test_", "")]["either" if report.passed else "failed"] += 1

    def pytest_terminal_summary(self, terminalreporter):
        if not self.counts:
            return
        columns = (*GOOD, "either", *BAD, "failed")
        write = terminalreporter.write_line
        terminalreporter.section("bad inputs")
        write(f"{'':70}{'tried':>8}" + "".join(f"{name:>10}" for name in columns))
        total = sum(self.counts.values(), Counter())
        for area, counts in [*sorted(self.counts.items()), ("all", total)]:
            numbers = "".join(f"{counts[name]:>10}" for name in columns)
            write(f"{area[:69]:70}{counts.total():>8}{numbers}")


class Processes:
    """Runs commands in processes of their own, which are killed, limited or run side by side."""

    def start(self, module, *argv, limit=None):
        """Start ``python -m module``; ``limit``: bytes that a file may have, as on a full disk."""
        code = (
            "import resource, runpy, sys\n"
            f"limit = {limit}\n"
            "if limit is not None:\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
            f"sys.argv = {[module, *map(str, argv)]!r}\n"
            f"runpy.run_module({module!r}, run_name='__main__')\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-c", code], env=environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def kill(self, process, seconds):
        """Kill a process after so many seconds, unless it ended before; whether it was killed."""
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        return process.returncode == -signal.SIGKILL

    def end(self, process):
        """(exit status, what it wrote to its error stream)."""
        _, errors = process.communicate(timeout=600)
        return process.returncode, errors

    def run(self, module, *argv, **kwargs):
        """Run one to its end; returns the seconds that it took."""
        start = time.monotonic()
        status, errors = self.end(self.start(module, *argv, **kwargs))
        assert status == 0, errors
        return time.monotonic() - start

    def refusal(self, process):
        """Wait for a process that may be refused; raises as it would in this one."""
        status, errors = self.end(process)
        if status == 0:
            return
        lines = [line for line in errors.splitlines() if line.startswith("error: ")]
        if status == 2 and len(lines) == 1 and "Traceback" not in errors:
            raise InputError(lines[0].removeprefix("error: "))
        raise RuntimeError(f"exit status {status}: {errors[-2000:]}")


@pytest.fixture(scope="session")
def processes():
    """:class:`Processes`."""
    return Processes()
