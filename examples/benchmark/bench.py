"""What the benchmarks share: contestants timed in turn, and a report of what was measured where."""

import json
import os
import platform
import resource
import statistics
import sys
import time
from datetime import date
from importlib import metadata
from pathlib import Path

from fairseq_item.files import atomic_path

LIBRARIES = (
    "torch", "torchvision", "fairseq-fixed", "faiss-cpu", "numpy", "pillow", "transformers",
    "sentence-transformers", "webdataset",
)  # fmt: skip


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


def peak_memory():
    """The most memory that this process ever held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def machine():
    """What was measured on, as a dict."""
    found = {
        "date": date.today().isoformat(),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": {},
    }
    for name in LIBRARIES:
        try:
            found["libraries"][name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        found["threads"] = torch.get_num_threads()
        if torch.cuda.is_available():
            found["gpu"] = torch.cuda.get_device_name()
    return found


def _cpu_name():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


class Report:
    """The rows of one benchmark, printed as a Markdown table and written as JSON.

    Args:
        stage: name of the benchmark, and of the file.
        unit: what is counted: a rate is ``unit`` a second.
    """

    def __init__(self, stage, unit):
        self.stage, self.unit = stage, unit
        self.rows, self._first = [], {}

    def add(self, name, amount, seconds, group="", **more):
        """A contestant: ``amount`` units took each of ``seconds``; ``more`` columns as they are.

        Rows of one ``group`` are compared with the first of them, turn by turn: ``ratio`` is the
        median over the turns, which a slow minute of the machine does not change.
        """
        rates = [amount / second for second in seconds]
        first = self._first.setdefault(group, rates)
        ratio = statistics.median(rates) / statistics.median(first)
        if len(first) == len(rates):
            ratio = statistics.median(rate / other for rate, other in zip(rates, first))
        self.rows.append(
            {
                "name": name,
                "rate": statistics.median(rates),
                "least": min(rates),
                "most": max(rates),
                "runs": len(rates),
                "group": group,
                "ratio": ratio,
                **more,
            }
        )

    def table(self):
        """Markdown: median rate with its range, ``ratio``, further columns."""
        known = ("name", "rate", "least", "most", "runs", "group", "ratio")
        extra = list(dict.fromkeys(key for row in self.rows for key in row if key not in known))
        header = [self.stage, f"{self.unit}/s", "range", "to the first", *extra]
        lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
        for row in self.rows:
            cells = [
                row["name"],
                _number(row["rate"]),
                f"{_number(row['least'])} to {_number(row['most'])}",
                f"{row['ratio']:.2f}",
                *(_number(row.get(key, "")) for key in extra),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"

    def write(self, folder):
        """Print the table and write ``folder/STAGE.json`` and ``folder/STAGE.md``."""
        result = {
            "stage": self.stage,
            "unit": self.unit,
            "command": " ".join(["python", *sys.argv]),
            "machine": machine(),
            "rows": self.rows,
        }
        folder = Path(folder)
        with atomic_path(folder / f"{self.stage}.json") as path:
            path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        with atomic_path(folder / f"{self.stage}.md") as path:
            path.write_text(self.table(), encoding="utf-8")
        sys.stdout.write(self.table())


def _number(value):
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
