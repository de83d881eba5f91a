"""One run of the table: train, embed in every way, choose on the dev queries, search."""

import csv
import io
import json
import logging
import shutil
import time
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch

from fairseq_item import ItemModel, recipes
from fairseq_item.commands import baseline, predict
from fairseq_item.evaluation.dev_test import keep
from fairseq_item.evaluation.metrics import mean_average_precision
from fairseq_item.files import atomic_path
from fairseq_item.search.build import build_index
from fairseq_item.search.embed import embed_rows, open_features, open_products
from fairseq_item.search.embeddings import Embeddings, EmbeddingWriter
from fairseq_item.search.hits import read_hits, read_truth, write_hits
from fairseq_item.search.image_features import join
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import search

K = 10
INDEXED = ["train", "valid", "test"]
SPLITS = {"items": INDEXED, "queries": ["query"]}
WARMUP = 0.06  # of the fine-tuning's updates (the paper's appendix B)


@dataclass(frozen=True)
class Run:
    """One model trained with one seed.

    Attributes:
        name: as the settings call it.
        entry: the settings' entry of the model.
        seed: of fairseq-train.
        common, size: the settings' options of all, and the size's entry.
        trial: the learning rate, where this is a short training to choose one by; else None.
    """

    name: str
    entry: dict
    seed: int
    common: dict
    size: dict
    trial: float | None = None

    @property
    def folder(self):
        return Path(self.name) / (f"lr{self.trial:g}" if self.trial else f"seed{self.seed}")

    @property
    def sizes(self):
        """Options that say how large the model is, which fine-tuning repeats."""
        shape = self.size["transformer"] if self.entry.get("transformer") else {}
        return {**self.size["options"], **shape}

    @property
    def options(self):
        """Options of the training but for the data-bin, the seed and what it searches: a dict."""
        found = {**recipes.read(self.entry["recipe"]), **self.common, **self.sizes}
        for name in self.entry["bases"]:
            found.update(self.size["models"].get(name, {}))
        found.update(self.entry.get("options", {}))
        if self.trial:
            found.update({"lr": self.trial, "max-update": self.size["lr-updates"]})
        if updates := found.get("max-update"):
            points = 1 if self.trial else self.size.get("points", 1)
            found["save-interval-updates"] = max(1, updates // points)
            if warmup := self.size.get("warmup"):
                found["total-num-update"] = updates
                found["warmup-updates"] = int(warmup * updates)
        return found

    def finetuning(self, products):
        """Options of the fine-tuning for leaf categories on so many products."""
        trained = self.options
        kept = {name: trained[name] for name in ("arch", "embed-layers") if name in trained}
        options = {**recipes.read("finetune"), **self.common, **self.sizes, **kept}
        options.update({**self.size["finetune"], "validate-interval": 1, "save-interval": 1})
        options.pop("max-update", None)
        updates = options["max-epoch"] * -(-products // options["batch-size"])
        schedule = {"total-num-update": updates, "warmup-updates": int(WARMUP * updates)}
        return {**options, **schedule}


def train_and_measure(run, out, settings, categories=False):
    """Do what is not done yet of a run.

    Args:
        run: :class:`Run`.
        out: folder of ``reproduce.py``.
        settings: as it reads them.
        categories: whether to predict leaf categories.

    Raises:
        InputError: a step was refused.
    """
    folder = out / "runs" / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "model" / "checkpoint_best.pt"
    with logged_to(folder / "run.log"):
        train(run, out, folder / "model", searching(run, out))
        if not (folder / "curve.csv").exists():
            write_csv(folder / "curve.csv", curve(folder / "run.log"))
        if run.trial:
            return
        for untrained in (False, True) if run.entry.get("untrained") else (False,):
            name = "untrained" if untrained else "trained"
            if not (folder / name / "readouts.csv").exists():
                measure(run, out, folder / name, checkpoint, settings, untrained)
        if categories and run.entry.get("classifier") and not (folder / "categories.json").exists():
            predict_categories(run, out, folder, checkpoint)


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


def searching(run, out):
    """The run's options with the learning rate of the best trial, and a search of the dev queries
    at each validation, by which the best checkpoint is kept."""
    options = run.options
    found = {} if run.trial else trials(out / "runs" / run.name)
    if found:
        options["lr"] = max(found, key=found.get)
    return {
        **options,
        "eval-retrieval-queries": "query",
        "eval-retrieval-items": ",".join(INDEXED),
        "eval-retrieval-truth": str(out / "queries" / "dev.tsv"),
        "best-checkpoint-metric": "map10",
        "maximize-best-checkpoint-metric": True,
    }


def trials(folder):
    """Learning rate -> dev MAP@10 of a model's trials, in its folder."""
    found = {path.parent.name[2:]: read_csv(path) for path in folder.glob("lr*/curve.csv")}
    return {lr: float(found[lr][-1]["map10"]) for lr in sorted(found, key=float)}


def train(run, out, model, options, more=()):
    """Train unless ``model/done.json`` is there, which has the seconds and the options."""
    done = model / "done.json"
    if not done.exists():
        more = ["--seed", run.seed, "--save-dir", model, *more]
        start = time.monotonic()
        argv = recipes.arguments(options, out / "data-bin", more)
        recipes.train(recipes.parse(argv, run.name))
        write_json(done, {"seconds": time.monotonic() - start, "options": options})


def curve(log):
    """What the validations of a training found on the dev queries: list of dicts by updates."""
    found = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        if "| valid | {" in line:
            values = json.loads(line.split("| valid | ")[1])
            scores = {k[6:]: v for k, v in values.items() if k.startswith("valid_map10")}
            found[int(values["valid_num_updates"])] = scores
    return [{"updates": updates, **found[updates]} for updates in sorted(found)]


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path, value):
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_csv(path):
    """Rows as a list of dicts of str; none where the file is not there."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_csv(path, rows):
    """Write a list of dicts with the same keys."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def measure(run, out, folder, checkpoint, settings, untrained):
    """Write ``readouts.csv``, the dev scores of every readout, and the hits of the best ones.

    A readout is how a column of the table compares products: ``--embed-layers`` and the weights of
    the similarities. ``hits/COLUMN.tsv`` are those of the column's best on the dev queries, and
    those of the paper's own comparison.
    """
    hub = ItemModel.from_pretrained(str(checkpoint))
    if untrained:
        torch.manual_seed(run.seed)
        hub.model.reset_parameters()
    work, rows, found = folder / "work", [], {}
    columns = {"words": settings["words"], "alone": settings["alone"]}
    for layers in run.entry["ways"]:
        if "embed_layers" in hub.model.cfg:  # a ResNet has one way
            hub.model.cfg.embed_layers = layers
        found[layers] = {name: embed(hub, out, name, work / layers / name) for name in SPLITS}
        rows += search_each(found[layers], {}, columns, layers, folder, out)
    plainly = {"transform": "none", "calibrate": "none", "fusion": "max"}
    published = {"paper": [f"{run.entry['published']} 0"]}
    rows += search_each(found["last"], plainly, published, "last", folder, out)
    if has_features(out):
        layers = best_of(rows)["words"]["layers"]
        joined = {name: with_features(found[layers][name], out, name, work) for name in SPLITS}
        rows += search_each(joined, {}, {"features": settings["words"]}, layers, folder, out)
    shutil.rmtree(work)
    keep_best(folder, rows)
    count = sum(parameter.numel() for parameter in hub.model.parameters())  # tied ones once
    write_json(folder / "parameters.json", count)
    write_csv(folder / "readouts.csv", rows)


def embed(hub, out, name, folder):
    """Embed the items or the queries: the ``Embeddings``."""
    items, dataset = open_products(out / "data-bin", SPLITS[name], hub)
    writer = EmbeddingWriter(folder, items, hub.model.embedding_dim)
    embed_rows(hub, dataset, writer, 0, len(items), 128, 0)
    writer.finish()
    return Embeddings.load(folder)


def has_features(out):
    return open_features(out / "data-bin", ["query"]) is not None


def with_features(plain, out, name, folder):
    """The same embeddings with pretrained features joined to those of images."""
    image = join(open_features(out / "data-bin", SPLITS[name])[:], plain.rows("image"))
    dims = {**plain.dims, "image": image.shape[1]}
    writer = EmbeddingWriter(folder / name, plain.items, dims)
    writer.write(0, plain.rows("global"), plain.rows("title"), image)
    writer.finish()
    return Embeddings.load(folder / name)


def search_each(embeddings, how, columns, layers, folder, out):
    """Search with each of the weights of some columns: rows of ``readouts.csv``."""
    build_index([embeddings["items"].path], folder / "work" / "index", **how)
    index, asked = ItemIndex.load(folder / "work" / "index"), embeddings["queries"]
    queries, rows = asked.queries(), []
    has = [bool(queries[part].any()) for part in ("global", "title", "image")] + [True]
    for column, options in columns.items():
        for weights in options:
            numbers = [float(weight) for weight in weights.split()]
            if column != "paper" and any(w and not there for w, there in zip(numbers, has)):
                continue  # the model has no such embedding
            hits = search(index, queries, asked.ids, K, weights=numbers)
            path = folder / "hits" / f"{column} {layers} {weights}.tsv"
            path.parent.mkdir(exist_ok=True)
            write_hits(path, hits)
            row = {"column": column, "layers": layers, "weights": weights}
            rows.append({**row, "dev": dev_score(hits, out)})
    return rows


def dev_score(hits, out):
    """MAP@10 of the dev queries in percent."""
    dev = keep(hits, read_truth(out / "queries" / "truth.tsv"), "dev")
    return 100 * mean_average_precision(*dev, K)


def best_of(rows):
    """Column -> its row with the best dev score, the first of equal ones."""
    best = {}
    for row in rows:
        if row["column"] not in best or row["dev"] > best[row["column"]]["dev"]:
            best[row["column"]] = row
    return best


def keep_best(folder, rows):
    """Rename the hits of each column's best row, remove the others; say it in the rows."""
    best = best_of(rows)
    for row in rows:
        row["chosen"] = int(best[row["column"]] is row)
        path = folder / "hits" / "{column} {layers} {weights}.tsv".format(**row)
        if row["chosen"]:
            path.rename(path.with_name(f"{row['column']}.tsv"))
        else:
            path.unlink()


def predict_categories(run, out, folder, checkpoint):
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
    write_json(folder / "categories.json", found)


def call(command, *arguments):
    command.main([str(argument) for argument in arguments])


def baselines(out, entries):
    """Search with each of ``item-baseline``'s, in the columns where they belong."""
    data = out / "data-bin"
    for name, entry in entries.items():
        folder = out / "runs" / name / "seed0" / "trained"
        unable = entry["method"] == "features" and not has_features(out)
        if unable or (folder / "readouts.csv").exists():
            continue
        (folder / "hits").mkdir(parents=True, exist_ok=True)
        rows = []
        for options in entry.get("options", [""]):
            row = {"column": entry["column"], "layers": "", "weights": options}
            hits = folder / "hits" / f"{entry['column']}  {options}.tsv"
            asked = ["--data", data, "-k", K, "--out", hits, *options.split()]
            call(baseline, entry["method"], *asked)
            rows.append({**row, "dev": dev_score(read_hits(hits), out)})
        keep_best(folder, rows)
        write_csv(folder / "readouts.csv", rows)
