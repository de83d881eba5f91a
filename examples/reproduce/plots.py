"""Plots of the tables: scores per model, and over updates; what each modality is worth."""

from statistics import mean, stdev

import matplotlib
from one_run import read_json
from tables import BASELINES, ends, is_done, labels, map_of, read_csv

from fairseq_item.files import atomic_path
from fairseq_item.reports import balance_plot

matplotlib.use("Agg")
from matplotlib import pyplot

OURS, PAPERS, PLAIN, LINE = "#1f5fa8", "#c9ced6", "#8fb4de", "#777777"


def write(out, settings, runs, rows):
    """Write ``scores.png``, ``curves.png`` and ``balance.png`` into ``out``.

    Args:
        out: folder of ``reproduce.py``.
        settings: as it reads them.
        runs: all that may be there; those that are not done are left out.
        rows: of ``search.csv``.
    """
    draw_scores(out / "scores.png", settings, rows)
    drawn = {
        run.entry["label"]: out / "runs" / run.folder
        for run in runs
        if run.drawn and is_done(out, run)
    }
    curves = {label: read_csv(path / "curve.csv") for label, path in drawn.items()}
    draw_curves(out / "curves.png", {label: rows for label, rows in curves.items() if rows})
    reports = {label: path / "balance" / "balance.json" for label, path in drawn.items()}
    found = {label: read_json(path) for label, path in reports.items() if path.exists()}
    if found:
        balance_plot.plot(found, out / "balance.png")


def draw_scores(path, settings, found):
    """MAP@10 of the test queries for each model: two indexes, the paper's figure beside."""
    shown = {n: label for n, label in labels(settings, found).items() if n in settings["models"]}
    size = (7.5, 0.75 * len(shown) + 1.6)
    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    first, last = ends(settings)
    for row, name in enumerate(shown):
        published = settings["models"][name].get("published", {}).get("test")
        _bar(axes, row - 0.26, [published[1]] if published else [], PAPERS)
        _bar(axes, row, map_of(found, name, first), PLAIN)
        _bar(axes, row + 0.26, map_of(found, name, last), OURS)
    for name, label in BASELINES.items():
        for value in map_of(found, name, ""):
            axes.axvline(value, color=LINE, linestyle="--", linewidth=1)
            axes.annotate(f" {label}", (value, -0.62), color=LINE, fontsize=8, va="center")
    axes.set_yticks(range(len(shown)), shown.values())
    axes.set_ylim(len(shown) - 0.4, -0.8)
    axes.set_xlim(0)
    axes.set_xlabel("MAP@10 of the test queries, percent")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=c) for c in (PAPERS, PLAIN, OURS)]
    names = ["the paper, on its own data", "here, compared as in the paper", "here, default index"]
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    _finish(figure, axes, path)


def _bar(axes, row, values, colour):
    if values:
        error = stdev(values) if len(values) > 1 else 0
        axes.barh(row, mean(values), 0.24, xerr=error, color=colour, ecolor="#333333", capsize=2)
        text = f" {mean(values):.1f}"
        axes.annotate(text, (mean(values) + error, row), va="center", fontsize=8)


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


def _finish(figure, axes, path):
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
    pyplot.close(figure)
