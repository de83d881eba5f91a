"""Growth: time and memory of each stage, from a thousand products to a hundred thousand.

    python examples/benchmark/growth.py --out results

Each stage is the real command in a process of its own, with one thread. Time is processor time,
which other work on the machine changes least; memory is the most that the process held, mapped
files included. Images are 32 pixels, drawn from a pool of JPEGs; the model is one untrained layer
of 64: what grows does not depend on their size. "load" is one epoch of training batches. "search"
asks the same queries at every size.

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
from PIL import Image

from fairseq_item.files import atomic_path

STAGES = ("pack", "binarise", "load", "embed", "index", "search")
STREAMING = STAGES[:4]
SIDE, PATCH = 32, 8
POOL = 64
QUERIES = 200
KINDS = ("mug", "pan", "hat", "shoe", "bag", "lamp", "desk", "coat")
COLOURS = ("red", "blue", "green", "black", "white", "small", "large", "old")

MODEL = (
    f"--task item_pretraining --criterion item_pretraining --arch item_tiny --encoder-layers 1"
    f" --encoder-embed-dim 64 --encoder-attention-heads 2 --image-size {SIDE} --patch-size {PATCH}"
).split()

# Reads every batch of one epoch, as training does.
LOAD = """
import sys
import fairseq_item
from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
fairseq_item.register()
parser = options.get_training_parser("item_pretraining")
cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, sys.argv[1:]))
task = tasks.setup_task(cfg.task)
task.load_dataset("train")
batches = task.get_batch_iterator(task.dataset("train"), max_sentences=128, num_workers=0)
count = sum(len(batch["id"]) for batch in batches.next_epoch_itr(shuffle=True))
assert count == len(task.dataset("train")), count
"""


def write_catalog(folder, count):
    """``products.tsv`` and ``images/``: a pool of drawn JPEGs that many products share."""
    rng = np.random.default_rng(0)
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    for number in range(POOL):
        blocks = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((SIDE, SIDE)).save(images / f"{number}.jpg")
    with open(folder / "products.tsv", "w", encoding="utf-8") as out:
        out.write("id\ttitle\timage\n")
        for i in range(count):
            kind, first, second, model = rng.integers((8, 8, 8, 10_000))
            title = f"{COLOURS[first]} {COLOURS[second]} {KINDS[kind]} {model}"
            out.write(f"p{i}\t{title}\t{i % POOL}.jpg\n")
    return folder / "products.tsv", images


class Growth:
    """One run over all sizes; ``measured``: stage -> list of (seconds of CPU, MiB)."""

    def __init__(self, work):
        self.work, self.measured = work, {stage: [] for stage in STAGES}
        (work / "load.py").write_text(LOAD, encoding="utf-8")

    def size(self, count):
        """All stages with so many products."""
        folder, work = self.work / str(count), self.work
        catalog, images = write_catalog(folder, count)
        data, found = folder / "data", folder / "embeddings"
        pixels = ["--image-size", SIDE, "--patch-size", PATCH]
        where = ["--image-root", images, "--out", data, "--split", "train", "--workers", 1]
        self.stage("pack", command("pack"), catalog, *where, *pixels)
        if not (work / "title").exists():  # the same vocabulary at every size
            measure(command("bpe"), catalog, "--out", work / "title", "--vocab-size", 400)
        shutil.copytree(work / "title", data / "title", dirs_exist_ok=True)
        self.stage("binarise", command("binarize"), data)
        self.stage("load", work / "load.py", data, *MODEL)
        if not (work / "model").exists():
            self.train(data)
        model = ["--checkpoint", work / "model" / "checkpoint_last.pt", "--device", "cpu"]
        data = ["--data", data, "--split", "train"]
        self.stage("embed", command("embed"), *model, *data, "--out", found)
        if not (work / "queries").exists():
            self.queries(found)
        self.stage("index", command("index"), found, "--out", folder / "index")
        asked = ["--queries", work / "queries", "--out", folder / "hits.tsv"]
        self.stage("search", command("search"), folder / "index", *asked)
        shutil.rmtree(folder)

    def stage(self, name, *argv):
        # One thread: those that wait for work keep a core busy, which would count as work.
        usage = measure(*argv, env={"OMP_NUM_THREADS": "1"})
        self.measured[name].append((usage.cpu, usage.memory))
        sys.stderr.write(
            f"{name}: {usage.cpu:.1f} s of CPU in {usage.seconds:.1f} s, {usage.memory:.0f} MiB\n"
        )

    def train(self, data):
        """A model after one update: a checkpoint to embed with."""
        options = "--optimizer fused_adamw --lr 1e-3 --batch-size 64 --max-update 1 --cpu"
        options += " --num-workers 0 --disable-validation --no-epoch-checkpoints"
        where = ["--user-dir", ROOT / "fairseq_item", "--save-dir", self.work / "model"]
        measure("fairseq_cli.train", data, *where, *MODEL, *options.split())

    def queries(self, embeddings):
        """The first embeddings, as the queries of all sizes."""
        from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter

        items = Embeddings.load(embeddings)
        named = [{"id": name} for name in items.ids[:QUERIES]]
        writer = EmbeddingWriter(self.work / "queries", named, items.dim)
        writer.write(0, *(items.rows(part, 0, QUERIES) for part in EMBEDDINGS))
        writer.finish()


def command(name):
    """The module of a command."""
    return f"fairseq_item.commands.{name}"


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


def table(sizes, measured):
    """Markdown: seconds and MiB at each size, and how they grow."""
    header = ["growth"]
    for unit in ("s", "MiB"):
        header += [f"{count:,}: {unit}" for count in sizes] + [f"{unit}: exponent"]
    header.append("bytes a product")
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for stage, values in measured.items():
        cells = [stage]
        for column, form in ((0, "{:.1f}"), (1, "{:.0f}")):
            of = [value[column] for value in values]
            cells += [form.format(v) for v in of] + [f"{exponent(sizes, of):.2f}"]
        more = (values[-1][1] - values[0][1]) * (1 << 20) / (sizes[-1] - sizes[0])
        lines.append(f"| {' | '.join([*cells, f'{more:,.0f}'])} |")
    return "\n".join(lines) + "\n"


def plot(sizes, measured, path):
    """Two log-log panels, a line a stage, and the slope of linear growth."""
    try:
        import matplotlib
    except ImportError:
        sys.stderr.write("matplotlib is not installed: no growth.png\n")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for column, (axes, title) in enumerate(zip(panels, ("CPU seconds", "peak memory, MiB"))):
        for stage, values in measured.items():
            of = [value[column] for value in values]
            style = "-" if stage in STREAMING else "--"
            axes.loglog(sizes, of, style, marker="o", label=stage)
        values = [value[column] for stage in measured.values() for value in stage]
        least, most = min(values) / 1.5, max(values) * 1.5
        linear = [least * count / sizes[0] for count in sizes]
        axes.loglog(sizes, linear, ":", color="grey", label="linear")
        axes.set_ylim(least, most)
        axes.set(title=title, xlabel="products")
        axes.grid(alpha=0.3, which="both")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    plt.close(figure)


def main():
    p = parser(__doc__)
    p.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    args = p.parse_args()
    sizes = sorted(set([1000, 3000] if args.quick else args.sizes))
    if len(sizes) < 2:
        p.error("--sizes needs at least two of them")
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as work:
        growth = Growth(Path(work))
        for count in sizes:
            growth.size(count)
    cpu, memory = ({s: [v[c] for v in values] for s, values in growth.measured.items()}
                   for c in (0, 1))  # fmt: skip
    result = {"sizes": sizes, "cpu_seconds": cpu, "memory_mib": memory}
    write(out, "growth", result, table(sizes, growth.measured))
    plot(sizes, growth.measured, out / "growth.png")


if __name__ == "__main__":
    main()
