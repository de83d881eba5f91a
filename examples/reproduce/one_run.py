"""One run of a table: train, search, predict leaf categories, judge the modalities."""

import shlex
from pathlib import Path

from plan import HERE, filled

TRAIN, BALANCE = "fairseq_cli.train", "fairseq_item.commands.balance"
PLUGIN = HERE.parents[1] / "fairseq_item"
CURVE_POINTS = 5


def train_and_measure(steps, run, out, settings, settings_path, data):
    """Do all steps of a run.

    Args:
        steps: ``Steps`` of the run's folder.
        run: ``plan.Run``.
        out: folder of ``reproduce.py``.
        settings, settings_path: what ``plan.read_settings`` read, and from where.
        data: digest of the prepared data.

    Raises:
        InputError: a step failed.
    """
    entry, updates = run.settings, run.fill["updates"]
    model = steps.folder / "model"
    curve = run.first and not run.ablation
    command = [TRAIN, out / "data-bin", "--user-dir", PLUGIN, *run.options]
    command += ["--seed", run.seed, "--save-dir", model]
    if curve and updates:
        command += ["--save-interval-updates", max(1, updates // CURVE_POINTS)]
    trained = steps.run("train", command, ["model"], data)

    checkpoint = model / f"checkpoint_{entry.get('checkpoint', 'last')}.pt"
    command = [HERE / "measure.py", out, steps.folder, "--settings", settings_path]
    command += ["--checkpoint", checkpoint, "--part", entry.get("part", "fused")]
    command += ["--untrained", run.seed] if entry.get("untrained") else []
    command += ["--curve"] if curve else []
    measured = steps.run("measure", command, ["scores.json"], trained)
    if entry["classifier"] != "none":
        categories(steps, run, out, settings, checkpoint, trained)
    if entry.get("balance"):
        balance(steps, out, settings, checkpoint, measured)


def categories(steps, run, out, settings, checkpoint, digest):
    """Leaf-category prediction, after fine-tuning where the model was trained on something else."""
    if run.settings["classifier"] == "finetuned":
        fill = {**run.fill, **finetune_schedule(run.fill, out / "data-bin")}
        fill["arch"] = run.options[run.options.index("--arch") + 1]
        options = shlex.split(filled(settings["finetune"], fill, "finetune"))
        model = steps.folder / "finetune"
        command = [TRAIN, out / "data-bin", "--user-dir", PLUGIN, *options, *run.sizes]
        command += ["--finetune-from-model", checkpoint, "--seed", run.seed, "--save-dir", model]
        digest = steps.run("finetune", command, ["finetune"], digest)
        checkpoint = model / "checkpoint_best.pt"
    command = [HERE / "categories.py", out, steps.folder, "--checkpoint", checkpoint]
    steps.run("predict", command, ["categories.json"], digest)


def finetune_schedule(fill, data_bin):
    """Updates of the fine-tuning, and of its warm-up: 6% of them (the paper's appendix B)."""
    items = Path(data_bin, "items").glob("train*.tsv")
    rows = sum(path.read_text(encoding="utf-8").count("\n") - 1 for path in items)
    updates = fill["finetune_epochs"] * -(-rows // fill["finetune_batch"])
    return {"finetune_updates": updates, "finetune_warmup": updates * 6 // 100}


def balance(steps, out, settings, checkpoint, digest):
    """What each modality is worth to the model: ``item-balance`` under the last index."""
    index = steps.folder / "index" / list(settings["indexes"])[-1]
    command = [BALANCE, index, "--queries", steps.folder / "embeddings" / "query", "-k", 10]
    command += ["--truth", out / "queries" / "truth.tsv", "--checkpoint", checkpoint]
    command += ["--data", out / "data-bin", "--split", "query", "--out", steps.folder / "balance"]
    steps.run("balance", command, ["balance"], digest)
