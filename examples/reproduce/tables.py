"""The tables of all that is done: as CSV, and from these as Markdown."""

import csv
import json
from pathlib import Path
from statistics import mean, stdev

from one_run import write_csv

from fairseq_item.files import atomic_path

METRICS = ("MAR@10", "MAP@10")
BASELINES = {"tfidf": "TF-IDF on titles", "pixels": "mean pixels"}
UNTRAINED = "ITEm, untrained"
FILES = ("search", "categories", "trainings")


def write(out, settings, runs):
    """Write ``results.md`` and ``{search,categories,trainings}.csv`` into ``out``.

    Args:
        out: folder of ``reproduce.py``.
        settings: as it reads them.
        runs: all that may be there; those that are not done are left out.
    """
    out = Path(out)
    done = [run for run in runs if is_done(out, run)]
    for name, rows in zip(FILES, gather(out, done)):
        if rows:
            write_csv(out / f"{name}.csv", rows)
    found = {name: read_csv(out / f"{name}.csv") for name in FILES}
    with atomic_path(out / "results.md") as path:
        path.write_text("\n".join([*sections(settings, found), *balances(out, done)]), "utf-8")


def is_done(out, run):
    """Whether a run was measured."""
    return (out / "runs" / run.folder / "scores.csv").exists()


def gather(out, runs):
    """Rows of the three CSV files, from the folders of the runs."""
    search, categories, trainings = read_csv(out / "baselines.csv"), [], {}
    for run in runs:
        folder = out / "runs" / run.folder
        search += read_csv(folder / "scores.csv")
        trained = json.loads((folder / "model" / "done.json").read_text(encoding="utf-8"))
        options = trained["options"]
        row = {
            "model": run.name,
            "parameters (M)": int((folder / "parameters.json").read_text()) / 1e6,
            "updates": options.get("max-update", 0) or "until no gain,",
            "batch": options["batch-size"] * options.get("update-freq", 1),
        }
        seconds = trainings.setdefault(run.name, (row, []))[1]
        seconds.append(trained["seconds"])
        row["minutes"] = mean(seconds) / 60
        trainings[run.name] = (row, seconds)
        if (folder / "categories.json").exists():
            found = json.loads((folder / "categories.json").read_text(encoding="utf-8"))
            for split, values in found.items():
                categories.append({"model": run.name, "seed": run.seed, "split": split, **values})
    return search, categories, [row for row, _ in trainings.values()]


def read_csv(path):
    """Rows as a list of dicts of str; none where the file is not there."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def sections(settings, found):
    """The tables as Markdown, those without rows left out: list of str.

    Args:
        settings: of ``reproduce.py``.
        found: name in ``FILES`` -> rows of :func:`read_csv`.
    """
    rows, (first, last) = found["search"], ends(settings)
    if not rows:
        return []
    facts = {row["model"]: row for row in found["trainings"]}
    theirs = (["paper, test MAR / MAP"], lambda name: published(settings, name, "test"))
    ours = (["parameters", "updates", "training"], lambda name: _facts(facts.get(name)))
    made = [
        search_table(settings, rows, first, "Same-product search, as the paper compares", theirs),
        search_table(settings, rows, last, "Same-product search, default index", ours),
        category_table(settings, found["categories"]),
        index_table(settings, rows),
        unlike_table(settings, rows),
        ablation_table(settings, rows),
    ]
    return [section for section in made if section]


def ends(settings):
    """Names of the first and the last index: the paper's, and the default of ``item-index``."""
    names = list(settings["indexes"])
    return names[0], names[-1]


def pick(rows, column, **wanted):
    """The column's values of the rows that have what is wanted, one a seed."""
    return [float(r[column]) for r in rows if all(r[k] == v for k, v in wanted.items())]


def map_of(rows, model, index, by="fused"):
    """MAP@10 of the test queries, one a seed."""
    return pick(rows, "test MAP@10", model=model, queries="query", index=index, by=by)


def labels(settings, rows):
    """Name -> label of what has scores: models in the settings' order, then the baselines."""
    known = {name: entry["label"] for name, entry in settings["models"].items()}
    known.update(untrained=UNTRAINED, **BASELINES)
    done = {row["model"] for row in rows}
    return {name: label for name, label in known.items() if name in done}


def search_table(settings, rows, index, title, more):
    """Same-product search of every model under one index.

    Args:
        settings, rows: as in :func:`sections`.
        index: name of the index; baselines need none.
        title: of the section.
        more: (headers of further columns, function of a model's name that gives their cells).
    """
    headers, cells_of = more
    columns = [f"{part} {metric}" for part in ("dev", "test") for metric in METRICS]
    lines = [["model", *columns, *headers]]
    for name, label in labels(settings, rows).items():
        place = {"queries": "query", "by": "fused", "index": "" if name in BASELINES else index}
        values = [pick(rows, column, model=name, **place) for column in columns]
        lines.append([label, *map(spread, values), *cells_of(name)])
    counts = [max(pick(rows, f"{part} queries", queries="query")) for part in ("dev", "test")]
    text = "{:.0f} development and {:.0f} test queries, ".format(*counts)
    text += "percent, mean ± standard deviation over seeds. Transform {transform}, calibration "
    text += "{calibration}, fusion {fusion}, weights {weights}."
    return _section(title, text.format(**settings["indexes"][index]), lines)


def published(settings, name, what):
    """The cell of the paper's figures, in a list; ``what`` is "test" or "acc_test"."""
    found = settings["models"].get(name, {}).get("published", {}).get(what)
    return [" / ".join(f"{value:.2f}" for value in found) if found else ""]


def _facts(row):
    if row is None:
        return ["", "", ""]
    size, minutes = f"{float(row['parameters (M)']):.1f} M", f"{float(row['minutes']):.1f} min"
    return [size, f"{row['updates']} x {row['batch']}", minutes]


def category_table(settings, rows):
    """Leaf-category prediction of valid and test."""
    if not rows:
        return None
    columns = [(split, f"Acc@{k}") for split in ("valid", "test") for k in (1, 5)]
    header = [f"{split} {metric}" for split, metric in columns]
    lines = [["model", *header, "paper, test Acc@1 / Acc@5"]]
    for name, label in labels(settings, rows).items():
        values = [spread(pick(rows, m, model=name, split=split)) for split, m in columns]
        lines.append([label, *values, *published(settings, name, "acc_test")])
    counts = [pick(rows, "with_category", split=split)[0] for split in ("valid", "test")]
    text = "Percent of {:.0f} and {:.0f} products.".format(*counts)
    return _section("Leaf-category prediction", text, lines)


def index_table(settings, rows):
    """What the options of the index are worth: MAP@10 of the test queries."""
    known = labels(settings, rows)
    names = [name for name in ("item", "item-views", "untrained") if name in known]
    if not names:
        return None
    keys = ("transform", "calibration", "fusion", "weights")
    lines = [[*keys, *(known[name] for name in names)]]
    for index, options in settings["indexes"].items():
        values = [spread(map_of(rows, name, index)) for name in names]
        lines.append([*(options[key] for key in keys), *values])
    for index in ends(settings):
        for by in ("global", "title", "image"):
            cells = [settings["indexes"][index]["transform"], "", f"{by} alone", ""]
            lines.append(cells + [spread(map_of(rows, name, index, by)) for name in names])
    return _section("What the index is worth", "MAP@10 of the test queries.", lines)


def unlike_table(settings, rows):
    """Queries whose changes the view contrast's second views do not make."""
    lines = [["model", *METRICS]]
    for name, label in labels(settings, rows).items():
        found = [pick(rows, f"test {m}", model=name, queries="unlike") for m in METRICS]
        lines.append([label, *map(spread, found)])
    return _section(
        "Changes that no view makes",
        "Test queries relisted by rotation, the background's colour, JPEG, abbreviations, typing "
        "errors and filler alone: no crop, no flip, no other light, no word dropped or moved. "
        "Default index.",
        lines,
    )


def ablation_table(settings, rows):
    """ITEm with something taken away or added, on the test queries."""
    first, last = ends(settings)
    done = {row["model"] for row in rows}
    changes = {n: change for n, change in settings["ablations"].items() if n in done}
    if not changes:
        return None
    columns = [(first, "fused"), *((last, by) for by in ("fused", "global", "title", "image"))]
    header = [f"default index, {by}" for _, by in columns[1:]]
    lines = [["MAP@10", "paper's index", *header, "seeds"]]
    for base in dict.fromkeys(change["of"] for change in settings["ablations"].values()):
        label = settings["models"][base]["label"]
        names = {base: label}
        names.update({n: f"{label}: {c['label']}" for n, c in changes.items() if c["of"] == base})
        for name, label in names.items():
            values = [map_of(rows, name, index, by) for index, by in columns]
            lines.append([label, *map(spread, values), str(len(values[0]))])
    return _section("Ablations", "MAP@10 of the test queries.", lines)


def balances(out, runs):
    """How scores fall when a query's title or photo is taken away or replaced: list of str."""
    pages = []
    for run in runs:
        path = out / "runs" / run.folder / "balance" / "balance.md"
        if path.exists() and run.first:
            label = run.entry["label"]
            pages.append(f"### {label}, seed {run.seed}\n\n{path.read_text(encoding='utf-8')}")
    return ["## Modality balance\n", *pages] if pages else []


def spread(values):
    """ "mean ± standard deviation" of a list; without the latter where there is one value."""
    if not values:
        return ""
    deviation = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
    return f"{mean(values):.1f}{deviation}"


def _section(title, text, lines):
    rows = [f"| {' | '.join(cells)} |" for cells in lines]
    ruler = "|---" * len(lines[0]) + "|"
    return "\n".join([f"## {title}", "", text, "", rows[0], ruler, *rows[1:], ""])
