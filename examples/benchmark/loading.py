"""Loading: products a second that reach the training process, beside what one would write.

    python examples/benchmark/loading.py --out results

Ours: `ItemDataset` as pre-training reads it (titles, masks, mismatches, random resized crop to 224
of stored 256 pixels, mirroring), from both codecs. Others, images alone, as uint8 like ours:
torchvision's ImageFolder over resized JPEGs with RandomResizedCrop and RandomHorizontalFlip, and
webdataset over tars of the same JPEGs, where it is installed. Each through torch's DataLoader with
one and two workers that are started anew for every run, in turn. "cold": the system was told to
forget the files before each run; its ratio is to the same from memory. The floor is copying the
stored bytes.

Two more tables: where the time of one process goes, step by step, and what opening takes as the
catalogue grows to 1.1 million products.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from bench import Report, alternate
from loaders import BATCH, SHOWN, forget, loaders, product_dataset, write_data
from opening import COUNTS, opening

from fairseq_item.data.augment import stored_random_crop
from fairseq_item.data.image_store import ImageStore
from fairseq_item.data.patches import patchify

COLD_REPEATS = 2


def warm(work, count, passes, repeats):
    """All ways to load what the system holds in memory: a :class:`Report`."""
    store, order = ImageStore(work / "patches"), np.random.default_rng(0).permutation(count)
    contestants, groups = {}, {}
    for workers in (1, 2):
        for name, (make, _) in loaders(work).items():
            group = f"{workers} worker{'s'[: workers - 1]}"
            contestants[f"{name}, {group}"] = lambda make=make, n=workers: exhaust(make(passes, n))
            groups[f"{name}, {group}"] = group
    floor = "floor: copying the stored bytes"
    contestants[floor] = lambda: copy(store, order)
    seconds = alternate(contestants, repeats, warmup=0 if repeats == 1 else 1)
    report = Report("loading", "products")
    for name, group in groups.items():
        report.add(name, passes * count, seconds[name], group=group)
    report.add(floor, count, seconds[floor], group="floor")
    return report


def cold(work, count, repeats):
    """One epoch from files that the system was told to forget, beside the next, from memory.

    Both with the start of the workers; no rows where the system cannot be told.
    """
    seconds = {}
    for _ in range(repeats):
        for name, (make, paths) in loaders(work).items():
            if not forget(paths):
                return None
            for state in ("cold", "warm"):
                start = time.perf_counter()
                exhaust(make(1, 2))
                seconds.setdefault((name, state), []).append(time.perf_counter() - start)
    report = Report("loading-cold", "products")
    for name, state in sorted(seconds, key=lambda row: row[1] == "cold"):
        report.add(f"{name}, {state}", count, seconds[name, state], group=name)
    return report


def steps(work, count, repeats):
    """What a product takes in one process, each row doing what the row before does and more."""
    dataset, plain = (
        product_dataset(work, "patches"),
        product_dataset(work, "patches", corrupted=False),
    )
    store, order = dataset.images, np.random.default_rng(0).permutation(count)
    rng, batches = np.random.default_rng(0), [order[i : i + BATCH] for i in range(0, count, BATCH)]

    def each(function):
        return lambda: [function(int(i)) for i in order] and None

    def crop(i):
        return stored_random_crop(store, i, SHOWN, rng)

    contestants = {
        "read the bytes": lambda: copy(store, order),
        "unpatchify": each(store.image),
        "read fewer rows, crop, resize, mirror": each(crop),
        "patchify": each(lambda i: patchify(crop(i), store.meta.patch_size)),
        "title": lambda: [plain.__getitems__(batch) for batch in batches] and None,
        "mask and mismatch": lambda: [dataset.__getitems__(batch) for batch in batches] and None,
        "collate": lambda: [dataset.collater(dataset.__getitems__(b)) for b in batches] and None,
    }
    report = Report("loading-steps", "products")
    for name, taken in alternate(contestants, repeats).items():
        report.add(name, count, taken, microseconds=float(np.median(taken)) / count * 1e6)
    return report


def copy(store, order):
    for i in order:
        store.raw(int(i)).copy()


def exhaust(loader):
    for _ in loader:
        pass


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, help="folder for the tables and their JSON")
    parser.add_argument("--photos", type=int, default=2000, help="images (default: 2000)")
    parser.add_argument("--passes", type=int, default=2, help="epochs a run (default: 2)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each (default: 3)")
    parser.add_argument("--quick", action="store_true", help="a few seconds, for the tests")
    args = parser.parse_args(argv)
    count, passes, repeats, counts = args.photos, args.passes, args.repeats, COUNTS
    if args.quick:
        count, passes, repeats, counts = 40, 1, 1, COUNTS[:2]
    work = Path(tempfile.mkdtemp(prefix="loading-"))
    try:
        write_data(work, count)
        reports = [
            warm(work, count, passes, repeats),
            cold(work, count, min(repeats, COLD_REPEATS)),
            steps(work, min(count, 600), repeats),
            opening(work, counts, repeats),
        ]
    finally:
        shutil.rmtree(work)
    for report in filter(None, reports):
        report.write(args.out)


if __name__ == "__main__":
    main()
