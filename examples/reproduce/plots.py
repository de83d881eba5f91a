"""Plots of the tables: scores per model, scores and losses over updates."""

import re
from pathlib import Path
from statistics import mean, stdev

import gather
import matplotlib
from gather import ends, pick

from fairseq_item.files import atomic_path
from fairseq_item.reports import balance_plot

matplotlib.use("Agg")
from matplotlib import pyplot

OURS, PAPERS, PLAIN, FLOOR = "#1f5fa8", "#c9ced6", "#8fb4de", "#777777"
VALID = "#d9822b"


def write(out, settings, runs, found):
    """Write ``scores.png``, ``curves.png``, ``losses.png`` and ``balance.png`` into ``out``.

    Args:
        out: folder of ``reproduce.py``.
        settings: of ``plan.read_settings``.
        runs: the planned runs; those that are not done are left out.
        found: of ``gather.scores``.
    """
    out = Path(out)
    draw_scores(out / "scores.png", settings, found)
    models = [run for run in runs if not run.ablation]
    labels = {run.name: run.label for run in models}
    draw_curves(out / "curves.png", gather.curves(out, models), labels)
    draw_losses(out / "losses.png", out, [run for run in models if run.first])
    reports = gather.balances(out, models)
    if reports:
        balance_plot.plot(reports, out / "balance.png")


def draw_scores(path, settings, found):
    """MAP@10 of the test queries for each model: two indexes, the paper's figure beside."""
    first, last = ends(settings)
    rows = []
    for name, entry in settings["models"].items():
        values = [_scores(found, name, index) for index in (first, last)]
        if values[0]:
            rows.append((entry["label"], *values, entry.get("published", {}).get("test")))
    figure, axes = pyplot.subplots(figsize=(7.5, 0.75 * len(rows) + 1.6), layout="constrained")
    for place, (_, plain, ours, published) in enumerate(rows):
        _bar(axes, place - 0.26, [published[1]] if published else [], PAPERS)
        _bar(axes, place, plain, PLAIN)
        _bar(axes, place + 0.26, ours, OURS)
    for name, label in gather.FLOORS.items():
        value = _scores(found, name, "")
        if value:
            axes.axvline(value[0], color=FLOOR, linestyle="--", linewidth=1)
            axes.annotate(f" {label}", (value[0], -0.62), color=FLOOR, fontsize=8, va="center")
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.8)
    axes.set_xlim(0)
    axes.set_xlabel("MAP@10 of the test queries, percent")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=c) for c in (PAPERS, PLAIN, OURS)]
    names = ["the paper, on its own data", "here, compared as in the paper", "here, default index"]
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    _finish(figure, axes, path)


def _scores(found, name, index):
    return pick(found, model=name, queries="query", index=index, part="fused", half="test",
                metric="MAP@10")  # fmt: skip


def _bar(axes, place, values, colour):
    if not values:
        return
    error = stdev(values) if len(values) > 1 else 0
    axes.barh(place, mean(values), 0.24, xerr=error, color=colour, ecolor="#333333", capsize=2)
    axes.annotate(f" {mean(values):.1f}", (mean(values) + error, place), va="center", fontsize=8)


def draw_curves(path, curves, labels):
    """MAP@10 over updates, default index, of the first seed."""
    if not curves:
        return
    figure, axes = pyplot.subplots(figsize=(7.5, 3.6), layout="constrained")
    for name, points in curves.items():
        values = [next(iter(by.values()))["fused"]["test"]["MAP@10"] for _, by in points]
        axes.plot([updates for updates, _ in points], values, marker="o", label=labels[name])
    axes.set_xlabel("updates")
    axes.set_ylabel("MAP@10, test queries, percent")
    axes.set_ylim(0)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    _finish(figure, axes, path)


def draw_losses(path, out, runs):
    """Training and validation loss over updates, a panel a model: their units differ."""
    curves = [(run, *losses(out / "runs" / run.folder / "logs" / "train.log")) for run in runs]
    curves = [curve for curve in curves if curve[1] or curve[2]]
    if not curves:
        return
    columns = min(3, len(curves))
    lines = -(-len(curves) // columns)
    figure, grid = pyplot.subplots(
        lines, columns, figsize=(3 * columns, 2.3 * lines), layout="constrained", squeeze=False
    )
    for axes, (run, training, validation) in zip(grid.flat, curves):
        for points, colour, label in ((training, OURS, "training"), (validation, VALID, "valid")):
            if points:
                axes.plot(*zip(*points), color=colour, marker=".", markersize=4, label=label)
        axes.set_title(run.label, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in list(grid.flat)[len(curves) :]:
        axes.set_visible(False)
    grid.flat[0].legend(frameon=False, fontsize=8)
    figure.supxlabel("updates", fontsize=9)
    figure.supylabel("loss", fontsize=9)
    _finish(figure, grid.flat[0], path)


def losses(log):
    """(updates, loss) of the training lines and of the validations of a fairseq log."""
    training, validation = [], []
    if not log.exists():
        return training, validation
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        inner = re.search(r"\bloss=([\d.]+).*\bnum_updates=(\d+)", line)
        if "train_inner" in line and inner:
            training.append((int(inner[2]), float(inner[1])))
        valid = re.search(r"valid on.*\| loss ([\d.]+) .*\| num_updates (\d+)", line)
        if valid:
            validation.append((int(valid[2]), float(valid[1])))
    return training, validation


def _finish(figure, axes, path):
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
    pyplot.close(figure)
