"""Opening: what the first batch of an epoch costs before it is read, as the catalogue grows.

Part of the loading benchmark. Catalogues of 1,000 to 1.1 million products of 256 pixels, as files
with holes: 216 GB that take no room on the disk. Three steps each: open the stores; order an epoch
and cut it into batches of 512 through fairseq's own iterator; load one batch of 64 products.
"memory" is by how many MiB the process grew from the start to the end, mapped files included.
"""

import json
import os
import time
from pathlib import Path

import numpy as np
from bench import Report

from fairseq_item.data.image_store import ImageStore
from fairseq_item.data.item_dataset import Augmentation, Corruption, Geometry, ItemDataset
from fairseq_item.data.mmap_index import write_idx
from fairseq_item.data.token_store import TokenStore

COUNTS = (1_000, 10_000, 100_000, 1_100_000)
STORED, PATCH = 256, 16


def write_sparse(folder, count):
    """Stores ``title`` and ``image`` of ``count`` products whose items are holes in their files."""
    lengths = np.random.default_rng(0).integers(4, 33, count)
    items = np.full(count, STORED * STORED * 3)
    for name, sizes, dtype in (("title", lengths, np.uint16), ("image", items, np.uint8)):
        write_idx(Path(folder) / f"{name}.idx", sizes, dtype)
        with open(Path(folder) / f"{name}.bin", "wb") as file:
            file.truncate(int(np.sum(sizes)) * np.dtype(dtype).itemsize)
    meta = {"codec": "patches", "image_size": STORED, "patch_size": PATCH, "channels": 3}
    meta.update(count=count, checksum="", version=1, fit="pad")
    (Path(folder) / "image.json").write_text(json.dumps(meta), encoding="utf-8")


def open_products(folder, image_size=224):
    """The dataset of such stores, as pre-training makes it."""
    from fairseq.data import Dictionary

    dictionary = Dictionary()
    for symbol in ("word", "<mask>"):
        dictionary.add_symbol(symbol)
    stores = TokenStore(Path(folder) / "title"), ImageStore(Path(folder) / "image")
    geometry = Geometry(image_size, PATCH, 36)
    return ItemDataset(*stores, dictionary, geometry, Corruption(), Augmentation(), shuffle=True)


def epoch_of(dataset, epoch, size):
    """The batches of an epoch, as fairseq-train makes them: an ``EpochBatchIterator``."""
    from fairseq.data.iterators import EpochBatchIterator

    def batches(dataset, epoch):
        return dataset.batch_by_size(dataset.ordered_indices(), max_sentences=size)

    dataset.set_epoch(epoch)
    iterator = EpochBatchIterator(
        dataset, dataset.collater, batches, reuse_dataloader=False, persistent_workers=False
    )
    iterator.next_epoch_itr()
    return iterator


def resident():
    """MiB of this process that lie in memory, mapped files included; NaN where Linux is not."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def once(folder):
    """Seconds of the three steps and MiB that the process grew."""
    before, clock = resident(), [time.perf_counter()]
    dataset = open_products(folder)
    clock.append(time.perf_counter())
    iterator = epoch_of(dataset, 1, 512)
    clock.append(time.perf_counter())
    dataset.collater(dataset.__getitems__(iterator.frozen_batches[0][:64]))
    clock.append(time.perf_counter())
    return np.diff(clock), resident() - before


def opening(work, counts, repeats):
    """A :class:`Report` with a row for each size of a catalogue."""
    report = Report("opening", "openings")
    for count in counts:
        folder = work / str(count)
        folder.mkdir()
        write_sparse(folder, count)
        once(folder)  # imports, and what the allocator keeps
        runs = [once(folder) for _ in range(repeats)]
        steps = 1e3 * np.median([seconds for seconds, _ in runs], axis=0)
        report.add(
            f"{count:,} products",
            1,
            [seconds[0] for seconds, _ in runs],
            **dict(zip(("open (ms)", "batches (ms)", "load 64 (ms)"), map(float, steps))),
            memory=float(max(grown for _, grown in runs)),
        )
    return report
