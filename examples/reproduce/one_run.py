"""One run of a table: train, embed, search, predict leaf categories, judge the modalities."""

import csv
import io
import json
import logging
import re
import shutil
import time
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from fairseq_item import ItemModel, recipes
from fairseq_item.commands import balance, baseline, embed, index, predict, search
from fairseq_item.data.draw import draw
from fairseq_item.evaluation.metrics import score_queries
from fairseq_item.evaluation.summary import summarise
from fairseq_item.files import atomic_path
from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.hits import read_hits, read_truth

K = 10
INDEXED = "train,valid,test"
TRUTHS = {"query": "queries/truth.tsv", "unlike": "unlike/truth.tsv"}
DEVELOPMENT = 2 / 5  # the paper splits its queries at random by 2/3 into development and test
CURVE_POINTS = 5
WARMUP = 0.06  # of the fine-tuning's updates (the paper's appendix B)


@dataclass(frozen=True)
class Run:
    """One model trained with one seed.

    Attributes:
        name: as the settings call it; ``base`` is the model that an ablation is of, else the same.
        entry: the settings' entry of the model, with the ablation's over it.
        seed: of fairseq-train.
        first: whether the seed is the first of the size: its curves are drawn.
        common, size: the settings' options of all, and the size's entry.
    """

    name: str
    base: str
    entry: dict
    seed: int
    first: bool
    common: dict
    size: dict

    @property
    def folder(self):
        return Path(self.name) / f"seed{self.seed}"

    @property
    def drawn(self):
        """Whether it is one of the runs whose curve and balance are drawn."""
        return self.first and not self.entry.get("ablation")

    @property
    def sizes(self):
        """Options that say how large the model is, which fine-tuning repeats."""
        shape = self.size["transformer"] if self.entry.get("transformer") else {}
        return {**self.size["options"], **shape}

    @property
    def options(self):
        """All options of the training but for the data-bin, the seed and --save-dir: a dict."""
        size = self.size["models"].get(self.base, {})
        recipe = recipes.read(self.entry["recipe"])
        return {**recipe, **self.common, **self.sizes, **size, **self.entry.get("options", {})}

    def finetuning(self, products):
        """Options of the fine-tuning for leaf categories on so many products."""
        trained = self.options
        kept = {name: trained[name] for name in ("arch", "embed-layers") if name in trained}
        options = {**recipes.read("finetune"), **self.common, **self.sizes, **kept}
        options.update(self.size["finetune"])
        options.pop("max-update", None)
        updates = options["max-epoch"] * -(-products // options["batch-size"])
        schedule = {"total-num-update": updates, "warmup-updates": int(WARMUP * updates)}
        return {**options, **schedule}


def train_and_measure(run, out, indexes):
    """Do what is not done yet of a run.

    Args:
        run: :class:`Run`.
        out: folder of ``reproduce.py``.
        indexes: of the settings.

    Raises:
        InputError: a step was refused.
    """
    folder = out / "runs" / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    with logged_to(folder / "run.log"):
        options = run.options
        if run.drawn and options.get("max-update"):
            every = max(1, options["max-update"] // CURVE_POINTS)
            options.update({"save-interval-updates": every, "keep-interval-updates": -1})
        train(run, out, folder / "model", options)
        checkpoint = folder / "model" / f"checkpoint_{run.entry.get('checkpoint', 'last')}.pt"
        if not (folder / "scores.csv").exists():
            measure(run, out, folder, checkpoint, indexes)
        if run.drawn and not (folder / "curve.csv").exists():
            measure_curve(run, out, folder, indexes)
        if run.entry["classifier"] and not (folder / "categories.json").exists():
            categories(run, out, folder, checkpoint)
        if run.entry.get("detail") and not (folder / "balance" / "balance.json").exists():
            model = ["--checkpoint", checkpoint, "--data", out / "data-bin"]
            queries = ["--queries", folder / "embeddings" / "query", "--query-splits", "query"]
            where = [folder / "index", "--out", folder / "balance"]
            call(balance, *where, *queries, "--truth", out / TRUTHS["query"], *model)


@contextmanager
def logged_to(path):
    """What is logged or printed meanwhile goes to a file alone, a line saying which to stderr."""
    root, form = logging.getLogger(), "%(asctime)s | %(levelname)s | %(name)s | %(message)s"
    root.info("%s", path)
    before, level = root.handlers, root.level
    with open(path, "a", encoding="utf-8") as log, redirect_stdout(log):
        root.handlers = [logging.StreamHandler(log)]
        root.handlers[0].setFormatter(logging.Formatter(form))
        root.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.handlers = before
            root.setLevel(level)


def train(run, out, model, options, more=()):
    """Train unless ``model/done.json`` is there, which has the seconds and the options."""
    done = model / "done.json"
    if not done.exists():
        more = ["--seed", run.seed, "--save-dir", model, *more]
        start = time.monotonic()
        argv = recipes.arguments(options, out / "data-bin", more)
        recipes.train(recipes.parse(argv, run.name))
        write_json(done, {"seconds": time.monotonic() - start, "options": options})


def call(command, *arguments):
    command.main([str(argument) for argument in arguments])


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path, value):
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def write_csv(path, rows):
    """Write a list of dicts with the same keys."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def measure(run, out, folder, checkpoint, indexes):
    """Write ``scores.csv``: what the tables show of a checkpoint, and of random weights."""
    rows = score(run, out, folder, checkpoint, indexes)
    if run.entry.get("untrained"):
        flags = ["--untrained", "--seed", run.seed]
        rows += score(run, out, folder / "untrained", checkpoint, indexes, flags, "untrained")
        shutil.rmtree(folder / "untrained")
    model = ItemModel.from_pretrained(str(checkpoint)).model
    count = sum(parameter.numel() for parameter in model.parameters())  # tied ones once
    write_json(folder / "parameters.json", count)
    write_csv(folder / "scores.csv", rows)


def readouts(entry, indexes):
    """What the tables show of a model: (index, query set, what ranks the answers)."""
    first, *_, last = indexes
    detail, ablation = entry.get("detail"), entry.get("ablation")
    found = [(name, "query", "fused") for name in (indexes if detail else (first, last))]
    found += [(first, "query", name) for name in EMBEDDINGS if detail]
    found += [(last, "query", name) for name in EMBEDDINGS if detail or ablation]
    return found if ablation else [*found, (last, "unlike", "fused")]


def score(run, out, folder, checkpoint, indexes, flags=(), name=None, wanted=None):
    """Embed and search; one dict for each of :func:`readouts`. The last index stays."""
    embeddings, wanted = folder / "embeddings", wanted or readouts(run.entry, indexes)
    model = ["--checkpoint", checkpoint, "--data", out / "data-bin", *flags]
    call(embed, *model, "--splits", INDEXED, "--out", embeddings / "index")
    for queries in {queries for _, queries, _ in wanted}:
        call(embed, *model, "--splits", queries, "--out", embeddings / queries)
    rows, name = [], name or run.name
    for kind in [kind for kind in indexes if any(kind == readout[0] for readout in wanted)]:
        options = indexes[kind]
        how = [f"--{key}={options[key]}" for key in ("transform", "calibration", "fusion")]
        how += ["--weights", *options["weights"].split()]
        call(index, embeddings / "index", "--out", folder / "index", *how)
        for _, queries, by in [readout for readout in wanted if readout[0] == kind]:
            hits = folder / "hits" / f"{queries}-{kind}-{by}.tsv"
            ranked = ["--similarity", run.entry.get("by", by) if by == "fused" else by, "-k", K]
            asked = [folder / "index", "--queries", embeddings / queries, "--out", hits]
            call(search, *asked, *ranked)
            rows.append(scores_of(hits, out, name, run.seed, queries, kind, by))
    return rows


def scores_of(hits, out, model, seed, queries, index="", by="fused"):
    """A row of ``search.csv``."""
    row = {"model": model, "seed": seed, "queries": queries, "index": index, "by": by}
    return {**row, **of_queries(read_hits(hits), read_truth(out / TRUTHS[queries]))}


def of_queries(hits, truth):
    """Scores of the development and of the test queries, in percent: a flat dict."""
    drawn = sorted(truth, key=lambda query: draw(1, query))
    middle = round(DEVELOPMENT * len(drawn))
    found = {}
    for name, ids in (("dev", drawn[:middle]), ("test", drawn[middle:])):
        some = {query: hits[query] for query in ids if query in hits}
        scores = summarise(score_queries(some, {q: truth[q] for q in ids}, K), K, 0)
        found.update({f"{name} {key}": scores[key] for key in ("queries", "MAR@10", "MAP@10")})
    return found


def measure_curve(run, out, folder, indexes):
    """Write ``curve.csv``: test MAP@10 of the checkpoints on the way, default index."""
    points, wanted = [], [(list(indexes)[-1], "query", "fused")]
    for path in (folder / "model").glob("checkpoint_*_*.pt"):
        if match := re.fullmatch(r"checkpoint_\d+_(\d+)\.pt", path.name):
            (row,) = score(run, out, folder / "curve", path, indexes, wanted=wanted)
            points.append({"updates": int(match[1]), "MAP@10": row["test MAP@10"]})
            shutil.rmtree(folder / "curve")
    if points:
        write_csv(folder / "curve.csv", sorted(points, key=lambda point: point["updates"]))


def categories(run, out, folder, checkpoint):
    """Write ``categories.json``: leaf-category accuracies, fine-tuned for them where need be."""
    if run.entry["classifier"] == "finetuned":
        items = (out / "data-bin" / "items").glob("train*.tsv")
        products = sum(path.read_text(encoding="utf-8").count("\n") - 1 for path in items)
        more = ["--finetune-from-model", checkpoint]
        train(run, out, folder / "finetune", run.finetuning(products), more)
        checkpoint = folder / "finetune" / "checkpoint_best.pt"
    found, model = {}, ["--checkpoint", checkpoint, "--data", out / "data-bin"]
    for split in ("valid", "test"):
        with redirect_stdout(io.StringIO()) as printed:
            where = folder / f"categories-{split}.tsv"
            call(predict, *model, "--splits", split, "--out", where)
        found[split] = json.loads(printed.getvalue().splitlines()[-1])
        del found[split]["predictions"]  # the path, which OUT may be moved away from
    write_json(folder / "categories.json", found)


def baselines(out):
    """Write ``baselines.csv``: scores of TF-IDF on titles and of mean pixels."""
    if (out / "baselines.csv").exists():
        return
    rows, items = [], out / "data-bin" / "items"
    indexed = [items / f"{split}.tsv" for split in INDEXED.split(",")]
    for kind in ("tfidf", "pixels"):
        for queries in TRUTHS:
            hits = out / "baselines" / f"{kind}-{queries}.tsv"
            asked = ["--queries", items / f"{queries}.tsv", "--index", *indexed]
            call(baseline, kind, *asked, "-k", K, "--out", hits)
            rows.append(scores_of(hits, out, kind, 0, queries))
    write_csv(out / "baselines.csv", rows)
