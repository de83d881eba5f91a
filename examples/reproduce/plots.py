"""Plots of the tables: scores per model, scores and losses over updates."""

import json
import re
from statistics import mean, stdev

import matplotlib
from tables import BASELINES, ends, is_done, labels, map_of, read_csv

from fairseq_item.files import atomic_path
from fairseq_item.reports import balance_plot

matplotlib.use("Agg")
from matplotlib import pyplot

OURS, PAPERS, PLAIN, LINE = "#1f5fa8", "#c9ced6", "#8fb4de", "#777777"
VALID = "#d9822b"


def write(out, settings, runs, rows):
    """Write ``scores.png``, ``curves.png``, ``losses.png`` and ``balance.png`` into ``out``.

    Args:
        out: folder of ``reproduce.py``.
        settings: as it reads them.
        runs: all that may be there; those that are not done are left out.
        rows: of ``search.csv``.
    """
    draw_scores(out / "scores.png", settings, rows)
    first = {
        run.entry["label"]: out / "runs" / run.folder
        for run in runs
        if run.first and not run.entry.get("ablation") and is_done(out, run)
    }
    curves = {label: read_csv(path / "curve.csv") for label, path in first.items()}
    draw_curves(out / "curves.png", {label: rows for label, rows in curves.items() if rows})
    draw_losses(out / "losses.png", {label: losses(path) for label, path in first.items()})
    reports = {label: path / "balance" / "balance.json" for label, path in first.items()}
    reports = {label: path for label, path in reports.items() if path.exists()}
    found = {label: json.loads(path.read_text("utf-8")) for label, path in reports.items()}
    if found:
        balance_plot.plot(found, out / "balance.png")


def draw_scores(path, settings, found):
    """MAP@10 of the test queries for each model: two indexes, the paper's figure beside."""
    first, last = ends(settings)
    rows = []
    for name, label in labels(settings, found).items():
        if name in settings["models"]:
            values = [map_of(found, name, index) for index in (first, last)]
            published = settings["models"][name].get("published", {}).get("test")
            rows.append((label, *values, published))
    figure, axes = pyplot.subplots(figsize=(7.5, 0.75 * len(rows) + 1.6), layout="constrained")
    for place, (_, plain, ours, published) in enumerate(rows):
        _bar(axes, place - 0.26, [published[1]] if published else [], PAPERS)
        _bar(axes, place, plain, PLAIN)
        _bar(axes, place + 0.26, ours, OURS)
    for name, label in BASELINES.items():
        for value in map_of(found, name, ""):
            axes.axvline(value, color=LINE, linestyle="--", linewidth=1)
            axes.annotate(f" {label}", (value, -0.62), color=LINE, fontsize=8, va="center")
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.8)
    axes.set_xlim(0)
    axes.set_xlabel("MAP@10 of the test queries, percent")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=c) for c in (PAPERS, PLAIN, OURS)]
    names = ["the paper, on its own data", "here, compared as in the paper", "here, default index"]
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    _finish(figure, axes, path)


def _bar(axes, place, values, colour):
    if not values:
        return
    error = stdev(values) if len(values) > 1 else 0
    axes.barh(place, mean(values), 0.24, xerr=error, color=colour, ecolor="#333333", capsize=2)
    axes.annotate(f" {mean(values):.1f}", (mean(values) + error, place), va="center", fontsize=8)


def draw_curves(path, curves):
    """MAP@10 over updates, default index, of the first seed: label -> rows of ``curve.csv``."""
    if not curves:
        return
    figure, axes = pyplot.subplots(figsize=(7.5, 3.6), layout="constrained")
    for label, rows in curves.items():
        updates, scores = ([float(row[key]) for row in rows] for key in ("updates", "MAP@10"))
        axes.plot(updates, scores, marker="o", label=label)
    axes.set(xlabel="updates", ylabel="MAP@10, test queries, percent", ylim=(0, None))
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    _finish(figure, axes, path)


def draw_losses(path, curves):
    """Training and validation loss over updates, a panel a model: their units differ."""
    columns = min(3, len(curves))
    lines = -(-len(curves) // columns) if curves else 0
    if not lines:
        return
    size = (3 * columns, 2.3 * lines)
    figure, grid = pyplot.subplots(
        lines, columns, figsize=size, layout="constrained", squeeze=False
    )
    for axes, (label, both) in zip(grid.flat, curves.items()):
        for points, colour, name in zip(both, (OURS, VALID), ("training", "valid")):
            if points:
                axes.plot(*zip(*points), color=colour, marker=".", markersize=4, label=name)
        axes.set_title(label, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in list(grid.flat)[len(curves) :]:
        axes.set_visible(False)
    grid.flat[0].legend(frameon=False, fontsize=8)
    figure.supxlabel("updates", fontsize=9)
    figure.supylabel("loss", fontsize=9)
    _finish(figure, grid.flat[0], path)


def losses(folder):
    """(updates, loss) of the training lines and of the validations of a run's log."""
    log = (folder / "run.log").read_text(encoding="utf-8").split("fine-tuning")[0]
    training = re.findall(r"train_inner.*\bloss=([\d.]+).*\bnum_updates=(\d+)", log)
    validation = re.findall(r"valid on.*\| loss ([\d.]+) .*\| num_updates (\d+)", log)
    return [[(int(updates), float(loss)) for loss, updates in found]
            for found in (training, validation)]  # fmt: skip


def _finish(figure, axes, path):
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
    pyplot.close(figure)
