"""What the benchmarks share: functions timed in turn, commands measured in processes, a report."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from fairseq_item.files import atomic_path

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = (
    "torch", "torchvision", "fairseq-fixed", "faiss-cpu", "numpy", "pillow", "transformers",
    "sentence-transformers", "webdataset",
)  # fmt: skip


def parser(description):
    """A parser with ``--out``, ``--quick`` and ``--repeats``."""
    p = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--out", required=True, metavar="DIR", help="folder for the tables and JSON")
    p.add_argument("--quick", action="store_true", help="a few seconds, for the tests")
    p.add_argument("--repeats", type=int, default=3, help="timed runs of each (default: 3)")
    return p


def alternate(contestants, repeats=5, warmup=1):
    """Time functions in turn, so that a slow minute of the machine hits all of them.

    Args:
        contestants: name -> function without arguments.
        repeats: timed calls of each.
        warmup: calls of each before, not counted.

    Returns:
        dict: name -> list of ``repeats`` seconds.
    """
    seconds = {name: [] for name in contestants}
    for turn in range(-warmup, repeats):
        for name, function in contestants.items():
            start = time.perf_counter()
            function()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


# Runs argv[2:], a script or a module, and writes to argv[1] its processor time and most memory.
# What the system reports of a child's memory covers its parent's, except in /proc.
WRAPPER = """
import os, re, resource, runpy, sys
took, sys.argv = sys.argv[1], sys.argv[2:]
try:
    if sys.argv[0].endswith(".py"):
        sys.path.insert(0, os.path.dirname(sys.argv[0]))
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if os.path.exists("/proc/self/status"):
        own = re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]
    both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    cpu = sum(sum(resource.getrusage(who)[:2]) for who in both)
    open(took, "w").write(f"{own} {cpu}")
"""


class Usage(NamedTuple):
    """What a command took: ``seconds`` on the clock, ``cpu`` seconds of processor time with its own
    processes, ``memory`` in MiB that its process held at most, mapped files included; ``output``.
    """

    seconds: float
    cpu: float
    memory: float
    output: str


def measure(*command, env=None):
    """Run a script or module of Python in a process of its own: a :class:`Usage`.

    Args:
        command: path of a script ending in .py, or name of a module; then its arguments.
        env: more environment variables.

    Raises:
        SystemExit: it failed; with what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        took = Path(folder) / "took"
        argv = [str(word) for word in (sys.executable, "-c", WRAPPER, took, *command)]
        env = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        start = time.perf_counter()
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-3000:]}")
        peak, cpu = map(float, took.read_text().split())
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return Usage(seconds, cpu, peak / unit, done.stdout)


def machine():
    """What was measured on, as a dict."""
    installed = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    known = hasattr(os, "sched_getaffinity")
    found = {
        "date": date.today().isoformat(),
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if known else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": {name: installed[name] for name in LIBRARIES if name in installed},
    }
    if torch := sys.modules.get("torch"):
        found["threads"] = torch.get_num_threads()
        if torch.cuda.is_available():
            found["gpu"] = torch.cuda.get_device_name()
    return found


def write(folder, stage, result, table):
    """Print a table and write ``folder/STAGE.json`` and ``folder/STAGE.md``."""
    head = {"stage": stage, "command": " ".join(["python", *sys.argv]), "machine": machine()}
    text = json.dumps({**head, **result}, indent=2) + "\n"
    for name, content in ((f"{stage}.json", text), (f"{stage}.md", table)):
        with atomic_path(Path(folder) / name) as path:
            path.write_text(content, encoding="utf-8")
    sys.stdout.write(table)


class Report:
    """The rows of one benchmark; a rate is ``unit`` a second."""

    def __init__(self, stage, unit):
        self.stage, self.unit = stage, unit
        self.rows, self._first = [], {}

    def add(self, name, amount, seconds, group="", **more):
        """A contestant: ``amount`` units took each of ``seconds``; ``more`` columns as they are.

        ``ratio`` is to the first of the ``group``, the median over the turns, which a slow minute
        of the machine does not change.
        """
        rates = [amount / second for second in seconds]
        first = self._first.setdefault(group, rates)
        rate, ratio = statistics.median(rates), statistics.median(rates) / statistics.median(first)
        if len(first) == len(rates):
            ratio = statistics.median(rate / other for rate, other in zip(rates, first))
        row = {"name": name, "rate": rate, "least": min(rates), "most": max(rates)}
        self.rows.append({**row, "runs": len(rates), "group": group, "ratio": ratio, **more})

    def table(self):
        """Markdown: median rate with its range, ``ratio``, further columns."""
        known = ("name", "rate", "least", "most", "runs", "group", "ratio")
        extra = list(dict.fromkeys(key for row in self.rows for key in row if key not in known))
        lines = [[self.stage, f"{self.unit}/s", "range", "to the first", *extra]]
        lines.append(["---"] * len(lines[0]))
        for row in self.rows:
            span = f"{_number(row['least'])} to {_number(row['most'])}"
            cells = [row["name"], _number(row["rate"]), span, f"{row['ratio']:.2f}"]
            lines.append([*cells, *(_number(row.get(key, "")) for key in extra)])
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def write(self, folder):
        """Print the table and write ``folder/STAGE.json`` and ``folder/STAGE.md``."""
        write(folder, self.stage, {"unit": self.unit, "rows": self.rows}, self.table())


def _number(value):
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
