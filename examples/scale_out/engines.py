"""Packing and embedding by both engines and several workers: products a second, memory a worker.

    python examples/scale_out/engines.py --out scale --checkpoint MODEL --data DATA_BIN

Writes ``engines.json`` to --out: for each task, engine and number of workers

- ``seconds`` in all, with the start of the processes,
- ``products_per_second`` in the second half of the work, when all workers are at it; null where
  that is less than four parts a worker, for parts are taken in order and come in bursts,
- ``worker_cpu_ms`` and ``writer_cpu_ms``: milliseconds of processor a product, of the workers' work
  and of the process that writes, which the machine's other work changes little,
- ``worker_mib``: the largest memory that a worker process ever had (resident set),
- ``digest`` of what was written, which must be one for all; the script ends with 1 if it is not,

and ``map_us``: microseconds that an engine takes for an input that nothing is done with. Photos to
pack are synthetic. Without --checkpoint and --data nothing is embedded. Without Ray only the local
engine is measured. Each contestant runs --repeats times, in turn; the fastest counts.
"""

import hashlib
import json
import logging
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmark"))

from synthetic import write_catalog, write_photos

from fairseq_item import ItemModel
from fairseq_item.commands.common import Parser, positive, run, show, splits
from fairseq_item.data.catalog import read_catalog
from fairseq_item.data.images import ImageRoot
from fairseq_item.engines import Local, Ray
from fairseq_item.preprocess.pack import Paths, pack_split
from fairseq_item.preprocess.pack_workers import ImageSettings
from fairseq_item.search.embed import open_products
from fairseq_item.search.embed_tasks import RunEmbedder, embed_by, packed

INPUTS = 500  # that nothing is done with
ATTEMPTS = 5  # to start Ray


class Watched:
    """An engine that notes when results came, and the memory of who made them."""

    def __init__(self, engine):
        self.engine, self.times, self.kib, self.cpu = engine, [], 0, 0.0

    def map(self, function, inputs):
        """As of the engine."""
        for result, kib, cpu in self.engine.map(Measured(function), inputs):
            self.times.append(time.perf_counter())
            self.kib, self.cpu = max(self.kib, kib), self.cpu + cpu
            yield result

    def rate(self, products, workers):
        """Products a second between the result in the middle and the last; None of too few."""
        after = len(self.times) // 2
        if after < 4 * workers:
            return None
        part = after / len(self.times)
        return round(products * part / (self.times[-1] - self.times[-1 - after]), 1)


class Measured:
    """A function that also tells its process' peak memory in KiB, and the seconds of processor."""

    def __init__(self, function):
        self.function = function

    def __call__(self, value):
        start = time.process_time()
        result = self.function(value)
        cpu = time.process_time() - start
        return result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, cpu


def nothing(value):
    return value


def started(kind, workers):
    """An engine of so many workers."""
    if kind == "local":
        return Local(workers)
    import ray

    for attempt in range(ATTEMPTS):
        ray.shutdown()
        try:
            ray.init("local", num_cpus=workers, log_to_driver=False, logging_level=logging.ERROR)
            return Ray()
        except Exception:  # on a busy machine its processes start too slowly
            if attempt == ATTEMPTS - 1:
                raise


def measure(do, products, kind, workers):
    """What ``do(engine)``, which returns a digest, takes: dict."""
    engine = Watched(started(kind, workers))
    start, cpu = time.perf_counter(), time.process_time()
    digest = do(engine)
    cpu = time.process_time() - cpu - engine.cpu * (engine.engine == Local(1))  # works and writes
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "products_per_second": engine.rate(products, workers),
        "worker_cpu_ms": round(1000 * engine.cpu / products, 2),
        "writer_cpu_ms": round(1000 * cpu / products, 2),
        "worker_mib": round(engine.kib / 1024),
        "digest": digest,
    }


def overhead(kind, workers):
    engine = started(kind, workers)
    list(engine.map(nothing, range(2 * workers)))  # starts the processes
    start = time.perf_counter()
    list(engine.map(nothing, range(INPUTS)))
    return round((time.perf_counter() - start) / INPUTS * 1e6)


def packing(work, count):
    """The task "pack": ``do(engine)`` and how many products."""
    photos = write_photos(work / "photos", count)
    catalog = read_catalog(write_catalog(work / "photos.tsv", ["a photo"] * count, photos))
    settings, paths = ImageSettings(), Paths(work / "packed", "train")

    def do(engine):
        pack_split(catalog, ImageRoot(work / "photos"), paths, settings, engine, overwrite=True)
        return digest_of(path for path in paths.out.rglob("*") if path.is_file())

    return do, count


def embedding(args):
    """The task "embed"."""
    hub = ItemModel.from_pretrained(args.checkpoint)
    _, dataset = open_products(args.data, args.splits, hub)

    class Writer:
        def __init__(self):
            self.found = hashlib.sha256()

        def write(self, start, *arrays):
            for array in arrays:
                self.found.update(array.tobytes())

    def do(engine):
        writer = Writer()
        embedder = RunEmbedder(hub, packed(dataset, None), args.batch_size, "cpu")
        embed_by(engine, embedder, writer, len(dataset))
        return writer.found.hexdigest()

    return do, len(dataset)


def digest_of(paths):
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


def engines():
    """The engines that are there."""
    try:
        import ray  # noqa: F401
    except ImportError:
        return ["local"]
    return ["local", "ray"]


def parser():
    p = Parser(__doc__)
    p.add_argument("--out", default="scale", metavar="DIR", help="folder for engines.json")
    p.add_argument("--photos", type=positive, default=2000, help="to pack")
    p.add_argument("--checkpoint", metavar="MODEL", help="model to embed with")
    p.add_argument("--data", metavar="DATA_BIN", help="data-bin to embed")
    p.add_argument("--splits", type=splits, default="train", help="of it")
    p.add_argument("--batch-size", type=positive, default=128, help="products computed at once")
    p.add_argument("--workers", type=positive, nargs="+", default=[1, 2, 4], help="how many")
    p.add_argument("--repeats", type=positive, default=1, help="times that each runs")
    return p


def main(argv=None):
    """Entry point."""
    args = parser().parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    found = {"cores": os.cpu_count(), "load": [os.getloadavg()[0]], "map_us": {}}
    contestants = [(kind, workers) for kind in engines() for workers in args.workers]
    with tempfile.TemporaryDirectory(prefix="engines-") as work:
        tasks = {"pack": packing(Path(work), args.photos)}
        if args.checkpoint and args.data:
            tasks["embed"] = embedding(args)
        for name, (do, products) in tasks.items():
            runs = {contestant: [] for contestant in contestants}
            for _ in range(args.repeats):
                for contestant in contestants:
                    runs[contestant].append(measure(do, products, *contestant))
            fastest = {
                "-".join(map(str, contestant)): min(results, key=lambda result: result["seconds"])
                for contestant, results in runs.items()
            }
            found[name] = {"products": products, **fastest}
    for kind, workers in contestants:
        found["map_us"][f"{kind}-{workers}"] = overhead(kind, workers)
    found["load"].append(os.getloadavg()[0])
    Path(args.out).mkdir(parents=True, exist_ok=True)
    path = Path(args.out) / "engines.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    show(found)
    for name in tasks:
        if len({result["digest"] for key, result in found[name].items() if key != "products"}) > 1:
            sys.exit(f"{name}: the engines wrote different bytes, see {path}")


if __name__ == "__main__":
    run(main)
