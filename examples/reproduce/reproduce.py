#!/usr/bin/env python3
"""Every row of the paper's two tables on one catalogue, over several seeds, from one command.

    python examples/reproduce/reproduce.py --size smoke --out reproduce
    python examples/reproduce/reproduce.py --catalog products.tsv --images images/ --out mine

Without a catalogue the synthetic one is drawn. What is done is not done again: a step is skipped
where the file that it writes is there, and a training goes on from its last checkpoint. To redo a
step, remove its file (or the folder); after a change of options take another OUT.
"""

import os
import shlex
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path

import tables
import yaml
from one_run import Run, baselines, train_and_measure

from fairseq_item.commands import binarize, bpe, demo, pack, queries, relist, split
from fairseq_item.commands.common import Parser, not_negative, positive, run, show
from fairseq_item.data.catalog import Columns, read_catalog
from fairseq_item.errors import InputError

HERE = Path(__file__).parent


def build_parser():
    p = Parser(__doc__)
    p.add_argument("--size", default="small", help="smoke, small or paper")
    p.add_argument("--settings", default=str(HERE / "runs.yaml"), help="YAML file")
    p.add_argument("--catalog", help="catalogue file; without it the synthetic one is drawn")
    p.add_argument("--images", help="its image root: a folder or an uncompressed tar")
    p.add_argument("--out", default="reproduce", help="folder for everything")
    p.add_argument("--only", nargs="+", metavar="NAME", help="models and ablations to run")
    p.add_argument("--seeds", type=not_negative, nargs="+", help="default: those of the size")
    p.add_argument("--ablations", action="store_true", help="run the ablations, too")
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
    seeds = args.seeds or size["seeds"]
    runs = plan(settings, size, seeds, args.only, args.ablations)
    everything = plan(settings, size, sorted({*size["seeds"], *seeds}), None, True)
    out.mkdir(parents=True, exist_ok=True)
    if not args.tables_only:
        prepare(out, settings["queries"], size, args.catalog, args.images)
        baselines(out)
        for _ in in_turn(runs, out, settings["indexes"], args.jobs):
            tables.write(out, settings, everything)
    tables.write(out, settings, everything)
    if rows := tables.read_csv(out / "search.csv"):
        try:
            import plots
        except ImportError:  # matplotlib is an extra
            pass
        else:
            plots.write(out, settings, everything, rows)
    show(f"{out}/results.md and the plots and CSV files beside it")


def read_settings(path):
    """The settings as a dict.

    Raises:
        InputError: the file is missing, is not YAML, or lacks a part.
    """
    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise InputError(f"{path} is not there; name a file such as runs.yaml") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    missing = {"common", "sizes", "queries", "models", "ablations", "indexes"} - settings.keys()
    if missing:
        raise InputError(f"{path} lacks {', '.join(sorted(missing))}; see {HERE / 'runs.yaml'}")
    return settings


def plan(settings, size, seeds, only=None, ablations=False):
    """The runs, seed by seed, so that a table of one seed is there early: list of ``Run``.

    Raises:
        InputError: a name in ``only`` is not known.
    """
    models, changes = settings["models"], settings["ablations"]
    known = [*models, *changes]
    if unknown := sorted(set(only or ()) - set(known)):
        raise InputError(f"there is no model {', '.join(unknown)}; choose of {', '.join(known)}")
    entries = {name: (name, entry) for name, entry in models.items()}
    for name, change in changes.items() if ablations else ():
        plain = {**models[change["of"]], "classifier": None, "detail": False, "untrained": False}
        entries[name] = (change["of"], {**plain, **change, "ablation": True})
    return [
        Run(name, base, entry, seed, seed == size["seeds"][0], settings["common"], size)
        for ablated in (False, True)
        for seed in seeds
        for name, (base, entry) in entries.items()
        if (name in changes) == ablated and (only is None or name in only)
    ]


def in_turn(runs, out, indexes, jobs):
    """Do the runs, ``jobs`` at a time; yields whenever one is done. All are tried.

    Raises:
        InputError: some failed, with what each said.
    """
    failed = []
    with nullcontext(map) if jobs == 1 else processes(jobs) as map_runs:
        for error in map_runs(partial(attempt, out=out, indexes=indexes), runs):
            failed += error
            yield
    if failed:
        raise InputError("; ".join(failed))


def attempt(run, out, indexes):
    """Do a run: an empty list, or one of what went wrong."""
    try:
        train_and_measure(run, out, indexes)
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


def prepare(out, amounts, size, catalog=None, images=None):
    """Make ``data-bin``, ``queries`` and ``unlike``: one catalogue for all runs.

    As in the paper, queries are listings that the index does not hold; their products' other
    listings are indexed, and trained on like the rest of the index, which is split 90/5/5.
    ``unlike`` are queries changed only in ways that no second view is.
    """

    def step(made, command, *arguments):
        if not (out / made).exists():
            command.main([str(argument) for argument in arguments])

    if catalog is None:
        catalog, images = out / "catalog" / "products.tsv", out / "catalog" / "images"
        many = ["--products", size["products"]]
        step("catalog/products.tsv", demo, "--out", out / "catalog", *many)
    relisted = ["--image-root", images, "--fraction", amounts["relisted"]]
    if "product" in read_catalog(catalog, Columns()).fieldnames:
        command, how = queries, ["--fraction", amounts["groups"]]
        index, query_images = out / "queries" / "index.tsv", images
    else:
        command, how, index, query_images = relist, relisted, catalog, out / "queries" / "images"
    step("queries/meta.json", command, catalog, "--out", out / "queries", *how)
    unlike = [*relisted, *shlex.split(amounts["unlike"])]
    step("unlike/meta.json", relist, index, "--out", out / "unlike", *unlike)
    splits, data = out / "splits", out / "data-bin"
    step("splits/test.tsv", split, index, "--out", splits)
    tokens = ["--out", data / "title", "--vocab-size", size["vocabulary"]]
    step("data-bin/title/dict.txt", bpe, splits / "train.tsv", *tokens)
    sources = {name: (splits / f"{name}.tsv", images) for name in ("train", "valid", "test")}
    sources["query"] = (out / "queries" / "query.tsv", query_images)
    sources["unlike"] = (out / "unlike" / "query.tsv", out / "unlike" / "images")
    for name, (rows, root) in sources.items():
        where = ["--image-root", root, "--out", data, "--split", name]
        pixels = ["--image-size", size["image-size"]]
        step(f"data-bin/image/{name}.json", pack, rows, *where, *pixels)
    step("prepared", binarize, data)
    (out / "prepared").touch()  # titles and labels, several files


if __name__ == "__main__":
    run(main)
