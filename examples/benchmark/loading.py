"""Loading: products a second that reach the training process, beside what one would write.

    python examples/benchmark/loading.py --out results

Ours: `ItemDataset` as pre-training reads it (titles, masks, mismatches, random resized crop to 224
of stored 256 pixels, mirroring), from both codecs. Others, images alone, as uint8 like ours:
torchvision's ImageFolder over resized JPEGs with RandomResizedCrop and RandomHorizontalFlip, and
webdataset over tars of the same JPEGs, where it is installed. Each through torch's DataLoader with
one and two workers that are started anew for every run, in turn. "cold": the system was told to
forget the files before each run; its ratio is to the same from memory. The lower bound is copying
the stored bytes.

Two more tables: where the time of one process goes, step by step; and what the first batch of an
epoch costs as the catalogue grows to 1.1 million products (files with holes): open the stores,
order an epoch and cut it into batches of 512, load 64 products; "memory": MiB that the process
grew.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
from bench import Report, alternate, parser
from loaders import BATCH, SHOWN, forget, loaders, products, write_data, write_sparse

from fairseq_item.data.augment import stored_random_crop
from fairseq_item.data.image_store import ImageStore
from fairseq_item.data.patches import patchify

COLD_REPEATS = 2
COUNTS = (1_000, 10_000, 100_000, 1_100_000)
BOUND = "lower bound: copying the stored bytes"


def warm(work, count, passes, repeats):
    """All ways to load what the system holds in memory: a :class:`Report`."""
    store, order = ImageStore(work / "patches"), np.random.default_rng(0).permutation(count)
    calls, groups = {}, {}
    for workers, group in ((1, "1 worker"), (2, "2 workers")):
        for name, (make, _) in loaders(work).items():
            groups[f"{name}, {group}"] = group
            calls[f"{name}, {group}"] = lambda make=make, n=workers: exhaust(make(passes, n))
    calls[BOUND] = lambda: copy(store, order)
    report = Report("loading", "products")
    for name, seconds in alternate(calls, repeats, warmup=repeats > 1).items():
        amount = count if name == BOUND else passes * count
        report.add(name, amount, seconds, group=groups.get(name, name))
    return report


def cold(work, count, repeats):
    """One epoch from files that the system was told to forget, beside the next, from memory.

    Both with the start of the workers; None where the system cannot be told.
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
    dataset, plain = products(work), products(work, corrupted=False)
    store, order = dataset.images, np.random.default_rng(0).permutation(count)
    rng, batches = np.random.default_rng(0), [order[i : i + BATCH] for i in range(0, count, BATCH)]

    def crop(i):
        return stored_random_crop(store, i, SHOWN, rng)

    def each(function, inputs):
        return lambda: [function(value) for value in inputs] and None

    numbers = order.tolist()
    calls = {
        "read the bytes": lambda: copy(store, order),
        "unpatchify": each(store.image, numbers),
        "read fewer rows, crop, resize, mirror": each(crop, numbers),
        "patchify": each(lambda i: patchify(crop(i), store.meta.patch_size), numbers),
        "title": each(plain.__getitems__, batches),
        "mask and mismatch": each(dataset.__getitems__, batches),
        "collate": each(lambda b: dataset.collater(dataset.__getitems__(b)), batches),
    }
    report = Report("loading-steps", "products")
    for name, taken in alternate(calls, repeats).items():
        report.add(name, count, taken, microseconds=float(np.median(taken)) / count * 1e6)
    return report


def opening(work, counts, repeats):
    """A :class:`Report` with a row for each size of a catalogue."""
    report = Report("opening", "openings")
    for count in counts:
        folder = work / str(count)
        folder.mkdir()
        write_sparse(folder, count)
        open_once(folder)  # imports, and what the allocator keeps
        runs = [open_once(folder) for _ in range(repeats)]
        parts = 1e3 * np.median([seconds for seconds, _ in runs], axis=0)
        columns = dict(zip(("open (ms)", "batches (ms)", "load 64 (ms)"), map(float, parts)))
        columns["memory"] = float(max(grown for _, grown in runs))
        report.add(f"{count:,} products", 1, [seconds[0] for seconds, _ in runs], **columns)
    return report


def open_once(folder):
    """Seconds of the three steps and MiB that the process grew."""
    from fairseq.data.iterators import EpochBatchIterator

    def batches(dataset, epoch):
        return dataset.batch_by_size(dataset.ordered_indices(), max_sentences=512)

    before, clock = resident(), [time.perf_counter()]
    dataset = products(folder)
    clock.append(time.perf_counter())
    dataset.set_epoch(1)
    fresh = {"reuse_dataloader": False, "persistent_workers": False}
    iterator = EpochBatchIterator(dataset, dataset.collater, batches, **fresh)
    iterator.next_epoch_itr()
    clock.append(time.perf_counter())
    dataset.collater(dataset.__getitems__(iterator.frozen_batches[0][:64]))
    clock.append(time.perf_counter())
    return np.diff(clock), resident() - before


def resident():
    """MiB of this process that lie in memory, mapped files included; NaN where Linux is not."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def copy(store, order):
    for i in order:
        store.raw(int(i)).copy()


def exhaust(loader):
    for _ in loader:
        pass


def main(argv=None):
    p = parser(__doc__)
    p.add_argument("--photos", type=int, default=2000, help="images (default: 2000)")
    p.add_argument("--passes", type=int, default=2, help="epochs a run (default: 2)")
    args = p.parse_args(argv)
    count, passes, repeats, counts = args.photos, args.passes, args.repeats, COUNTS
    if args.quick:
        count, passes, repeats, counts = 40, 1, 1, COUNTS[:2]
    with tempfile.TemporaryDirectory(prefix="loading-") as folder:
        work = Path(folder)
        write_data(work, count)
        for report in (
            warm(work, count, passes, repeats),
            cold(work, count, min(repeats, COLD_REPEATS)),
            steps(work, min(count, 600), repeats),
            opening(work, counts, repeats),
        ):
            if report:
                report.write(args.out)


if __name__ == "__main__":
    main()
