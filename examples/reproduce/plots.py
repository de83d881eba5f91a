"""Plots of the tables: scores of the models, and over updates."""

from statistics import mean, stdev

import matplotlib
from readouts import read_csv
from tables import COLUMNS, labels, pick

from fairseq_item.files import atomic_path

matplotlib.use("Agg")
from matplotlib import pyplot

COLOURS = dict(zip(COLUMNS, ("#1f5fa8", "#8fb4de", "#e0a030", "#c9ced6")))


def write(out, settings):
    """Write ``scores.png`` and ``curves.png`` into ``out``, of the CSV files there."""
    rows, curves = (read_csv(out / f"{name}.csv") for name in ("scores", "curves"))
    if rows:
        draw_scores(out / "scores.png", labels(settings), rows)
    if curves:
        draw_curves(out / "curves.png", labels(settings), curves)


def draw_scores(path, names, rows):
    """MAP@10 of the test queries for each model, a bar for each column of the table."""
    shown = [name for name in names if any(row["model"] == name for row in rows)]
    size = (7.5, 0.6 * len(shown) + 1.2)
    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    for place, name in enumerate(shown):
        for shift, (column, colour) in enumerate(COLOURS.items()):
            if values := pick(rows, "MAP@10", model=name, column=column):
                error = stdev(values) if len(values) > 1 else 0
                where = place + 0.2 * shift - 0.3
                axes.barh(where, mean(values), 0.18, xerr=error, color=colour, capsize=2)
                text = f" {mean(values):.1f}"
                axes.annotate(text, (mean(values) + error, where), va="center", fontsize=6)
    axes.set_yticks(range(len(shown)), [names[name] for name in shown])
    axes.invert_yaxis()
    axes.set_xlabel("MAP@10 of the test queries, percent")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
    figure.legend(handles, COLUMNS.values(), loc="outside lower center", ncols=2, frameon=False)
    _finish(figure, axes, path)


def draw_curves(path, names, rows):
    """MAP@10 of the dev queries over updates, default index, a line for each training."""
    figure, axes = pyplot.subplots(figsize=(7.5, 3.6), layout="constrained")
    for name, label in names.items():
        of = [row for row in rows if row["model"] == name]
        of = [row for row in of if row["seed"] == of[0]["seed"]]
        if of:
            points = ([float(row[key]) for row in of] for key in ("updates", "map10"))
            axes.plot(*points, marker="o", label=label)
    axes.set(xlabel="updates", ylabel="MAP@10, dev queries, percent")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    _finish(figure, axes, path)


def _finish(figure, axes, path):
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
    pyplot.close(figure)
