"""One run of the table: train, then read the model in every way."""

import io
import json
import logging
import time
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from readouts import INDEXED, measure, read_csv, write_csv, write_json

from fairseq_item import recipes
from fairseq_item.commands import predict

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
            # fairseq would save, but not search, at one that is an epoch's end, too.
            for what in ("save", "validate"):
                found[f"{what}-interval-updates"] = max(1, updates // points)
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
            predict.main([*map(str, model), "--splits", split, "--out", str(where)])
        found[split] = json.loads(printed.getvalue().splitlines()[-1])
    write_json(folder / "categories.json", found)
