"""Loading: products a second that reach the training process, beside what one would write.

    python examples/benchmark/loading.py --out results

Ours: `ItemDataset` as pre-training reads it (titles, masks, mismatches, random resized crop to 224
of stored 256 pixels, mirroring), from both codecs. Others, images alone, as uint8 like ours:
torchvision's ImageFolder over resized JPEGs with RandomResizedCrop and RandomHorizontalFlip, and
webdataset over tars of the same JPEGs, where it is installed. Each through torch's DataLoader with
one and two workers that are started anew for every run, in turn. "cold": the system was told to
forget the files before each run; its ratio is to the same from memory. The lower bound is copying
the stored bytes.

One more table: what the first batch of an epoch costs as the catalogue grows to 1.1 million
products (files with holes): open the stores, order an epoch and cut it into batches of 512, load
64 products; "memory": MiB that the process grew.
"""

import json
import os
import tarfile
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from bench import Report, alternate, optional, parser, resident
from synthetic import QUALITY, dictionary, draw_photo

from fairseq_item.commands.common import positive, run
from fairseq_item.data.image_store import ImageStore, ImageStoreWriter
from fairseq_item.data.item_dataset import Augmentation, Corruption, Geometry, ItemDataset
from fairseq_item.data.mmap_index import write_idx
from fairseq_item.data.titles import EOS
from fairseq_item.data.token_store import TokenStore, TokenWriter

STORED, SHOWN, PATCH, BATCH, VOCABULARY = 256, 224, 16, 128, 5000
SHARDS = 4
COLD_REPEATS = 2
COUNTS = (1_000, 10_000, 100_000, 1_100_000)
BOUND = "lower bound: copying the stored bytes"


def write_data(work, count):
    """The same images as both kinds of store, as a folder of JPEGs and as tars of them."""
    rng, folder = np.random.default_rng(1), work / "folder" / "all"
    folder.mkdir(parents=True)
    with (
        ImageStoreWriter(work / "patches", "patches", STORED) as patches,
        ImageStoreWriter(work / "jpeg", "jpeg", STORED, jpeg_quality=QUALITY) as jpeg,
        TokenWriter(work / "title", VOCABULARY) as titles,
    ):
        for number in range(count):
            image = draw_photo(rng, STORED, STORED)
            patches.add(image)
            jpeg.add(image)
            image.save(folder / f"{number:06}.jpg", quality=QUALITY)
            titles.add(rng.integers(4, VOCABULARY, rng.integers(4, 30)))
    for shard in range(SHARDS):
        with tarfile.open(work / f"shard-{shard}.tar", "w") as tar:
            for path in sorted(folder.iterdir())[shard::SHARDS]:
                tar.add(path, path.name)


def write_sparse(folder, count):
    """Stores of ``count`` products, whose images are holes: they take no room on the disk."""
    folder.mkdir()
    lengths = np.random.default_rng(0).integers(4, 33, count)
    items = np.full(count, STORED * STORED * 3)
    for name, sizes, dtype in (("title", lengths, np.uint16), ("patches", items, np.uint8)):
        write_idx(folder / f"{name}.idx", sizes, dtype)
        if name == "title":  # whose ids are looked at when it is opened
            np.full(int(np.sum(sizes)), EOS, dtype).tofile(folder / "title.bin")
            continue
        with open(folder / f"{name}.bin", "wb") as file:
            file.truncate(int(np.sum(sizes)) * np.dtype(dtype).itemsize)
    meta = {"codec": "patches", "image_size": STORED, "patch_size": PATCH, "channels": 3}
    meta.update(count=count, checksum="", version=1, fit="pad")
    (folder / "patches.json").write_text(json.dumps(meta), encoding="utf-8")


def products(work, codec="patches"):
    """Our dataset of the images in ``codec``, as pre-training makes it."""
    stores, symbols = (TokenStore(work / "title"), ImageStore(work / codec)), dictionary(VOCABULARY)
    changes = Corruption(), Augmentation()
    return ItemDataset(*stores, symbols, Geometry(SHOWN, PATCH), *changes, shuffle=True)


def item_loader(work, codec, passes, workers):
    """Ours: batches of ``BATCH`` products, in the orders of ``passes`` epochs."""
    from torch.utils.data import DataLoader

    dataset, batches = products(work, codec), []
    for epoch in range(1, passes + 1):
        dataset.set_epoch(epoch)
        order = dataset.ordered_indices()
        batches += [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    collate = dataset.collater
    return DataLoader(dataset, batch_sampler=batches, collate_fn=collate, num_workers=workers)


def folder_loader(work, passes, workers):
    """torchvision's: a folder of JPEGs."""
    from torch.utils.data import DataLoader, RandomSampler
    from torchvision.datasets import ImageFolder

    dataset = ImageFolder(work / "folder", transform())
    sampler = RandomSampler(dataset, num_samples=passes * len(dataset))
    return DataLoader(dataset, BATCH, sampler=sampler, num_workers=workers)


def web_loader(work, passes, workers):
    """webdataset's: tars, read from end to end through a buffer that shuffles."""
    import webdataset

    shards = [str(work / f"shard-{shard}.tar") for shard in range(SHARDS)] * passes
    dataset = webdataset.WebDataset(shards, shardshuffle=False).shuffle(500).decode("pil")
    dataset = dataset.to_tuple("jpg", "__key__").map_tuple(transform(), len).batched(BATCH)
    return webdataset.WebLoader(dataset, batch_size=None, num_workers=workers)


def transform():
    """The usual augmentation, to uint8 as ours."""
    from torchvision import transforms as t

    crop = t.RandomResizedCrop(SHOWN, Augmentation().crop_scale)
    return t.Compose([crop, t.RandomHorizontalFlip(), t.PILToTensor()])


def loaders(work):
    """name -> (function of passes and workers that makes a loader, the files that it reads)."""
    images, tars = sorted((work / "folder" / "all").iterdir()), sorted(work.glob("shard-*.tar"))
    found = {"ImageFolder": (partial(folder_loader, work), images)}
    if optional("webdataset"):
        found["webdataset"] = (partial(web_loader, work), tars)
    for codec in ("patches", "jpeg"):
        found[f"ours, {codec}"] = (partial(item_loader, work, codec), [work / f"{codec}.bin"])
    return found


def exhaust(loader):
    for _ in loader:
        pass


def copy(store, order):
    for i in order:
        store.raw(int(i)).copy()


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
    if not hasattr(os, "posix_fadvise"):
        return None
    report = Report("loading-cold", "products")
    seconds = {}
    for _ in range(repeats):
        for name, (make, paths) in loaders(work).items():
            forget(paths)
            for state in ("cold", "warm"):
                start = time.perf_counter()
                exhaust(make(1, 2))
                seconds.setdefault((name, state), []).append(time.perf_counter() - start)
    for name, state in sorted(seconds, key=lambda row: row[1] == "cold"):
        report.add(f"{name}, {state}", count, seconds[name, state], group=name)
    return report


def forget(paths):
    """Tell the system to drop its copies of files."""
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())  # what is not on disk yet would stay
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def opening(work, counts, repeats):
    """A :class:`Report` with a row for each size of a catalogue."""
    report = Report("opening", "openings")
    for count in counts:
        folder = work / str(count)
        write_sparse(folder, count)
        open_once(folder)  # imports, and what the allocator keeps
        seconds, grown = zip(*(open_once(folder) for _ in range(repeats)))
        medians = 1e3 * np.median(seconds, axis=0)
        columns = dict(zip(("open (ms)", "batches (ms)", "load 64 (ms)"), map(float, medians)))
        opened = [taken[0] for taken in seconds]
        report.add(f"{count:,} products", 1, opened, **columns, memory=float(max(grown)))
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


def main(argv=None):
    p = parser(__doc__)
    p.add_argument("--photos", type=positive, default=2000, help="images")
    p.add_argument("--passes", type=positive, default=2, help="epochs a run")
    args = p.parse_args(argv)
    count, passes, repeats, counts = args.photos, args.passes, args.repeats, COUNTS
    if args.quick:
        count, passes, repeats, counts = 40, 1, 1, COUNTS[:2]
    with tempfile.TemporaryDirectory(prefix="loading-") as folder:
        work = Path(folder)
        write_data(work, count)
        warm(work, count, passes, repeats).write(args.out)
        if found := cold(work, count, min(repeats, COLD_REPEATS)):
            found.write(args.out)
        opening(work, counts, repeats).write(args.out)


if __name__ == "__main__":
    run(main)
