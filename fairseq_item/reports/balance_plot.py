"""The modality-balance report as a plot: who wins and is right, and scores under each change."""

from pathlib import Path

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.reports.balance_page import CHANGES, fusion_label, fusions_shown
from fairseq_item.search.hits import SIMILARITIES

COLOURS = ("#2f5d8a", "#d98a3d", "#4f9a72", "#8c6bb1", "#b5534c", "#6f767f", "#c2a83e")
PALE = 0.3  # strength of the colour of what is won and wrong
INK, GRID = "#2b2d31", "#e6e8eb"


def plot(reports, path, dpi=130):
    """Draw one report, a colour a fusion; or several models beside one another, a colour a model.

    Args:
        reports: what ``balance.report`` returns; or a dict, name of a model -> report, of which
            the indexes' own fusions are drawn.
        path: file to write, of a kind that matplotlib knows by its suffix.
        dpi: pixels an inch.

    Raises:
        InputError: matplotlib is missing, or there is no report.
    """
    try:
        from matplotlib.figure import Figure  # unlike pyplot it changes nothing global
    except ImportError:
        raise InputError("matplotlib is missing, so nothing is drawn; pip install it") from None
    if not reports:
        raise InputError("there is no report to be drawn; give one or more")
    if any("alone" not in report for report in _all_of(reports)):
        raise InputError("a report is of an earlier version; run item-balance again")
    series = _series(reports)
    k = _all_of(reports)[0]["k"]
    groups = max(len(scores) for _, _, scores in series)
    height = 1.7 + groups * (0.25 + 0.2 * len(series))
    figure = Figure(figsize=(12.5, height), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    handles = _draw_winners(left, [(label, first) for label, first, _ in series])
    _draw_scores(right, [(label, scores) for label, _, scores in series], k)
    figure.legend(
        handles, [label for label, _, _ in series], loc="outside lower center",
        ncols=min(6, len(series)), frameon=False, labelcolor=INK,
    )  # fmt: skip
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format=Path(path).suffix[1:])


def _all_of(reports):
    return [reports] if "fusions" in reports else list(reports.values())


def _series(reports):
    """(label, who wins the first answers, group -> scores) of each colour."""
    if "fusions" not in reports:
        shown = [(name, report, "index") for name, report in reports.items()]
    else:
        shown = [
            (f"fusion: {fusion_label(settings)}", reports, fusion)
            for fusion, settings in fusions_shown(reports)
        ]
    grouped = _under_changes if any(report["changes"] for _, report, _ in shown) else _by_similarity
    return [
        (label, report["fusions"][fusion]["first"], grouped(report, fusion))
        for label, report, fusion in shown
    ]


def _under_changes(report, fusion):
    """Scores of the whole queries and under each change, None where there are none."""
    scores = {"whole query": report["fusions"][fusion]["scores"]}
    for name, label in CHANGES.items():
        entry = report["changes"].get(name)
        scores[label] = entry and (entry if fusion == "index" else entry["under_paper"])
    return scores


def _by_similarity(report, fusion):
    """Scores of all similarities together and of each alone."""
    alone = {f"{name} alone": scores for name, scores in report["alone"].items()}
    return {"fused": report["fusions"][fusion]["scores"], **alone}


def _draw_winners(axis, series):
    """How often each similarity wins: solid is right, pale is wrong. Returns legend handles."""
    handles = []
    # The models' indexes need not have the same similarities.
    names = [name for name in SIMILARITIES if any(name in first for _, first in series)]
    for number, (_, first) in enumerate(series):
        y, height, colour = _bars(number, len(series), len(names))
        won = [first.get(name, {"share": np.nan, "right": None}) for name in names]
        share = np.array([entry["share"] for entry in won])
        good = share * [(entry["right"] or 0.0) / 100 for entry in won]
        handles.append(axis.barh(y, good, height, color=colour))
        axis.barh(y, share - good, height, left=good, color=_pale(colour))
        for where, name, entry in zip(y, names, won):
            if name not in first:
                continue
            text = f"{entry['share']:.0f}%"
            if entry["right"] is not None:
                text += f", {entry['right']:.0f}% of it right"
            _write(axis, entry["share"], where, text)
    _finish(axis, names, 133)
    axis.set_xticks(range(0, 101, 20))
    _caption(
        axis,
        "Which similarity wins the first answer",
        "percent of the answered queries; solid: the answer is right, pale: it is wrong",
    )
    return handles


def _draw_scores(axis, series, k):
    """MAP with its interval, by group."""
    groups = list(dict.fromkeys(group for _, scores in series for group in scores))
    longest, note = 1.0, ""
    for number, (_, scores) in enumerate(series):
        y, height, colour = _bars(number, len(series), len(groups))
        for where, entry in zip(y, map(scores.get, groups)):
            if entry is None:
                continue
            value = entry[f"MAP@{k}"]
            low, high = entry.get(f"MAP@{k}_ci95", (value, value))
            axis.barh(where, value, height, color=colour)
            if high > low:
                axis.plot((low, high), (where, where), color=INK, alpha=0.55, linewidth=1.2)
            text = f"{value:.1f}"
            if "others" in entry:
                text += f" ({entry['others']:.0f}% the other)"
                note = "; in brackets: how often that other product comes first"
            _write(axis, max(value, high), where, text)
            longest = max(longest, high)
    _finish(axis, groups, 1.27 * longest)
    _caption(axis, f"What is found, MAP@{k}", f"percent; line: 95% interval{note}")


def _bars(number, count, groups):
    """Where the bars of one series stand, how high they are, and their colour."""
    height = 0.78 / count
    y = np.arange(groups) + (number - (count - 1) / 2) * height
    return y, 0.88 * height, COLOURS[number % len(COLOURS)]


def _caption(axis, above, below):
    axis.set_title(above, loc="left", fontweight="bold", color=INK)
    axis.set_xlabel(below, loc="left", fontsize=9, color=INK)


def _pale(colour):
    """A colour mixed with white; unlike transparency it hides the grid."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return tuple(1 - PALE * (1 - channel) for channel in channels)


def _write(axis, x, y, text):
    """Text just right of a bar's end."""
    axis.annotate(
        text, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=8.5, color=INK
    )


def _finish(axis, names, longest):
    axis.set_yticks(range(len(names)), names)
    axis.set(xlim=(0, longest), ylim=(len(names) - 0.5, -0.5))
    axis.grid(axis="x", color=GRID)
    axis.set_axisbelow(True)
    axis.tick_params(length=0, labelcolor=INK)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(GRID)
