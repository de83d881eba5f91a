"""What a product costs in each stage, and what 1.1 million, 25 million and a billion of them would.

    make scale                                            # OUT=scale
    python examples/benchmark/scale.py --out scale --sizes 2000 10000 50000

Each stage is the real command in a process of its own, with one thread, at three numbers of
products. Time is processor time; memory the most that the process held, mapped files included;
bytes what it wrote. Images are 32 pixels and the model is one layer of 64 values: what is told
here is how a stage grows, and what it costs besides pixels and model. ``--photos`` photos of about
500 pixels are packed as well, at 256, for what a real one costs; what follows embedding runs on
drawn embeddings of 768 values, too ("wide").

A stage that grows linearly costs the same for each further product: between the two smaller sizes
("first") and between the two larger ones ("further"). Training is one epoch. Exact search asks
the same 200 queries of all sizes, and "duplicates" looks for them with --compare near.

``scale.json`` holds all that; see scale_plan.py for what is made of it. See scale_training.py for
``training-processes.json``: training by 1, 2 and 4 processes over gloo.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scale_plan
import scale_training
from bench import measure, parser, write
from growth import MODEL, PATCH, SIDE, TRAINING, WORDS, command, write_queries
from synthetic import write_photos

from fairseq_item.commands.common import positive, run
from fairseq_item.data.tsv import read_table
from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter
from fairseq_item.search.lexical import LexicalIndex

STAGES = (
    "import", "pack", "binarise", "train", "embed", "index", "lexical", "search", "duplicates",
)  # fmt: skip


def write_feed(path, count, photos):
    """A feed in Google's layout: two listings a product, under its GTIN."""
    rng = np.random.default_rng(0)
    with open(path, "w", encoding="utf-8") as out:
        out.write("id\ttitle\timage_link\tgtin\n")
        for i in range(count):
            product = i // 2
            title = f"{' '.join(rng.choice(WORDS, 3))} {product}"
            image = f"https://shop.example/{photos[i % len(photos)].name}"
            out.write(f"p{i}\t{title}\t{image}\t{_gtin(product)}\n")


def _gtin(number):
    """Thirteen digits with the check digit that they must have."""
    digits = f"4{number:011}"
    total = sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits))
    return f"{digits}{-total % 10}"


class Measured:
    """The stages of one number of products, in a folder that is removed at the end.

    Args:
        work: folder of all sizes: vocabulary, model and queries are those of the first one.
        count: products.
        trained: whether there is a model; else embeddings are drawn.

    Attributes:
        found: stage -> dict of ``cpu`` (seconds), ``memory`` (MiB) and ``bytes``.
    """

    def __init__(self, work, count, trained=True):
        self.work, self.count, self.found = work, count, {}
        self.folder, self.trained = work / str(count), trained
        self.photos = write_photos(self.folder / "images", 64, SIDE, SIDE)
        self.data, self.items = self.folder / "data", self.folder / "embeddings"

    def stage(self, name, module, *argv, wrote=()):
        """Measure a module of Python."""
        usage = measure(module, *argv, OMP_NUM_THREADS="1")
        self._note(name, usage.cpu, usage.memory, wrote)

    def _note(self, name, cpu, memory, wrote):
        size = sum(bytes_of(self.folder / path) for path in wrote)
        self.found[name] = {"cpu": cpu, "memory": memory, "bytes": size}
        sys.stderr.write(f"{self.count} products: {name}: {cpu:.1f} s of CPU, {memory:.0f} MiB\n")

    def run(self):
        """All stages: ``found``."""
        self.prepare()
        if self.trained:
            self.model()
        else:
            draw_embeddings(self.items, self.count, 16)
        self.retrieve()
        shutil.rmtree(self.folder)
        return self.found

    def prepare(self):
        """From a feed to a data-bin."""
        feed, catalog, images = (self.folder / name for name in ("feed.txt", "items.tsv", "images"))
        write_feed(feed, self.count, self.photos)
        local = ["--out", catalog, "--image-root", images]
        self.stage("import", command("import_"), feed, *local, wrote=["items.tsv"])
        where = ["--image-root", images, "--out", self.data, "--split", "train"]
        pixels = ["--image-size", SIDE, "--patch-size", PATCH, "--num-workers", 1]
        self.stage("pack", command("pack"), catalog, *where, *pixels, wrote=["data"])
        if not (self.work / "title").exists():
            measure(command("bpe"), catalog, "--out", self.work / "title", "--vocab-size", 400)
        shutil.copytree(self.work / "title", self.data / "title", dirs_exist_ok=True)
        self.stage("binarise", command("binarize"), self.data, wrote=["data/title"])

    def model(self):
        """An epoch of training, and embeddings of the model of the smallest size."""
        saved = self.folder / "model"
        options = ["1000000" if word == "1" else word for word in TRAINING]
        epoch = ["--save-dir", saved, *MODEL, *options, "--max-epoch", 1]
        self.stage("train", "fairseq_cli.train", self.data, *epoch, wrote=["model"])
        if not (self.work / "model").exists():
            shutil.copytree(saved, self.work / "model")
        known = ["--checkpoint", self.work / "model" / "checkpoint_last.pt", "--device", "cpu"]
        split = ["--data", self.data, "--splits", "train", "--dtype", "float16"]
        out = ["--out", self.items]
        self.stage("embed", command("embed"), *known, *split, *out, wrote=["embeddings"])

    def retrieve(self):
        """From embeddings to answers and groups."""
        index, groups = self.folder / "index", self.folder / "groups.csv"
        fit = ["--fit-groups", "product", "--dtype", "float16"]
        self.stage("index", command("index"), self.items, "--out", index, *fit, wrote=["index"])
        (self.folder / "words").mkdir()
        start = time.process_time()
        titles = read_table(index / "items.tsv").values("title")
        LexicalIndex.build(titles, self.folder / "words")
        self._note("lexical", time.process_time() - start, 0, ["words"])
        if not (self.work / "queries").exists():
            write_queries(self.items, self.work / "queries")
        asked = ["--queries", self.work / "queries", "--out", self.folder / "hits.tsv"]
        self.stage("search", command("search"), index, *asked, wrote=["hits.tsv"])
        parts = ["--compare", "near", "--parts", self.folder / "parts", "--num-workers", 1]
        asked = [index, "--out", groups, *parts]
        self.stage("duplicates", command("duplicates"), *asked, wrote=["parts"])


def draw_embeddings(folder, count, dim):
    """Embeddings of two listings a product, without a model."""
    rng = np.random.default_rng(1)
    titles = [f"{' '.join(rng.choice(WORDS, 3))} {i // 2}" for i in range(count)]
    items = [
        {"id": f"p{i}", "title": title, "product": str(i // 2)} for i, title in enumerate(titles)
    ]
    centres = rng.standard_normal((count // 2 + 1, dim), np.float32)[np.arange(count) // 2]
    writer = EmbeddingWriter(folder, items, dim, "float16")
    rows = (rng.standard_normal(centres.shape, np.float32) for _ in EMBEDDINGS)
    writer.write(0, *(centres + np.float32(0.6) * part for part in rows))
    writer.finish()


def bytes_of(path):
    """Bytes of a file, or of all below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def wide(work, counts, dim):
    """What follows embedding, with embeddings of ``dim`` values: a list as of all stages."""
    found = []
    for count in counts:
        measured = Measured(work / f"wide-{count}", count)
        draw_embeddings(measured.items, count, dim)
        measured.retrieve()
        shutil.rmtree(measured.folder)
        found.append(measured.found)
    return found


def real_photos(work, count):
    """CPU-seconds and bytes of a photo of about 500 pixels packed at 256, of either codec."""
    photos, found = write_photos(work / "photos", count), {}
    feed, catalog = work / "feed.txt", work / "items.tsv"
    write_feed(feed, count, photos)
    measure(command("import_"), feed, "--out", catalog, "--image-root", work / "photos")
    for codec in ("jpeg", "patches"):
        out = ["--image-root", work / "photos", "--out", work / codec, "--split", "train"]
        how = ["--image-size", 256, "--codec", codec, "--num-workers", 1]
        usage = measure(command("pack"), catalog, *out, *how, OMP_NUM_THREADS="1")
        size = bytes_of(work / codec / "image")
        found[codec] = {"cpu": usage.cpu / count, "bytes": size / count}
    return found


def keep(folder, path):
    """Put a folder in the place of what an earlier run left."""
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(folder, path)


def table(sizes, stages):
    """Lines of cells: what further products cost, and whether that stays the same."""
    header = ["stage", *(f"{count:,}: CPU s" for count in sizes)]
    header += ["CPU s a million, first", "further", "bytes a product", "MiB"]
    lines = [header]
    for name in stages[0]:
        cpu = [of[name]["cpu"] for of in stages]
        slopes = [scale_plan.slope(sizes, cpu, end) for end in (1, len(sizes) - 1)]
        size = scale_plan.slope(sizes, [of[name]["bytes"] for of in stages], len(sizes) - 1)
        cells = [name, *(f"{value:.1f}" for value in cpu)]
        cells += [f"{1e6 * value:,.0f}" for value in slopes]
        lines.append([*cells, f"{size:,.0f}", f"{stages[-1][name]['memory']:.0f}"])
    return lines


def main(argv=None):
    """Entry point."""
    p = parser(__doc__)
    p.add_argument("--sizes", type=positive, nargs="+", default=[2000, 10_000, 50_000])
    p.add_argument("--photos", type=positive, default=500, help="real ones that are packed")
    p.add_argument(
        "--wide", type=positive, nargs=2, default=[4000, 12_000], metavar="N",
        help="products with drawn embeddings of 768 values, for what follows embedding",
    )  # fmt: skip
    scale_plan.add_options(p)
    args = p.parse_args(argv)
    sizes = [200, 400] if args.quick else sorted(set(args.sizes))
    if len(sizes) < 2:
        p.error("--sizes needs at least two of them")
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        work = Path(folder)
        stages = [Measured(work, count, not args.quick).run() for count in sizes]
        photos = real_photos(work, 20 if args.quick else args.photos)
        counts = [200, 400] if args.quick else args.wide
        after = {"sizes": counts, "stages": wide(work, counts, 16 if args.quick else 768)}
        if not args.quick:
            few = Measured(work, 1024)
            few.prepare()
            scale_training.measure_all(out, few.data)
            keep(few.data, out / "small" / "data")
            keep(work / "model", out / "small" / "model")
    result = {"sizes": sizes, "stages": stages, "photos": photos, "wide": after}
    write(out, "scale", result, table(sizes, stages))
    write(out, "scale-wide", after, table(counts, after["stages"]))
    scale_plan.report(out, result, args)


if __name__ == "__main__":
    run(main)
