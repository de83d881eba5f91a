"""Opening a large catalogue, and cutting it into batches, does not read its items."""

import json
from pathlib import Path

import numpy as np
import pytest
from fairseq.data import Dictionary
from fairseq.data.iterators import EpochBatchIterator

from fairseq_item.data.image_store import ImageStore
from fairseq_item.data.item_dataset import ItemDataset
from fairseq_item.data.mmap_index import write_idx
from fairseq_item.data.settings import Augmentation, Corruption, Geometry
from fairseq_item.data.titles import EOS
from fairseq_item.data.token_store import TokenStore

COUNT, SIZE = 200_000, 256
STATM = Path("/proc/self/statm")


def write_sparse(folder):
    """Stores ``title`` and ``image``, whose images are holes in their file: 39 GB of no room."""
    lengths = np.random.default_rng(0).integers(4, 33, COUNT)
    items = np.full(COUNT, SIZE * SIZE * 3)
    for name, sizes, dtype in (("title", lengths, np.uint16), ("image", items, np.uint8)):
        write_idx(folder / f"{name}.idx", sizes, dtype)
        if name == "title":  # whose ids are looked at
            np.full(int(np.sum(sizes)), EOS, dtype).tofile(folder / "title.bin")
            continue
        with open(folder / f"{name}.bin", "wb") as file:
            file.truncate(int(np.sum(sizes)) * np.dtype(dtype).itemsize)
    meta = {"codec": "patches", "image_size": SIZE, "patch_size": 16, "channels": 3}
    meta.update(count=COUNT, checksum="", version=1, fit="pad")
    (folder / "image.json").write_text(json.dumps(meta), encoding="utf-8")


def open_dataset(folder):
    """As pre-training makes it; small images, for room for large ones would hide what is sought."""
    dictionary = Dictionary()
    for symbol in ("word", "<mask>"):
        dictionary.add_symbol(symbol)
    stores = TokenStore(folder / "title"), ImageStore(folder / "image")
    settings = Geometry(64, 16, 36), Corruption(), Augmentation()
    return ItemDataset(*stores, dictionary, *settings, shuffle=True)


def batches_of_an_epoch(dataset, size):
    def batches(dataset, epoch):
        return dataset.batch_by_size(dataset.ordered_indices(), max_sentences=size)

    fresh = {"reuse_dataloader": False, "persistent_workers": False}
    iterator = EpochBatchIterator(dataset, dataset.collater, batches, **fresh)
    iterator.next_epoch_itr()
    return len(iterator)


def resident():
    """MiB of this process that lie in memory, mapped files included."""
    return int(STATM.read_text().split()[1]) * 4096 / 2**20


@pytest.mark.skipif(not STATM.exists(), reason="asks Linux for its memory")
def test_memory_does_not_grow_with_the_catalogue(tmp_path):
    write_sparse(tmp_path)
    assert (tmp_path / "image.bin").stat().st_size == COUNT * 196_608
    before = resident()
    data = open_dataset(tmp_path)
    assert resident() - before < 2
    data.set_epoch(1)
    assert batches_of_an_epoch(data, 500) == COUNT // 500
    assert resident() - before < 16  # a few numbers a product

    order, settled = data.ordered_indices(), None
    for turn in range(5):
        samples = data.__getitems__(order[turn * 100 : turn * 100 + 100])
        assert len(samples) == 100
        del samples
        settled = settled or resident()
    # 400 more images, 75 MiB, left nothing behind; all the titles and indexes are 11 MiB.
    assert resident() - settled < 24
