"""Reliability as a plot: how often answers are right, by the probability that they were given."""

from pathlib import Path

from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.reports.balance_plot import COLOURS, GRID, INK


def plot(report, path, dpi=130):
    """Draw a report: above, the bins against the diagonal; below, how many answers each has.

    Args:
        report: what ``reliability.reliability`` returns.
        path: file to write, of a kind that matplotlib knows by its suffix.
        dpi: pixels an inch.

    Raises:
        InputError: matplotlib is missing, or does not know the suffix.
    """
    try:
        from matplotlib.figure import Figure  # unlike pyplot it changes nothing global
    except ImportError:
        raise InputError("matplotlib is missing, so nothing is drawn; pip install it") from None
    figure = Figure(figsize=(5.6, 6.4), layout="constrained", facecolor="white")
    suffix = Path(path).suffix[1:]
    if suffix not in figure.canvas.get_supported_filetypes():
        raise InputError(f"{path}: matplotlib writes no such file; name it .png")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    _draw_bins(above, report)
    _draw_counts(below, report["bins"])
    for axis in (above, below):
        axis.set_xlim(0, 1)
        axis.grid(color=GRID)
        axis.set_axisbelow(True)
        axis.tick_params(which="both", length=0, labelcolor=INK)
        axis.spines[:].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format=suffix)


def _draw_bins(axis, report):
    bins = report["bins"]
    axis.plot((0, 1), (0, 1), color=INK, alpha=0.4, linewidth=1.2, linestyle="--")
    x, y = ([entry[name] for entry in bins] for name in ("probability", "true"))
    axis.plot(x, y, color=COLOURS[0], marker="o", clip_on=False, zorder=3)
    axis.vlines(x, *zip(*(entry["true_ci95"] for entry in bins)), color=COLOURS[0], alpha=0.5)
    axis.set_ylim(0, 1)
    axis.set_ylabel("share that is right, with its 95% interval", color=INK)
    axis.set_title(
        f"{report['answers']} answers, expected calibration error {report['ece']:.1f}%",
        loc="left", fontweight="bold", color=INK,
    )  # fmt: skip


def _draw_counts(axis, bins):
    widths = [entry["to"] - entry["from"] for entry in bins]
    left = [entry["from"] for entry in bins]
    counts = [entry["count"] for entry in bins]
    bars = axis.bar(left, counts, widths, align="edge", color=COLOURS[0], edgecolor="white")
    axis.bar_label(bars, fontsize=8, color=INK)
    axis.set_yscale("log")  # most answers are wrong, and known to be
    axis.set_ylim(0.7, 4 * max(counts))
    axis.set_ylabel("answers", color=INK)
    axis.set_xlabel("score: probability of being the same product", color=INK)
