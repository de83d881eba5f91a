"""What a GPU does: training, embedding, search and loading, in under 25 minutes.

    make gpu                                             # OUT=gpu
    python examples/benchmark/gpu.py --out gpu --minutes 10 --stages train search

Each stage writes its JSON when it ends; a stage that would begin after ``--minutes`` is left out
and named, and within one no new row is begun then. Stages, the most wanted first:

train      updates of `item_base` and `item_large` at 224 pixels in bfloat16: products a second, the
           share of the card's matrix rate (MFU, see training.py), peak memory, and the hours of the
           paper's 100,000 updates of 512; batches of 64 to 1,024, with `--compile`, activation
           checkpointing, and without attention dropout (under which torch has a fused attention).
           A batch that does not fit has the rate 0. An update in which the processor waits for
           the card fails the stage.
embed      products a second of `item_base`, from a batch on the card to vectors in memory.
search     1.1 million products x 3 x 768, exact, compared by the card.
load       the data path, with as many workers as there are cores.
"""

import os
import shutil
import statistics
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import rivals
import torch
from bench import Report, alternate, parser
from loading import exhaust, loaders, write_data
from synthetic import write_embeddings
from training import matrix_rate, needed_flops, updates_of

from fairseq_item.commands.common import positive, run
from fairseq_item.models.hub_interface import ItemHubInterface
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import Embeddings
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import fused_search

PAPER_PRODUCTS = 100_000 * 512
PIXELS = 224
VARIANTS = {
    "": {},
    "--compile": {"compile": True},
    "--attention-dropout 0": {"attention_dropout": 0.0},
    "--attention-dropout 0 --compile": {"attention_dropout": 0.0, "compile": True},
    "--checkpoint-activations": {"checkpoint_activations": True},
}


def train(args, late):
    """Updates of every size, batch and variant: a :class:`Report`."""
    report, rate = Report("gpu-train", "products"), matrix_rate(args, "bfloat16")
    for size in args.sizes:
        for count in args.batches:
            for variant, changes in VARIANTS.items():
                if args.quick and "--compile" in variant:  # takes a minute
                    continue
                if late():
                    return report
                add_training(report, args, rate, size, count, variant, changes)
    return report


def add_training(report, args, rate, size, count, variant, changes):
    """One row; its rate is 0 where the batch does not fit."""
    cfg = rivals.config(size, "bfloat16", args.quick, **changes)
    name, group = f"{size} {variant}".strip(), f"{size} {count}"
    try:
        torch.manual_seed(1)
        model, batch = (
            rivals.item(cfg).to(args.device),
            rivals.masked_batch(cfg, count, args.device),
        )
        update = updates_of(model, batch, args.steps)
        update()  # compiles, and takes the memory
        with no_waiting(args.device):
            updates_of(model, batch, synchronise=False)()
        seconds = alternate({name: update}, args.repeats, warmup=0)[name]
    except torch.OutOfMemoryError:
        report.add(name, 0, [1.0], group, batch=count, GiB="does not fit")
        return
    flops = args.steps * needed_flops(cfg, batch) / statistics.median(seconds) / 1e9
    hours = PAPER_PRODUCTS / (args.steps * count / statistics.median(seconds)) / 3600
    more = {"batch": count, "MFU %": 100 * flops / rate, "hours of the paper's updates": hours}
    if args.device == "cuda":
        more["GiB"] = torch.cuda.max_memory_allocated() / (1 << 30)
        torch.cuda.reset_peak_memory_stats()
    report.add(name, args.steps * count, seconds, group, **more)


@contextmanager
def no_waiting(device):
    """Within, torch raises an error where the processor has to wait for the card."""
    if device != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def embed(args, late):
    """The model alone, from patches and tokens on the card: a :class:`Report`."""
    report, size = Report("gpu-embed", "products"), args.sizes[0]
    for count in args.batches:
        if late():
            break
        cfg = rivals.config(size, "bfloat16", args.quick)
        whole = SimpleNamespace(model=cfg)
        hub = ItemHubInterface(rivals.item(cfg), whole, *[None] * 5).to(args.device)
        inputs = rivals.batch(cfg, count, device=args.device)["net_input"]
        seconds = alternate({"": partial(hub.embed, **inputs)}, args.repeats)[""]
        report.add(size, count, seconds, f"{size} {count}", batch=count)
    return report


def search(args, late):
    """Exact search under either fusion: a :class:`Report`."""
    report = Report("gpu-search", "queries")
    with tempfile.TemporaryDirectory(dir=args.out) as folder:
        work = Path(folder)
        write_embeddings(work / "items", args.products, args.products // 3, args.dim, 1, "i")
        write_embeddings(work / "queries", args.queries, args.products // 3, args.dim, 2, "q")
        plain = {"transform": "none", "calibrate": "none", "dtype": "float16"}
        build_index([work / "items"], work / "index", **plain)
        shutil.rmtree(work / "items")
        index = ItemIndex.load(work / "index")
        queries = Embeddings.load(work / "queries").queries()
        for name, weights in {
            "sum": (0.5, 0, 0.5, 0), "sum of three": (0.5, 1, 0.5, 0), "max": (1, 1, 1, 0),
            "sum, lexical": (0.5, 0, 0.5, 1),
        }.items():  # fmt: skip
            if late():
                break
            how = {"fusion": name[:3], "weights": weights, "device": args.device}
            seconds = alternate({"": partial(fused_search, index, queries, 10, **how)}, 3)[""]
            report.add(name, args.queries, seconds, products=args.products, dim=args.dim)
    return report


def load(args, late):
    """Products a second of the loaders: a :class:`Report`."""
    report, count = Report("gpu-load", "products"), 48 if args.quick else 4000
    with tempfile.TemporaryDirectory(dir=args.out) as folder:
        write_data(Path(folder), count)
        for name, (make, _) in loaders(Path(folder)).items():
            if late():
                break
            seconds = alternate({"": lambda make=make: exhaust(make(1, args.workers))}, 2)[""]
            report.add(name, count, seconds, workers=args.workers)
    return report


STAGES = {"train": train, "embed": embed, "search": search, "load": load}


def main(argv=None):
    """Entry point."""
    p = parser(__doc__)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--minutes", type=positive, default=22, help="begin nothing after so many")
    p.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    p.add_argument("--sizes", nargs="+", default=["item_base", "item_large"])
    p.add_argument("--batches", nargs="+", type=positive, default=[64, 256, 512, 1024])
    p.add_argument("--products", type=positive, default=1_100_000, help="items of the index")
    p.add_argument("--queries", type=positive, default=8192)
    p.add_argument("--workers", type=positive, default=min(16, os.cpu_count() or 1))
    args = p.parse_args(argv)
    args.steps, args.dim = (10 if args.device == "cuda" else 1), 768
    if args.quick:
        args.sizes, args.batches, args.repeats, args.workers = ["item_tiny"], [4], 1, 1
        args.products, args.queries, args.dim = 600, 8, 32
    Path(args.out).mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * args.minutes
    for stage in args.stages:
        STAGES[stage](args, lambda: time.monotonic() > end).write(args.out)


if __name__ == "__main__":
    run(main)
