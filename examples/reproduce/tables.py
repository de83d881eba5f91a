"""The tables of all that is done, as Markdown and CSV, and the plots beside them."""

import csv
from pathlib import Path

import gather
from gather import ends, pick, spread

from fairseq_item.files import atomic_path

METRICS = ("MAR@10", "MAP@10")
HALVES = ("dev", "test")


def write(out, settings, runs):
    """Write ``results.md``, ``search.csv``, ``categories.csv`` and the plots into ``out``.

    Args:
        out: folder of ``reproduce.py``.
        settings: of ``plan.read_settings``.
        runs: the planned runs; those that are not done are left out.
    """
    out = Path(out)
    found = gather.scores(out, runs)
    if not found:
        return
    categories = gather.categories(out, runs)
    facts, (first, last) = gather.facts(out, runs), ends(settings)
    theirs = (["paper, test MAR / MAP"], published(settings, "test"))
    ours = (["parameters", "updates", "training"], lambda name: _facts(facts.get(name)))
    sections = [
        search_table(settings, found, first, "Same-product search, as the paper compares", theirs),
        search_table(settings, found, last, "Same-product search, default index", ours),
        category_table(settings, categories),
        index_table(settings, found),
        unlike_table(settings, found),
        ablation_table(settings, found),
        balance_table(out, settings, runs),
    ]
    with atomic_path(out / "results.md") as path:
        path.write_text("\n".join(filter(None, sections)), encoding="utf-8")
    write_csv(out / "search.csv", [vars(score) for score in found])
    write_csv(
        out / "categories.csv",
        [
            {"model": name, "seed": seed, "split": split, **values}
            for name, seeds in categories.items()
            for seed, splits in seeds.items()
            for split, values in splits.items()
        ],
    )
    try:
        import plots
    except ImportError:
        return  # matplotlib is an extra
    plots.write(out, settings, runs, found)


def search_table(settings, found, index, title, more):
    """Same-product search of every model under one index.

    Args:
        settings, found: as in :func:`write`.
        index: name of the index; floors need none.
        title: of the section.
        more: (headers of further columns, function of a model's name that gives their cells).
    """
    headers, cells_of = more
    rows = [["model", *(f"{half} {metric}" for half in HALVES for metric in METRICS), *headers]]
    for name, entry in _rows(settings, found):
        of = "" if name in gather.FLOORS else index
        values = [
            pick(found, model=name, queries="query", index=of, part="fused", half=half, metric=m)
            for half in HALVES
            for m in METRICS
        ]
        rows.append([entry["label"], *map(spread, values), *cells_of(name)])
    options = settings["indexes"][index]
    weights = " ".join(f"{weight:g}" for weight in options["weights"])
    text = (
        f"{_queries(found, 'dev')} development and {_queries(found, 'test')} test queries, "
        "percent, mean ± standard deviation over seeds. Transform {transform}, calibration "
        "{calibration}, fusion {fusion}, weights " + weights + "."
    )
    return _section(title, text.format(**options), rows)


def published(settings, what):
    """Column of the paper's figures: ``what`` is "test" or "acc_test"."""

    def cells(name):
        found = settings["models"].get(name, {}).get("published", {}).get(what)
        return [" / ".join(f"{value:.2f}" for value in found) if found else ""]

    return cells


def _queries(found, half):
    counts = pick(found, queries="query", part="fused", half=half, metric="queries")
    return int(max(counts, default=0))


def _facts(fact):
    if fact is None:
        return ["", "", ""]
    updates = fact["updates"] or "until no gain,"
    times = [s for s in fact["seconds"] if s]
    minutes = f"{sum(times) / len(times) / 60:.1f} min" if times else ""
    return [f"{fact['parameters'] / 1e6:.1f} M", f"{updates} x {fact['batch']}", minutes]


def _rows(settings, found):
    """``(name, entry)`` of what has scores: models in the settings' order, then the floors."""
    done = {score.model for score in found}
    rows = [(name, entry) for name, entry in settings["models"].items() if name in done]
    floors = {"untrained": gather.UNTRAINED, **gather.FLOORS}
    return rows + [(name, {"label": label}) for name, label in floors.items() if name in done]


def category_table(settings, categories):
    """Leaf-category prediction of valid and test."""
    if not categories:
        return None
    names = [(split, f"Acc@{k}") for split in ("valid", "test") for k in (1, 5)]
    rows = [["model", *(f"{split} {metric}" for split, metric in names),
             "paper, test Acc@1 / Acc@5"]]  # fmt: skip
    products = set()
    for name, entry in settings["models"].items():
        if name not in categories:
            continue
        seeds = categories[name].values()
        products |= {tuple(s[split]["with_category"] for split in ("valid", "test")) for s in seeds}
        values = [spread([s[split][metric] for s in seeds]) for split, metric in names]
        rows.append([entry["label"], *values, *published(settings, "acc_test")(name)])
    count = " and ".join(map(str, products.pop())) if products else ""
    return _section("Leaf-category prediction", f"Percent of {count} products.", rows)


def index_table(settings, found):
    """What the options of the index are worth: MAP@10 of the test queries, fused."""
    names = [n for n in ("item", "item-views", "untrained") if pick(found, model=n)]
    if not names:
        return None
    labels = {
        **{n: e["label"] for n, e in settings["models"].items()},
        "untrained": gather.UNTRAINED,
    }
    rows = [["transform", "calibration", "fusion", "weights", *(labels[n] for n in names)]]
    for index, options in settings["indexes"].items():
        cells = [options["transform"], options["calibration"], options["fusion"]]
        cells.append(" ".join(f"{weight:g}" for weight in options["weights"]))
        for name in names:
            cells.append(spread(_map(found, name, "query", index, "fused")))
        rows.append(cells)
    for index in ends(settings):
        for part in ("global", "title", "image"):
            cells = [settings["indexes"][index]["transform"], "", f"{part} alone", ""]
            rows.append(cells + [spread(_map(found, n, "query", index, part)) for n in names])
    return _section("What the index is worth", "MAP@10 of the test queries.", rows)


def _map(found, model, queries, index, part):
    return pick(found, model=model, queries=queries, index=index, part=part, half="test",
                metric="MAP@10")  # fmt: skip


def unlike_table(settings, found):
    """Queries whose changes the view contrast's second views do not make."""
    _, last = ends(settings)
    rows = [["model", "MAR@10", "MAP@10"]]
    for name, entry in _rows(settings, found):
        index = "" if name in gather.FLOORS else last
        values = [pick(found, model=name, queries="unlike", index=index, part="fused", half="test",
                       metric=metric) for metric in METRICS]  # fmt: skip
        rows.append([entry["label"], *map(spread, values)])
    return _section(
        "Changes that no view makes",
        "Test queries relisted by rotation, the background's colour, JPEG, abbreviations, typing "
        "errors and filler alone: no crop, no flip, no other light, no word dropped or moved. "
        "Default index.",
        rows,
    )


def ablation_table(settings, found):
    """ITEm with something taken away or added, on the test queries."""
    first, last = ends(settings)
    changes = settings["ablations"]
    done = [name for name in changes if pick(found, model=name)]
    if not done:
        return None
    columns = [(first, "fused"), *((last, p) for p in ("fused", "global", "title", "image"))]
    header = ["MAP@10", "paper's index", *(f"default index, {p}" for _, p in columns[1:]), "seeds"]
    rows = [header]
    for base in dict.fromkeys(changes[name]["of"] for name in changes):
        below = [name for name in done if changes[name]["of"] == base]
        for name in [base, *below]:
            label = changes[name]["label"] if name in changes else settings["models"][base]["label"]
            values = [_map(found, name, "query", index, part) for index, part in columns]
            prefix = "" if name == base else f"{settings['models'][base]['label']}: "
            rows.append([prefix + label, *map(spread, values), str(len(values[0]))])
    return _section("Ablations", "MAP@10 of the test queries.", rows)


def balance_table(out, settings, runs):
    """How scores fall when a query's title or photo is taken away or replaced."""
    rows = []
    for run in runs:
        path = Path(out) / "runs" / run.folder / "balance" / "balance.md"
        if path.exists() and run.first:
            rows.append(f"### {run.label}, seed {run.seed}\n\n{path.read_text(encoding='utf-8')}")
    return "## Modality balance\n\n" + "\n".join(rows) if rows else None


def _section(title, text, rows):
    lines = [f"## {title}", "", text, "", _line(rows[0]), "|---" * len(rows[0]) + "|"]
    return "\n".join([*lines, *map(_line, rows[1:]), ""])


def _line(cells):
    return f"| {' | '.join(cells)} |"


def write_csv(path, records):
    """Write a list of dicts; nothing where it is empty."""
    if not records:
        return
    names = list(dict.fromkeys(name for record in records for name in record))
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, names)
        writer.writeheader()
        writer.writerows(records)
