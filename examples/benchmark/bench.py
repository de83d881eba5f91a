"""What the benchmarks share: options, functions timed in turn, commands measured, reports."""

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

from fairseq_item.commands.common import Parser, positive
from fairseq_item.files import atomic_path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIBRARIES = (
    "torch", "torchvision", "fairseq-fixed", "faiss-cpu", "numpy", "pillow", "transformers",
    "sentence-transformers", "webdataset",
)  # fmt: skip


def parser(description, repeats=3):
    """A parser with ``--out``, ``--quick`` and ``--repeats``."""
    p = Parser(description)
    p.add_argument("--out", required=True, metavar="DIR", help="folder for the tables and JSON")
    p.add_argument("--quick", action="store_true", help="a few seconds, for the tests")
    p.add_argument("--repeats", type=positive, default=repeats, help="timed turns of each")
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


# Runs the module argv[2] and writes its processor time and most memory to the file argv[1]. What
# the system reports of a child's memory covers its parent's, except in /proc.
WRAPPER = """
import re, resource, runpy, sys
took, sys.argv = sys.argv[1], sys.argv[2:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    cpu = sum(sum(resource.getrusage(who)[:2]) for who in both)
    linux = sys.platform == "linux"
    kib = re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1] if linux else "nan"
    open(took, "w").write(f"{cpu} {kib}")
"""


class Usage(NamedTuple):
    """What a command took: ``seconds`` on the clock; ``cpu`` seconds, those of its own processes
    included; the most MiB that it held, mapped files included (Linux only); what it printed.
    """

    seconds: float
    cpu: float
    memory: float
    output: str


def measure(module, *arguments, **env):
    """Run a module with a ``main`` in a process of its own: a :class:`Usage`.

    Args:
        module: its name; those of this folder have one without dots.
        arguments: of its command line.
        env: more environment variables.

    Raises:
        SystemExit: it failed; with what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        took = Path(folder) / "took"
        argv = [str(word) for word in (sys.executable, "-c", WRAPPER, took, module, *arguments)]
        env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", **env}
        start = time.perf_counter()
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"{' '.join(argv[4:])} failed:\n{done.stderr[-3000:]}")
        cpu, kib = map(float, took.read_text().split())
        return Usage(seconds, cpu, kib / 1024, done.stdout)


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


def markdown(lines):
    """A table of lists of str, the first of them its header."""
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in ruled)


def write(folder, stage, result, table):
    """Print a table and write ``folder/STAGE.json`` and ``folder/STAGE.md``."""
    head = {"stage": stage, "command": " ".join(["python", *sys.argv]), "machine": machine()}
    text = json.dumps({**head, **result}, indent=2) + "\n"
    for name, content in ((f"{stage}.json", text), (f"{stage}.md", table)):
        with atomic_path(Path(folder) / name) as path:
            path.write_text(content, encoding="utf-8")
    sys.stdout.write(f"\n{table}")


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
        ratio = statistics.median(rate / other for rate, other in zip(rates, first))
        row = {"name": name, "rate": statistics.median(rates), "least": min(rates)}
        row.update(most=max(rates), runs=len(rates), group=group, ratio=ratio, **more)
        self.rows.append(row)

    def write(self, folder):
        """Print the table and write ``folder/STAGE.json`` and ``folder/STAGE.md``."""
        known = ("name", "rate", "least", "most", "runs", "group", "ratio")
        extra = list(dict.fromkeys(key for row in self.rows for key in row if key not in known))
        lines = [[self.stage, f"{self.unit}/s", "range", "to the first", *extra]]
        for row in self.rows:
            rate, least, most = (_number(row[key]) for key in ("rate", "least", "most"))
            cells = [row["name"], rate, f"{least} to {most}", f"{row['ratio']:.2f}"]
            lines.append([*cells, *(_number(row.get(key, "")) for key in extra)])
        write(folder, self.stage, {"unit": self.unit, "rows": self.rows}, markdown(lines))


def _number(value):
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
