#!/usr/bin/env python3
"""Every row of the paper's two tables on one catalogue, over several seeds, from one command.

    python examples/reproduce/reproduce.py --size smoke --out reproduce
    python examples/reproduce/reproduce.py --catalog products.tsv --images images/ --out mine

Without a catalogue the demo catalogue is drawn. Called again, it goes on where it was cut off, and
does nothing twice. OUT/results.md holds the tables and OUT/*.csv their numbers; they are written
anew whenever a model is done.
"""

import os
import threading
from functools import partial
from pathlib import Path

import tables
from one_run import train_and_measure
from plan import HERE, plan, read_settings, size_of
from prepare import prepare
from steps import Steps, in_parallel

from fairseq_item.commands.common import Parser, run
from fairseq_item.errors import InputError


def build_parser():
    p = Parser(__doc__)
    p.add_argument("--size", default="small", help="size of the settings: smoke, small or paper")
    p.add_argument("--settings", default=str(HERE / "settings.yaml"), help="YAML file")
    p.add_argument("--catalog", help="catalogue file; without it the demo catalogue is drawn")
    p.add_argument("--images", help="its image root: a folder or an uncompressed tar")
    p.add_argument("--out", default="reproduce", help="folder for everything")
    p.add_argument("--only", nargs="+", metavar="NAME", help="models and ablations to run")
    p.add_argument("--seeds", type=int, nargs="+", help="default: those of the size")
    p.add_argument("--ablations", action="store_true", help="run the ablations, too")
    p.add_argument("--ablation-seeds", type=int, nargs="+", help="default: the seeds")
    p.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    p.add_argument("--threads", type=int, help="of each; default: the cores over the jobs")
    p.add_argument("--tables-only", action="store_true", help="write the tables of what is done")
    return p


def main(argv=None):
    args = build_parser().parse_args(argv)
    if (args.catalog is None) != (args.images is None):
        raise InputError("--catalog and --images go together: a table and its images")
    settings = read_settings(args.settings)
    size = size_of(settings, args.size)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    runs = plan(settings, args.size, args.only, args.seeds, args.ablations, args.ablation_seeds)
    # Whatever is done already has its place in the tables, also what is not asked for now.
    seeds = sorted({*size["seeds"], *(r.seed for r in runs)})
    everything = plan(settings, args.size, seeds=seeds, ablations=True)
    if not args.tables_only:
        train_all(args, settings, size, out, runs, everything)
    tables.write(out, settings, everything)
    print(f"{out}/results.md and the plots and CSV files beside it")


def train_all(args, settings, size, out, runs, everything):
    """Prepare the data, then train and measure every run."""
    cores = os.cpu_count() or 1
    # Read by torch and numpy when they are imported, which the steps have still before them.
    os.environ["OMP_NUM_THREADS"] = str(args.threads or max(1, cores // args.jobs))
    data = prepare(Steps(out), settings, size, args.catalog, args.images, workers=cores)
    floors = [HERE / "measure.py", out, out / "floors", "--settings", args.settings]
    Steps(out).run("floors", floors, ["floors"], data)
    lock = threading.Lock()

    def one(run_):
        steps = Steps(out / "runs" / run_.folder)
        train_and_measure(steps, run_, out, settings, args.settings, data)
        with lock:
            tables.write(out, settings, everything)

    in_parallel({str(r.folder): partial(one, r) for r in runs}, args.jobs)


if __name__ == "__main__":
    run(main)
