"""Commands in processes of their own, with what they took: time and memory."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

# The peak that the operating system reports of a process covers what its parent held when it was
# started, except in /proc. Runs argv[2:], a script or a module, and writes what it took to argv[1].
WRAPPER = """
import os, resource, runpy, sys
took, sys.argv = sys.argv[1], sys.argv[2:]
try:
    if sys.argv[0].endswith(".py"):
        sys.path.insert(0, os.path.dirname(sys.argv[0]))
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        for line in open("/proc/self/status"):
            if line.startswith("VmHWM"):
                own = int(line.split()[1])
    except OSError:
        pass
    both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    cpu = sum(sum(resource.getrusage(who)[:2]) for who in both)
    with open(took, "w") as handle:
        handle.write(f"{own} {cpu}")
"""


class Usage(NamedTuple):
    """What a command took.

    Attributes:
        seconds: from start to end, imports included.
        cpu: seconds of processor time, of its own processes as well: what others on the machine
            change least.
        memory: the most that its process ever held, in MiB, mapped files included.
        output: what it printed.
    """

    seconds: float
    cpu: float
    memory: float
    output: str


def measure(*command, env=None):
    """Run a script or module of Python and measure it.

    Args:
        command: path of a script ending in .py, or name of a module; then its arguments.
        env: more environment variables.

    Raises:
        SystemExit: it failed; with what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        took = Path(folder) / "took"
        argv = [sys.executable, "-c", WRAPPER, took, *command]
        start = time.perf_counter()
        done = subprocess.run(
            [str(value) for value in argv],
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-3000:]}")
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        peak, cpu = map(float, took.read_text().split())
        return Usage(seconds, cpu, peak / unit, done.stdout)
