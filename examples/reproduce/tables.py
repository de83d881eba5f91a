"""The tables of all that is done: as CSV, and from these as Markdown."""

import csv
from functools import partial
from statistics import mean, stdev

from one_run import read_json, write_csv

from fairseq_item.files import atomic_path
from fairseq_item.search.embeddings import EMBEDDINGS

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
    search, categories, trainings, seconds = read_csv(out / "baselines.csv"), [], {}, {}
    for run in runs:
        folder = out / "runs" / run.folder
        search += read_csv(folder / "scores.csv")
        trained = read_json(folder / "model" / "done.json")
        seconds.setdefault(run.name, []).append(trained["seconds"])
        options = trained["options"]
        trainings[run.name] = {
            "model": run.name,
            "parameters (M)": read_json(folder / "parameters.json") / 1e6,
            "updates": options.get("max-update", 0) or "until no gain,",
            "batch": options["batch-size"] * options.get("update-freq", 1),
            "minutes": mean(seconds[run.name]) / 60,
        }
        if (folder / "categories.json").exists():
            for split, values in read_json(folder / "categories.json").items():
                categories.append({"model": run.name, "seed": run.seed, "split": split, **values})
    return search, categories, list(trainings.values())


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
    if not (rows := found["search"]):
        return []
    first, last = ends(settings)
    names, papers = labels(settings, rows), partial(published, settings, "test")
    columns = [f"{part} {metric}" for part in ("dev", "test") for metric in METRICS]
    plain, ours = ({c: score(rows, c, index) for c in columns} for index in (first, last))
    made = [
        section(
            "Same-product search, as the paper compares",
            about(settings, rows, first),
            cells(names, {**plain, "paper, test MAR / MAP": papers}),
        ),
        section(
            "Same-product search, default index",
            about(settings, rows, last),
            cells(names, {**ours, **facts(found["trainings"])}),
        ),
        category_section(settings, found["categories"]),
        index_section(settings, rows, names),
        section(
            "Changes that no view makes",
            "Test queries relisted by rotation, the background's colour, JPEG, abbreviations, "
            "typing errors and filler alone: no crop, no flip, no other light, no word dropped or "
            "moved. Default index.",
            cells(names, {m: score(rows, f"test {m}", last, queries="unlike") for m in METRICS}),
        ),
        ablation_section(settings, rows),
    ]
    return [section for section in made if section]


def section(title, text, lines):
    """Markdown of a table; ``lines`` are lists of str, the header first."""
    rows = [f"| {' | '.join(line)} |" for line in lines]
    ruler = "|---" * len(lines[0]) + "|"
    return "\n".join([f"## {title}", "", text, "", rows[0], ruler, *rows[1:], ""])


def cells(names, columns, corner="model"):
    """A line for each model: ``names`` to labels, ``columns`` header -> function of a name."""
    lines = [[label, *(cell(name) for cell in columns.values())] for name, label in names.items()]
    return [[corner, *columns], *lines]


def labels(settings, rows):
    """Name -> label of what has scores: models in the settings' order, then the baselines."""
    known = {name: entry["label"] for name, entry in settings["models"].items()}
    known.update(untrained=UNTRAINED, **BASELINES)
    done = {row["model"] for row in rows}
    return {name: label for name, label in known.items() if name in done}


def ends(settings):
    """Names of the first and the last index: the paper's, and the default of ``item-index``."""
    names = list(settings["indexes"])
    return names[0], names[-1]


def pick(rows, column, **wanted):
    """The column's values of the rows that have what is wanted, one a seed."""
    return [float(r[column]) for r in rows if all(r[k] == v for k, v in wanted.items())]


def map_of(rows, model, index):
    """MAP@10 of the test queries, one a seed."""
    return pick(rows, "test MAP@10", model=model, queries="query", index=index, by="fused")


def score(rows, column, index, by="fused", queries="query"):
    """A function of a model's name that gives its cell; baselines need no index."""
    where = {"queries": queries, "by": by}

    def cell(name):
        of = "" if name in BASELINES else index
        return spread(pick(rows, column, model=name, index=of, **where))

    return cell


def about(settings, rows, index):
    """What is said above the scores under an index."""
    counts = [max(pick(rows, f"{part} queries", queries="query")) for part in ("dev", "test")]
    how = "Transform {transform}, calibration {calibration}, fusion {fusion}, weights {weights}."
    return (
        "{:.0f} development and {:.0f} test queries, percent, mean ± standard deviation over "
        "seeds. ".format(*counts)
        + how.format(**settings["indexes"][index])
    )


def published(settings, what, name):
    """The cell of the paper's figures; ``what`` is "test" or "acc_test"."""
    found = settings["models"].get(name, {}).get("published", {}).get(what, ())
    return " / ".join(f"{value:.2f}" for value in found)


def facts(trainings):
    """Columns of what each training took."""
    rows = {row["model"]: row for row in trainings}

    def column(form):
        return lambda name: form(rows[name]) if name in rows else ""

    return {
        "parameters": column(lambda row: f"{float(row['parameters (M)']):.1f} M"),
        "updates": column(lambda row: f"{row['updates']} x {row['batch']}"),
        "training": column(lambda row: f"{float(row['minutes']):.1f} min"),
    }


def category_section(settings, rows):
    """Leaf-category prediction of valid and test."""
    if not rows:
        return None

    def column(split, metric):
        return lambda name: spread(pick(rows, metric, model=name, split=split))

    shown = [(split, f"Acc@{k}") for split in ("valid", "test") for k in (1, 5)]
    columns = {f"{split} {metric}": column(split, metric) for split, metric in shown}
    columns["paper, test Acc@1 / Acc@5"] = partial(published, settings, "acc_test")
    counts = [pick(rows, "with_category", split=split)[0] for split in ("valid", "test")]
    text = "Percent of {:.0f} and {:.0f} products.".format(*counts)
    return section("Leaf-category prediction", text, cells(labels(settings, rows), columns))


def index_section(settings, rows, names):
    """What the options of the index are worth."""
    shown = {name: names[name] for name in ("item", "item-views", "untrained") if name in names}
    if not shown:
        return None
    keys = ("transform", "calibration", "fusion", "weights")
    asked = [(i, "fused", [o[key] for key in keys]) for i, o in settings["indexes"].items()]
    for index in ends(settings):
        transform = settings["indexes"][index]["transform"]
        asked += [(index, by, [transform, "", f"{by} alone", ""]) for by in EMBEDDINGS]
    lines = [[*keys, *shown.values()]]
    for index, by, start in asked:
        lines.append([*start, *map(score(rows, "test MAP@10", index, by), shown)])
    return section("What the index is worth", "MAP@10 of the test queries.", lines)


def ablation_section(settings, rows):
    """ITEm with something taken away or added, on the test queries."""
    done, names = {row["model"] for row in rows}, {}
    changes = {n: change for n, change in settings["ablations"].items() if n in done}
    if not changes:
        return None
    for base in dict.fromkeys(change["of"] for change in settings["ablations"].values()):
        label = names[base] = settings["models"][base]["label"]
        names.update({n: f"{label}: {c['label']}" for n, c in changes.items() if c["of"] == base})
    first, last = ends(settings)
    columns = {"paper's index": score(rows, "test MAP@10", first)}
    for by in ("fused", *EMBEDDINGS):
        columns[f"default index, {by}"] = score(rows, "test MAP@10", last, by)
    columns["seeds"] = lambda name: str(len(map_of(rows, name, first)))
    return section("Ablations", "MAP@10 of the test queries.", cells(names, columns, "MAP@10"))


def balances(out, runs):
    """How scores fall when a query's title or photo is taken away or replaced: list of str."""
    shown = [
        (run, out / "runs" / run.folder / "balance" / "balance.md") for run in runs if run.drawn
    ]
    found = [
        f"### {run.entry['label']}, seed {run.seed}\n\n{path.read_text(encoding='utf-8')}"
        for run, path in shown
        if path.exists()
    ]
    return ["## Modality balance\n", *found] if found else []


def spread(values):
    """ "mean ± standard deviation" of a list; without the latter where there is one value."""
    if not values:
        return ""
    deviation = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
    return f"{mean(values):.1f}{deviation}"
