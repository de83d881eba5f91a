"""Growth: time and memory of each stage, from a thousand products to a hundred thousand.

    python examples/benchmark/growth.py --out results

Each stage is the real command in a process of its own, with one thread. Time is processor time,
which other work on the machine changes least; memory is the most that the process held, mapped
files included. Images are 32 pixels, from a pool of JPEGs; the model is one untrained layer of 64:
what grows does not depend on their size. "load" is one epoch of training batches. "search" asks
the same queries at every size.

An exponent is that of a n^b + c through the smallest and the two largest sizes, so that the start
of a process does not hide growth (of a n^b through the two largest, where it is all that the others
show): 1 is linear, 0 is constant.
"""

import math
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from bench import ROOT, measure, parser, write
from synthetic import write_catalog, write_photos

from fairseq_item.commands.common import positive, run
from fairseq_item.files import atomic_path

STREAMING = ("pack", "binarise", "load", "embed")
SIDE, PATCH = 32, 8
QUERIES = 200
WORDS = (
    "mug",
    "pan",
    "hat",
    "shoe",
    "bag",
    "lamp",
    "red",
    "blue",
    "green",
    "black",
    "small",
    "old",
)

MODEL = (
    f"--task item_pretraining --criterion item_pretraining --arch item_tiny --encoder-layers 1"
    f" --encoder-embed-dim 64 --encoder-attention-heads 2 --image-size {SIDE} --patch-size {PATCH}"
).split()
TRAINING = (
    f"--user-dir {ROOT}/fairseq_item --optimizer fused_adamw --lr 1e-3 --batch-size 64 --cpu"
    f" --max-update 1 --num-workers 0 --disable-validation --no-epoch-checkpoints"
).split()


def run_stages(work, count):
    """All stages with so many products: stage -> (seconds of CPU, MiB).

    The vocabulary, the model and the queries are those of the first call for a ``work``.
    """
    found, folder = {}, work / str(count)

    def stage(name, module, *argv):
        # One thread: those that wait for work keep a core busy, which would count as work.
        usage = measure(module, *argv, OMP_NUM_THREADS="1")
        found[name] = usage.cpu, usage.memory
        took = f"{usage.cpu:.1f} s of CPU in {usage.seconds:.1f} s, {usage.memory:.0f} MiB"
        sys.stderr.write(f"{count} products: {name}: {took}\n")

    photos, rng = write_photos(folder / "images", 64, SIDE, SIDE), np.random.default_rng(0)
    titles = (f"{' '.join(rng.choice(WORDS, 3))} {rng.integers(10_000)}" for _ in range(count))
    catalog, data = write_catalog(folder / "products.tsv", titles, photos), folder / "data"
    where = ["--image-root", folder / "images", "--out", data, "--split", "train"]
    pixels = ["--image-size", SIDE, "--patch-size", PATCH, "--num-workers", 1]
    stage("pack", command("pack"), catalog, *where, *pixels)
    if not (work / "title").exists():
        measure(command("bpe"), catalog, "--out", work / "title", "--vocab-size", 400)
    shutil.copytree(work / "title", data / "title", dirs_exist_ok=True)
    stage("binarise", command("binarize"), data)
    stage("load", "epoch", data, *MODEL)
    if not (work / "model").exists():
        measure("fairseq_cli.train", data, "--save-dir", work / "model", *MODEL, *TRAINING)
    model = ["--checkpoint", work / "model" / "checkpoint_last.pt", "--device", "cpu"]
    embeddings, split = folder / "embeddings", ["--data", data, "--splits", "train"]
    stage("embed", command("embed"), *model, *split, "--out", embeddings)
    if not (work / "queries").exists():
        write_queries(embeddings, work / "queries")
    stage("index", command("index"), embeddings, "--out", folder / "index")
    asked = ["--queries", work / "queries", "--out", folder / "hits.tsv"]
    stage("search", command("search"), folder / "index", *asked)
    shutil.rmtree(folder)
    return found


def command(name):
    """The module of a command."""
    return f"fairseq_item.commands.{name}"


def write_queries(embeddings, folder):
    """The first embeddings as queries."""
    from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter

    items = Embeddings.load(embeddings)
    writer = EmbeddingWriter(folder, [{"id": item} for item in items.ids[:QUERIES]], items.dim)
    writer.write(0, *(items.rows(name, 0, QUERIES) for name in EMBEDDINGS))
    writer.finish()


def exponent(sizes, values):
    """b of a n^b + c through the smallest and the two largest sizes.

    Where the smaller sizes tell nothing but the start of a process, or there are two sizes only: of
    a n^b through the two largest.
    """
    (n1, n2, n3), (v1, v2, v3) = ([x[0], *x[-2:]] for x in (sizes, values))
    if len(sizes) == 2 or v2 < 1.25 * v1 or v3 <= v2:
        return math.log(v3 / v2) / math.log(n3 / n2)
    low, high = 0.01, 5.0
    for _ in range(40):
        middle = (low + high) / 2
        ratio = (n3**middle - n1**middle) / (n2**middle - n1**middle)
        low, high = (middle, high) if ratio < (v3 - v1) / (v2 - v1) else (low, middle)
    return low


def table(sizes, cpu, memory):
    """Lines of cells: seconds and MiB at each size, and how they grow."""
    header = ["growth"]
    for unit in ("s", "MiB"):
        header += [f"{count:,}: {unit}" for count in sizes] + [f"{unit}: exponent"]
    lines = [[*header, "bytes a product"]]
    for stage in cpu:
        cells = [stage]
        for values, form in ((cpu[stage], "{:.1f}"), (memory[stage], "{:.0f}")):
            cells += [form.format(v) for v in values] + [f"{exponent(sizes, values):.2f}"]
        more = (memory[stage][-1] - memory[stage][0]) * (1 << 20) / (sizes[-1] - sizes[0])
        lines.append([*cells, f"{more:,.0f}"])
    return lines


def plot(sizes, panels, path):
    """Log-log panels, title -> stage -> values; a line a stage, and the slope of linear growth."""
    try:
        import matplotlib
    except ImportError:
        sys.stderr.write("matplotlib is not installed: no growth.png\n")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, grid = plt.subplots(1, len(panels), figsize=(10, 4.2), layout="constrained")
    for axes, (title, stages) in zip(grid, panels.items()):
        for stage, values in stages.items():
            style = "-" if stage in STREAMING else "--"
            axes.loglog(sizes, values, style, marker="o", label=stage)
        values = [value for of_stage in stages.values() for value in of_stage]
        least, most = min(values) / 1.5, max(values) * 1.5
        linear = [least * count / sizes[0] for count in sizes]
        axes.loglog(sizes, linear, ":", color="grey", label="linear")
        axes.set(title=title, xlabel="products", ylim=(least, most))
        axes.grid(alpha=0.3, which="both")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside right upper")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    plt.close(figure)


def main(argv=None):
    p = parser(__doc__)
    p.add_argument("--sizes", type=positive, nargs="+", default=[1000, 10_000, 100_000])
    args = p.parse_args(argv)
    sizes = sorted(set([1000, 3000] if args.quick else args.sizes))
    if len(sizes) < 2:
        p.error("--sizes needs at least two of them")
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as work:
        measured = [run_stages(Path(work), count) for count in sizes]
    cpu, memory = ({stage: [of[stage][c] for of in measured] for stage in measured[0]}
                   for c in (0, 1))  # fmt: skip
    result = {"sizes": sizes, "cpu_seconds": cpu, "memory_mib": memory}
    write(out, "growth", result, table(sizes, cpu, memory))
    plot(sizes, {"CPU seconds": cpu, "peak memory, MiB": memory}, out / "growth.png")


if __name__ == "__main__":
    run(main)
