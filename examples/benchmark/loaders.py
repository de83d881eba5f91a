"""The ways of loading that the loading benchmark compares, over the same drawn images."""

import json
import os
import sys
import tarfile
from functools import cache, partial

import numpy as np
from photos import QUALITY, draw_photo

from fairseq_item.data.image_store import ImageStore, ImageStoreWriter
from fairseq_item.data.item_dataset import Augmentation, Corruption, Geometry, ItemDataset
from fairseq_item.data.mmap_index import write_idx
from fairseq_item.data.token_store import TokenStore, TokenWriter

STORED, SHOWN, PATCH, BATCH, WORDS = 256, 224, 16, 128, 5000
SHARDS = 4


def write_data(work, count, seed=1):
    """The same images as both kinds of store, as a folder of JPEGs and as tars of them."""
    rng = np.random.default_rng(seed)
    folder = work / "folder" / "all"
    folder.mkdir(parents=True)
    with (
        ImageStoreWriter(work / "patches", "patches", STORED) as patches,
        ImageStoreWriter(work / "jpeg", "jpeg", STORED, jpeg_quality=QUALITY) as jpeg,
        TokenWriter(work / "title", WORDS) as titles,
    ):
        for number in range(count):
            image = draw_photo(rng, STORED, STORED)
            patches.add(image)
            jpeg.add(image)
            image.save(folder / f"{number:06}.jpg", quality=QUALITY)
            titles.add(rng.integers(4, WORDS, rng.integers(4, 30)))
    for shard in range(SHARDS):
        with tarfile.open(work / f"shard-{shard}.tar", "w") as tar:
            for path in sorted(folder.iterdir())[shard::SHARDS]:
                tar.add(path, path.name)


def write_sparse(folder, count):
    """Stores of ``count`` products that are holes in their files: they take no room on the disk."""
    lengths = np.random.default_rng(0).integers(4, 33, count)
    items = np.full(count, STORED * STORED * 3)
    for name, sizes, dtype in (("title", lengths, np.uint16), ("patches", items, np.uint8)):
        write_idx(folder / f"{name}.idx", sizes, dtype)
        with open(folder / f"{name}.bin", "wb") as file:
            file.truncate(int(np.sum(sizes)) * np.dtype(dtype).itemsize)
    meta = {"codec": "patches", "image_size": STORED, "patch_size": PATCH, "channels": 3}
    meta.update(count=count, checksum="", version=1, fit="pad")
    (folder / "patches.json").write_text(json.dumps(meta), encoding="utf-8")


@cache
def dictionary():
    """fairseq's ``Dictionary`` of ``WORDS`` symbols and <mask>."""
    from fairseq.data import Dictionary

    symbols = Dictionary()
    for number in range(WORDS - symbols.nspecial):
        symbols.add_symbol(f"w{number}")
    symbols.add_symbol("<mask>")
    return symbols


def products(work, codec="patches", corrupted=True):
    """Our dataset of the images in ``codec``, as pre-training makes it, or uncorrupted."""
    stores = TokenStore(work / "title"), ImageStore(work / codec)
    corruption = Corruption() if corrupted else None
    geometry = Geometry(SHOWN, PATCH, 36)
    return ItemDataset(*stores, dictionary(), geometry, corruption, Augmentation(), shuffle=True)


def item_loader(work, codec, passes, workers):
    """A loader of ours: batches of ``BATCH`` products, in the orders of ``passes`` epochs."""
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
    try:
        import webdataset  # noqa: F401
    except ImportError:
        sys.stderr.write("webdataset is not installed; its rows are left out\n")
    else:
        found["webdataset"] = (partial(web_loader, work), tars)
    for codec in ("patches", "jpeg"):
        found[f"ours, {codec}"] = (partial(item_loader, work, codec), [work / f"{codec}.bin"])
    return found


def forget(paths):
    """Tell the system to drop its copies of files; whether it could be told."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())  # what is not on disk yet would stay
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True
