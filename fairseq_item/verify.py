"""Reading a folder from end to end, and comparing it with the digests that were written with it."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from fairseq_item import digests
from fairseq_item.data import features, token_store
from fairseq_item.data.image_store import ImageStore
from fairseq_item.data.sharded import items_digest
from fairseq_item.data.token_store import TokenStore
from fairseq_item.data.tsv import check_ids, read_table
from fairseq_item.errors import InputError

# What is looked at, and a function that raises InputError where it is damaged.
Check = tuple[str, Callable[[], None]]


def checks(folder: Path) -> Iterator[Check]:
    """What can be verified of a folder: a data-bin, a model, embeddings, an index or fused vectors.

    Raises:
        InputError: it is neither.
    """
    for is_kind, found in KINDS:
        if is_kind(folder):
            yield from found(folder)
            return
    raise InputError(
        f"{folder} is no folder that can be verified; name a data-bin, a model, "
        "embeddings, an index or fused vectors"
    )


def verify(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Yield what was looked at and what is wrong with it, None where nothing is."""
    for name, check in checks(folder):
        try:
            check()
        except InputError as error:
            yield name, str(error)
        else:
            yield name, None


def _data_bin(folder: Path) -> Iterator[Check]:
    """The items of each split, and the stores that there are of them."""
    for path in sorted((folder / "items").glob("*.tsv")):
        split = path.stem
        yield str(path), partial(_items, path)
        stores = {"image": _images, "title": _tokens, "label": _tokens, "features": _features}
        for kind, check in stores.items():
            prefix = folder / kind / split
            if any(prefix.parent.glob(f"{split}.*")):
                yield str(prefix), partial(check, folder, prefix, items_digest(folder, split))


def _items(path: Path) -> None:
    check_ids(read_table(path, ["id"]), path)


def _images(folder: Path, prefix: Path, items: str) -> None:
    store = ImageStore(prefix)
    store.check_items(items)
    store.verify()


def _tokens(folder: Path, prefix: Path, items: str) -> None:
    store = TokenStore(prefix)
    store.check_items(items)
    if store.meta is not None:
        digests.check(prefix.parent, store.meta["files"], token_store.MEND, everything=True)


def _features(folder: Path, prefix: Path, items: str) -> None:
    features.verify(folder, prefix.name)


def _model(folder: Path) -> Iterator[Check]:
    """Each checkpoint of a model folder, and whether dictionary and BPE are its own."""
    for path in sorted(folder.glob("checkpoint*.pt")):
        yield str(path), partial(_checkpoint, path)


def _checkpoint(path: Path) -> None:
    from fairseq_item import ItemModel

    ItemModel.from_pretrained(path)


def _exported(folder: Path) -> Iterator[Check]:
    """What item-export wrote."""
    yield str(folder), partial(_export, folder)


def _export(folder: Path) -> None:
    from fairseq_item.export.config import check_files, read_config

    check_files(folder, read_config(folder))


def _embeddings(folder: Path) -> Iterator[Check]:
    """Embeddings, or the index made of some."""
    yield str(folder), partial(_rows, folder)


def _rows(folder: Path) -> None:
    from fairseq_item.search.embeddings import BLOCK, EMBEDDINGS, Embeddings
    from fairseq_item.search.index import ItemIndex, is_index_file

    of_index = [name for name in os.listdir(folder) if is_index_file(name)]
    if not any(name.endswith(".transform.npz") for name in of_index):
        found = Embeddings.load(folder, verify=True)
        for name in EMBEDDINGS:
            for _ in found.blocks(name):
                pass  # each is looked at as it is read
        return
    index = ItemIndex.load(folder, verify=True)
    for name, vectors in index.vectors.items():
        for start in range(0, len(vectors), BLOCK):
            if not np.isfinite(vectors[start : start + BLOCK]).all():
                raise InputError(f"{folder}/{name}.npy is not finite; run item-index again")


def _fused(folder: Path) -> Iterator[Check]:
    """What item-fuse wrote."""
    yield str(folder), partial(_fused_rows, folder)


def _fused_rows(folder: Path) -> None:
    from fairseq_item.search.fused_folder import ROWS_A_TIME, FusedFolder

    vectors = FusedFolder.load(folder, verify=True).vectors
    for start in range(0, len(vectors), ROWS_A_TIME):
        if not np.isfinite(vectors[start : start + ROWS_A_TIME]).all():
            raise InputError(f"{folder}/vectors.npy is not finite; run item-fuse again")


# Which folders are of a kind, and what is looked at in one.
PARTS = ("global", "title", "image")
KINDS = [
    (lambda folder: (folder / "items").is_dir(), _data_bin),
    (lambda folder: any(folder.glob("checkpoint*.pt")), _model),
    (lambda folder: (folder / "config.json").is_file(), _exported),
    (lambda folder: (folder / "vectors.npy").is_file(), _fused),
    (lambda folder: any((folder / f"{name}.npy").exists() for name in PARTS), _embeddings),
]
