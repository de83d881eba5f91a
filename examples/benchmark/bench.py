"""What the benchmarks share: options, functions timed in turn, commands measured, reports."""

import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from functools import cache
from importlib import metadata
from pathlib import Path
from statistics import median
from types import SimpleNamespace

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


@cache
def optional(name):
    """A library by its module's name; None, said once on stderr, where it is missing."""
    # Hugging Face's want torchaudio where there is one; one of another CUDA than torch's fails.
    sys.modules.setdefault("torchaudio", None)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        sys.stderr.write(f"{name} is left out: {error}\n")
        return None


def alternate(contestants, repeats, warmup=1):
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


def measure(module, *arguments, **environment):
    """Run a module of Python, installed or of this folder, in a process of its own.

    Returns:
        ``seconds`` on the clock; ``cpu`` seconds, those of its own processes included; the most
        ``memory`` in MiB that it held, mapped files included (NaN where Linux is not); ``output``.

    Raises:
        SystemExit: it failed; with what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        took = Path(folder) / "took"
        argv = [str(value) for value in (sys.executable, "-c", WRAPPER, took, module, *arguments)]
        env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", **environment}
        start = time.perf_counter()
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"{' '.join(argv[4:])} failed:\n{done.stderr[-3000:]}")
        cpu, kib = map(float, took.read_text().split())
    return SimpleNamespace(seconds=seconds, cpu=cpu, memory=kib / 1024, output=done.stdout)


def resident():
    """MiB of this process that lie in memory, mapped files included; NaN where Linux is not."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


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


def write(folder, stage, result, lines):
    """Print a table, lists of str, and write ``folder/STAGE.json`` and ``folder/STAGE.md``."""
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    table = "".join(f"| {' | '.join(line)} |\n" for line in ruled)
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
        row = {"name": name, "rate": median(rates), "least": min(rates), "most": max(rates)}
        row["ratio"] = median(rate / other if other else 0.0 for rate, other in zip(rates, first))
        self.rows.append({**row, "runs": len(rates), "group": group, **more})

    def write(self, folder):
        """Print the table and write ``folder/STAGE.json`` and ``folder/STAGE.md``."""
        known = ("name", "rate", "least", "most", "runs", "group", "ratio")
        extra = list(dict.fromkeys(key for row in self.rows for key in row if key not in known))
        lines = [[self.stage, f"{self.unit}/s", "range", "to the first", *extra]]
        for row in self.rows:
            span = f"{_number(row['least'])} to {_number(row['most'])}"
            cells = [row["name"], _number(row["rate"]), span, f"{row['ratio']:.2f}"]
            lines.append([*cells, *(_number(row.get(key, "")) for key in extra)])
        write(folder, self.stage, {"unit": self.unit, "rows": self.rows}, lines)


def _number(value):
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
