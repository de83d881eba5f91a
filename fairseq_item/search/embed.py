"""``item-embed``: embeddings of whole splits, written as they come, by one process or several."""

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, SequentialSampler, Subset

from fairseq_item.data.composed import only
from fairseq_item.data.features import Features, has_features
from fairseq_item.data.image_store import ImageStore, read_meta
from fairseq_item.data.item_dataset import ItemDataset
from fairseq_item.data.masked_titles import BlankImages
from fairseq_item.data.sharded import Concatenated, open_split, shard_names
from fairseq_item.data.titles import read_dictionary
from fairseq_item.data.token_store import TokenStore
from fairseq_item.data.tsv import Table, read_table
from fairseq_item.errors import InputError
from fairseq_item.progress import progress
from fairseq_item.search.image_features import join


def open_products(data, splits, hub):
    """The items of several splits and what the model reads of them, in the same order.

    Returns:
        (Table of the items, ItemDataset).

    Raises:
        InputError: a split is missing or damaged, or was not made as the model's training data.
    """
    _check_fit(Path(data), [name for split in splits for name in shard_names(data, split)], hub)
    return read_products(data, splits, hub.dictionary, hub.geometry, hub.model.sees_images)


def read_products(data, splits, dictionary, geometry, sees_images=True):
    """:func:`open_products` for a model that was trained on this very data.

    Args:
        data, splits: as there.
        dictionary, geometry: of :class:`ItemDataset`.
        sees_images: false leaves the images of the folder alone.
    """
    names = [name for split in splits for name in shard_names(data, split)]
    items = Table.joined(
        [read_table(Path(data) / "items" / f"{name}.tsv", ["id"]) for name in names]
    )
    titles = Concatenated([open_split(data, split, "title", TokenStore) for split in splits])
    images = (
        Concatenated([open_split(data, split, "image", ImageStore) for split in splits])
        if sees_images
        else BlankImages(len(titles))
    )
    dataset = ItemDataset(titles, images, dictionary, geometry)
    if len(items) != len(dataset):
        raise InputError(
            f"{data} has {len(items)} items but {len(dataset)} titles in {', '.join(splits)}; "
            "run preprocess/binarize_titles.py again"
        )
    return items, dataset


def _check_fit(data, names, hub):
    """Refuse titles whose numbers mean other tokens to the model, and images of another scale."""
    path = data / "title" / "dict.txt"
    if read_dictionary(path) != hub.tokenizer.ids:
        raise InputError(
            f"{path} is not the model's dictionary; put the bpe.model and dict.txt of the model's "
            f"folder into {path.parent} and run preprocess/binarize_titles.py again"
        )
    for prefix in (data / "image" / name for name in names if hub.model.sees_images):
        meta = read_meta(prefix)
        if (meta.image_size, meta.fit) != (hub.stored_image_size, hub.fit):
            raise InputError(
                f"{prefix}.json says {meta.image_size} pixels and --fit {meta.fit}, the model's "
                f"training data had {hub.stored_image_size} and {hub.fit}; pack the images so"
            )


def open_features(data, splits, choice="auto"):
    """The features of the items of several splits, to be joined to their image embeddings.

    Args:
        data: the data-bin folder.
        splits: list of splits.
        choice: "auto" or "none".

    Returns:
        ``Features``; None where ``choice`` is "none", or a split has none.

    Raises:
        InputError: they are damaged, or do not fit the items.
    """
    if choice == "none" or not has_features(data, splits):
        return None
    return Features.open(data, splits)


def take_away(items, dataset, features, modality):
    """Products as they are by their "title" or their "image" alone: what can be known of them.

    Args:
        items, dataset: of :func:`open_products`.
        features: of :func:`open_features`.
        modality: what is left.

    Returns:
        the three for that.
    """
    if modality == "image":
        items = Table.of([{**row, "title": ""} for row in items.dicts()])
    elif features is not None:
        features = _Absent(features.network)
    return items, only(dataset, modality), features


class _Absent:
    """The features of products that have no image."""

    def __init__(self, network):
        self.network = network

    def __getitem__(self, rows):
        return np.zeros((rows.stop - rows.start, self.network["dim"]), np.float32)


def embed_rows(hub, dataset, writer, start, stop, batch_size, workers, features=None):
    """Embed products ``start`` to ``stop`` of ``dataset`` and write them as they come.

    ``features`` are joined to the image embeddings, if there are any.
    """
    for embeddings in embedded(hub, dataset, start, stop, batch_size, workers, features):
        writer.write(start, *embeddings)
        start += len(embeddings[0])


def embedded(hub, dataset, start, stop, batch_size, workers, features=None):
    """Yield (global, title, image) of products ``start`` to ``stop``, a batch at a time.

    A batch is fetched and yielded after the next one is read and started, so that a GPU computes
    in the meantime.
    """
    waiting = None
    for inputs in batches(hub, dataset, start, stop, batch_size, workers, "embedding"):
        begun = hub.start_embedding(**inputs)
        if waiting is not None:
            yield _fetch(start, waiting, features)
            start += waiting.size(1)
        waiting = begun
    if waiting is not None:
        yield _fetch(start, waiting, features)


def _fetch(start, embeddings, features):
    """Rows (3, B, d) of products from ``start`` on as three arrays."""
    global_, title, image = embeddings.cpu().numpy()
    if features is not None:
        image = join(features[start : start + len(image)], image)
    return global_, title, image


def share(count, batch_size, rank, world):
    """The products of process ``rank`` of ``world``: whole batches, the same as those of one.

    What a product's embedding is, to the last bit, depends on how many it is computed with.

    Returns:
        (start, stop).
    """
    batches = -(-count // batch_size)
    start, stop = (batches * n // world * batch_size for n in (rank, rank + 1))
    return min(start, count), min(stop, count)


def batches(hub, dataset, start, stop, batch_size, workers, doing):
    """Yield what the model reads of products ``start`` to ``stop``, a batch at a time.

    Args:
        hub: the model; batches are dicts of tensors on its device.
        dataset: ``ItemDataset``.
        start, stop, batch_size: counted in products.
        workers: processes that read products; 0 reads them here.
        doing: what the progress bar says.
    """
    loader = DataLoader(
        Subset(dataset, range(start, stop)),
        batch_size=batch_size,
        sampler=SequentialSampler(range(stop - start)),
        num_workers=workers,
        collate_fn=dataset.collater,
        pin_memory=hub.device.type == "cuda",
    )
    for batch in progress(loader, doing, total=len(loader), unit="batch"):
        yield {k: v.to(hub.device, non_blocking=True) for k, v in batch["net_input"].items()}


def choose_device(name, rank=0):
    """The device that ``--device`` names; "auto" takes a GPU where there is one."""
    if name != "auto":
        try:
            torch.empty(0, device=name)
        except (RuntimeError, AssertionError):
            raise InputError(f"there is no device {name!r} here; try --device auto") from None
        return name
    if torch.cuda.is_available():
        return f"cuda:{rank % torch.cuda.device_count()}"
    return "cpu"
