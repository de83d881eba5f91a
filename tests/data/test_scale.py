"""Opening a large catalogue, and cutting it into batches, does not read its items."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from fairseq.data import Dictionary
from fairseq.data.iterators import EpochBatchIterator

from fairseq_item.data.image_store import ImageStore
from fairseq_item.data.item_dataset import Augmentation, Corruption, Geometry, ItemDataset
from fairseq_item.data.mmap_index import write_idx
from fairseq_item.data.token_store import TokenStore

COUNT, ITEM = 200_000, 256 * 256 * 3


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """200,000 products whose pictures are 39 GB, none of which the disk holds."""
    folder = tmp_path_factory.mktemp("sparse")
    lengths = np.random.default_rng(0).integers(4, 33, COUNT)
    for name, sizes, dtype in (("title", lengths, np.uint16), ("image", [ITEM] * COUNT, np.uint8)):
        write_idx(folder / f"{name}.idx", sizes, dtype)
        with open(folder / f"{name}.bin", "wb") as file:
            file.truncate(int(np.sum(sizes)) * np.dtype(dtype).itemsize)
    meta = {"codec": "patches", "image_size": 256, "patch_size": 16, "channels": 3, "fit": "pad"}
    meta.update(count=COUNT, checksum="", version=1)
    (folder / "image.json").write_text(json.dumps(meta))
    return folder


def resident():
    """MiB of this process that lie in memory, mapped files included."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux for its memory")
def test_memory_does_not_grow_with_the_catalogue(stores):
    dictionary = Dictionary()
    for symbol in ("word", "<mask>"):
        dictionary.add_symbol(symbol)
    before = resident()
    data = ItemDataset(
        TokenStore(stores / "title"), ImageStore(stores / "image"), dictionary, Geometry(64),
        Corruption(), Augmentation(), shuffle=True,
    )  # fmt: skip
    assert resident() - before < 2

    def batches(dataset, epoch):
        return dataset.batch_by_size(dataset.ordered_indices(), max_sentences=500)

    data.set_epoch(1)
    iterator = EpochBatchIterator(
        data, data.collater, batches, reuse_dataloader=False, persistent_workers=False
    )
    epoch = iterator.next_epoch_itr()
    assert len(epoch) == COUNT // 500
    assert resident() - before < 16  # a few numbers a product

    settled = None
    for turn in range(5):
        samples = data.__getitems__(data.ordered_indices()[turn * 100 : turn * 100 + 100])
        assert len(samples) == 100
        del samples
        settled = settled or resident()
    # 400 more pictures, 75 MiB, left nothing behind; all the titles and indexes are 11 MiB.
    assert resident() - settled < 24
