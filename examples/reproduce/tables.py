"""The tables of all that is done: as CSV, and from these as Markdown."""

from statistics import mean, stdev

import numpy as np
from one_run import trials
from readouts import K, read_csv, read_json, write_csv

from fairseq_item.evaluation.dev_test import keep
from fairseq_item.evaluation.metrics import bootstrap_interval, score_queries
from fairseq_item.files import atomic_path
from fairseq_item.search.hits import read_hits, read_truth

FILES = ("scores", "paired", "readouts", "trainings", "curves", "categories")
COLUMNS = {
    "words": "with words",
    "features": "with words and pretrained features",
    "alone": "alone",
    "paper": "the paper's readout",
}
PARTS = {"global": "1 0 0 0", "title": "0 1 0 0", "image": "0 0 1 0"}
DEFAULT = "0.5 0 0.5 1"  # of item-index, by which checkpoints are chosen


def write(out, settings):
    """Write ``results.md`` and the CSV files ``FILES`` into ``out``, of what is done so far.

    Args:
        out: folder of ``reproduce.py``.
        settings: as it reads them.
    """
    for name, rows in zip(FILES, gather(out, settings)):
        if rows:
            write_csv(out / f"{name}.csv", rows)
    found = {name: read_csv(out / f"{name}.csv") for name in FILES}
    with atomic_path(out / "results.md") as path:
        path.write_text("\n".join(sections(settings, found)), encoding="utf-8")


def labels(settings):
    """Model -> label, in the order of the table; random weights are a model of their own."""
    found = {name: entry["label"] for name, entry in settings["models"].items()}
    for name, entry in settings["models"].items():
        if entry.get("untrained"):
            found[f"{name} untrained"] = entry["untrained"]
    return {**found, **{name: entry["label"] for name, entry in settings["baselines"].items()}}


def gather(out, settings):
    """Rows of the CSV files, from the folders of the runs."""
    truth = read_truth(out / "queries" / "truth.tsv")
    scores, readouts, trainings, curves, categories, precisions = [], [], [], [], [], {}
    for name in labels(settings):
        model, _, kind = name.partition(" ")
        for folder in sorted((out / "runs" / model).glob("seed*")):
            seed = {"model": name, "seed": folder.name[4:]}
            where = folder / (kind or "trained")
            for row in read_csv(where / "readouts.csv"):
                readouts.append({**seed, **row})
                if row["chosen"] == "1":
                    hits = read_hits(where / "hits" / f"{row['column']}.tsv")
                    test = score_queries(*keep(hits, truth, "test"), K)
                    of = precisions.setdefault((name, row["column"]), [])
                    of.append(test.precision)
                    means = 100 * test.precision.mean(), 100 * test.recall.mean()
                    means = dict(zip(("MAP@10", "MAR@10"), means))
                    scores.append({**seed, **row, "queries": len(test.queries), **means})
            if kind or not (where / "parameters.json").exists():
                continue
            trainings.append({**seed, **training(folder)})
            curves += [{**seed, **row} for row in read_csv(folder / "curve.csv")]
            if (folder / "categories.json").exists():
                for split, values in read_json(folder / "categories.json").items():
                    categories.append({**seed, "split": split, **values})
    return scores, paired(precisions, settings), readouts, trainings, curves, categories


def paired(precisions, settings):
    """How far the first model is ahead of each other, over the queries, the seeds averaged."""
    first, rows = next(iter(settings["models"])), []
    for (name, column), values in precisions.items():
        if name != first and (first, column) in precisions:
            gain = 100 * (np.mean(precisions[first, column], 0) - np.mean(values, 0))
            low, high = bootstrap_interval(gain)
            row = {"model": name, "column": column, "ahead": float(gain.mean())}
            rows.append({**row, "low": low, "high": high})
    return rows


def training(folder):
    """What a training took."""
    done, curve = read_json(folder / "model" / "done.json"), read_csv(folder / "curve.csv")
    options = done["options"]
    return {
        "parameters": read_json(folder / "trained" / "parameters.json"),
        "updates": options.get("max-update", ""),
        "batch": options["batch-size"] * options.get("update-freq", 1),
        "lr": options["lr"],
        "trials": ", ".join(f"{lr}: {score:.1f}" for lr, score in trials(folder.parent).items()),
        "checkpoint": max(curve, key=lambda row: float(row["map10"]))["updates"],
        "minutes": done["seconds"] / 60,
    }


def sections(settings, found):
    """The tables as Markdown, those without rows left out: list of str.

    Args:
        settings: of ``reproduce.py``.
        found: name in ``FILES`` -> rows of :func:`read_csv`.
    """
    done = {row["model"] for row in found["scores"]}
    names = {name: label for name, label in labels(settings).items() if name in done}
    if not names:
        return []
    return [
        main_section(settings, found, names),
        readout_section(found["readouts"], names),
        *training_section(found["trainings"], names),
        *curve_section(found, names),
        *category_section(settings, found["categories"], names),
    ]


def table(title, text, header, lines):
    """Markdown of a table; ``lines`` are lists of str."""
    rows = [f"| {' | '.join(line)} |" for line in (header, *lines)]
    ruler = "|---" * len(header) + "|"
    return "\n".join([f"## {title}", "", text, "", rows[0], ruler, *rows[1:], ""])


def pick(rows, value, **wanted):
    """The values of the rows that have what is wanted, one a seed."""
    return [float(r[value]) for r in rows if all(r[k] == v for k, v in wanted.items())]


def main_section(settings, found, names):
    """Every model, read as did best on the dev queries: the test queries."""
    header = ["MAP@10 (MAR@10)", "seeds"]
    for column in COLUMNS:
        ahead = [] if column == "paper" else ["first row ahead by"]
        header += [COLUMNS[column], *ahead]
    lines = []
    for name, label in names.items():
        of = [row for row in found["scores"] if row["model"] == name]
        line = [label, str(len({row["seed"] for row in of}))]
        for column in COLUMNS:
            scores = [pick(of, score, column=column) for score in ("MAP@10", "MAR@10")]
            line.append(f"{spread(scores[0])} ({mean(scores[1]):.1f})" if scores[0] else "")
            if column != "paper":
                rows = [r for r in found["paired"] if r["model"] == name and r["column"] == column]
                line.append("".join(map(ahead_by, rows)))
        paper = settings["models"].get(name, {}).get("paper", {}).get("test")
        lines.append([*line, f"{paper[1]:.1f} ({paper[0]:.1f})" if paper else ""])
    text = (
        f"{found['scores'][0]['queries']} test queries, percent, mean ± standard deviation over "
        "seeds; in square brackets 95% paired bootstrap intervals over queries. Layers and weights "
        "of each cell but the paper's were chosen on the dev queries."
    )
    return table("Same-product search", text, [*header, "the paper, on its own data"], lines)


def ahead_by(row):
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(float(row[key]) for key in ("ahead", "low", "high")))


def readout_section(rows, names):
    """What each embedding finds alone, and what was chosen: the dev queries."""
    lines = []
    for name, label in names.items():
        of = [row for row in rows if row["model"] == name]
        cells = []
        shown = [("alone", weights) for weights in PARTS.values()] + [("words", DEFAULT)]
        for column, weights in shown:
            asked = {"column": column, "weights": weights}
            layers = [spread(pick(of, "dev", layers=way, **asked)) for way in ("last", "all")]
            cells.append(" / ".join(filter(None, layers)))
        for column in ("words", "features", "alone"):
            chosen = [r for r in of if r["column"] == column and r["chosen"] == "1"]
            ways = [f"{r['layers']} {r['weights']}".strip() for r in chosen]
            cells.append(", ".join(dict.fromkeys(ways)))
        if any(cells):
            lines.append([label, *cells])
    text = (
        "Dev queries. MAP@10 of each embedding alone and of the default weights with words, read "
        "from the last layer / from all layers; then the layers and the weights of global, title, "
        "image and words that did best."
    )
    header = ["MAP@10", *PARTS, "default", *(f"chosen {COLUMNS[c]}" for c in list(COLUMNS)[:3])]
    return table("Readouts", text, header, lines)


def training_section(rows, names):
    """What each training took."""
    if not rows:
        return
    lines = []
    for name, label in names.items():
        of = [row for row in rows if row["model"] == name]
        if of:
            updates = f"{of[0]['updates']} x {of[0]['batch']}"
            cells = [f"{float(of[0]['parameters']) / 1e6:.1f} M", updates, of[0]["lr"]]
            best = ", ".join(row["checkpoint"] for row in of)
            minutes = f"{mean(pick(of, 'minutes')):.1f}"
            lines.append([label, *cells, of[0]["trials"], best, minutes])
    header = ["model", "parameters", "updates x products", "learning rate"]
    header += ["trials: dev MAP@10", "checkpoint taken, by seed", "minutes"]
    text = "Learning rates and checkpoints were chosen on the dev queries."
    yield table("Trainings", text, header, lines)


def curve_section(found, names):
    """The first seed of each model over its updates, where there are more than a few points."""
    keys = ("map10", *(f"map10_{part}" for part in PARTS))
    for name, label in names.items():
        rows = [row for row in found["curves"] if row["model"] == name]
        rows = [row for row in rows if row["seed"] == rows[0]["seed"]]
        if len(rows) < 4:
            continue
        start = [r for r in found["readouts"] if r["model"] == f"{name} untrained"]
        start = [r for r in start if r["column"] in ("words", "alone") and r["layers"] == "all"]
        at = [pick(start, "dev", weights=w)[:1] for w in (DEFAULT, *PARTS.values())]
        lines = [[row["updates"], *(spread([float(row[key])]) for key in keys)] for row in rows]
        header = ["updates", "default, with words", *PARTS]
        text = "MAP@10 of the dev queries; 0: random weights."
        yield table(f"{label}, over updates", text, header, [["0", *map(spread, at)], *lines])


def category_section(settings, rows, names):
    """Leaf-category prediction of valid and test."""
    if not rows:
        return
    shown = [(split, f"Acc@{k}") for split in ("valid", "test") for k in (1, 5)]
    lines = []
    for name in dict.fromkeys(row["model"] for row in rows):
        cells = [spread(pick(rows, m, model=name, split=split)) for split, m in shown]
        paper = settings["models"][name]["paper"].get("acc_test", ())
        lines.append([names[name], *cells, " / ".join(f"{value:.2f}" for value in paper)])
    counts = [pick(rows, "with_category", split=split)[0] for split in ("valid", "test")]
    header = ["model", *(f"{split} {m}" for split, m in shown), "paper, test Acc@1 / Acc@5"]
    text = "Percent of {:.0f} and {:.0f} products.".format(*counts)
    yield table("Leaf-category prediction", text, header, lines)


def spread(values):
    """ "mean ± standard deviation" of a list; without the latter where there is one value."""
    if not values:
        return ""
    deviation = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
    return f"{mean(values):.1f}{deviation}"
