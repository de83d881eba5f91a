"""Embedding by an engine: runs of whole batches, each embedded by whichever process takes it."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from fairseq_item.progress import progress
from fairseq_item.search.embed import choose_device, embedded

BATCHES = 4  # a process takes at a time


def packed(dataset, features, source=None):
    """What products are read from, for other processes: their files are opened anew there.

    Args:
        dataset, features: of ``open_products`` and ``open_features``.
        source: (``Mirror``, names wanted) of a URL, whose files are fetched there before; None
            where all processes find them under the same names.

    Returns:
        function without arguments that returns both.
    """
    return partial(_unpacked, source, pickle.dumps((dataset, features)))


def _unpacked(source, stores):
    if source:
        mirror, wanted = source
        mirror.pull(wanted)
    return pickle.loads(stores)


@dataclass
class RunEmbedder:
    """Embeds products (start, stop); goes to every process once, the model with it.

    Attributes:
        hub: the model; on the CPU, so that it can go to machines without a GPU.
        stores: of :func:`packed`.
        batch_size: products computed at once.
        device: where to; see ``choose_device``.
        threads: of a CPU.
    """

    hub: Any
    stores: Callable
    batch_size: int
    device: str
    threads: int = 1
    _opened: tuple | None = field(default=None, init=False)

    def __call__(self, run):
        if self._opened is None:
            torch.set_num_threads(self.threads)
            self.hub.to(choose_device(self.device))
            self._opened = self.stores()
        dataset, features = self._opened
        batches = embedded(self.hub, dataset, *run, self.batch_size, 0, features)
        return tuple(map(np.concatenate, zip(*batches)))


def embed_by(engine, embedder, writer, count):
    """Embed ``count`` products by an engine and write them as they come.

    Args:
        engine: see ``engines``.
        embedder: :class:`RunEmbedder`.
        writer: ``EmbeddingWriter``.
        count: number of products.
    """
    size = BATCHES * embedder.batch_size
    runs = [(start, min(start + size, count)) for start in range(0, count, size)]
    made = progress(engine.map(embedder, runs), "embedding", len(runs), "part")
    for (start, _), embeddings in zip(runs, made):
        writer.write(start, *embeddings)
