"""What the finished runs measured, as flat records over which tables and plots are made."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from steps import seconds

FLOORS = {"tfidf": "TF-IDF on titles", "pixels": "mean pixels"}
UNTRAINED = "ITEm, untrained"


@dataclass(frozen=True)
class Score:
    """One number of one run, in percent.

    ``queries`` is "query" or "unlike", ``index`` a name of the settings ("" for the floors),
    ``part`` the similarity that ranked the answers, ``half`` "dev" or "test".
    """

    model: str
    seed: int
    queries: str
    index: str
    part: str
    half: str
    metric: str
    value: float


def scores(out, runs):
    """Every score of the runs that are done, and of the floors: list of :class:`Score`."""
    found = []
    floors = _read(Path(out) / "floors" / "scores.json")
    for name in floors or {}:
        found += _flat(name, 0, floors[name])
    for run in runs:
        measured = _read(Path(out) / "runs" / run.folder / "scores.json")
        if measured is None:
            continue
        found += _flat(run.name, run.seed, measured["trained"])
        if "untrained" in measured:
            found += _flat("untrained", run.seed, measured["untrained"])
    return found


def _flat(model, seed, by_queries):
    return [
        Score(model, seed, queries, index, part, half, metric, value)
        for queries, by_index in by_queries.items()
        for index, by_part in by_index.items()
        for part, by_half in by_part.items()
        for half, values in by_half.items()
        for metric, value in values.items()
        if metric in ("MAR@10", "MAP@10", "queries")
    ]


def ends(settings):
    """Names of the first and the last index: the paper's, and the default of ``item-index``."""
    names = list(settings["indexes"])
    return names[0], names[-1]


def pick(found, **wanted):
    """The values of the scores that have what is wanted, one a seed."""
    return [s.value for s in found if all(getattr(s, k) == v for k, v in wanted.items())]


def categories(out, runs):
    """Leaf-category prediction: model -> seed -> split -> what ``item-predict`` printed."""
    found = {}
    for run in runs:
        splits = _read(Path(out) / "runs" / run.folder / "categories.json")
        if splits is not None:
            found.setdefault(run.name, {})[run.seed] = splits
    return found


def facts(out, runs):
    """Of each model: parameters, updates, products an update, median seconds of its training."""
    found = {}
    for run in runs:
        folder = Path(out) / "runs" / run.folder
        measured = _read(folder / "scores.json")
        if measured is None:
            continue
        fact = found.setdefault(run.name, {"parameters": measured["parameters"], "seconds": []})
        fact.update(updates=run.fill["updates"], batch=run.fill["batch"])
        fact["seconds"].append(seconds(folder, "train"))
    return found


def curves(out, runs):
    """Scores over updates: model -> list of (updates, {index: {similarity: ...}})."""
    found = {}
    for run in runs:
        measured = _read(Path(out) / "runs" / run.folder / "scores.json") or {}
        if measured.get("curve"):
            found[run.name] = measured["curve"]
    return found


def balances(out, runs):
    """Reports of ``item-balance`` of the first seed: label of the model -> report."""
    folders = {run.label: Path(out) / "runs" / run.folder for run in runs if run.first}
    found = {label: _read(path / "balance" / "balance.json") for label, path in folders.items()}
    return {label: report for label, report in found.items() if report is not None}


def spread(values, digits=1):
    """ "mean ± standard deviation" of a list; without the latter where there is one value."""
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def _read(path):
    """The JSON of a file; None where it is not there."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
