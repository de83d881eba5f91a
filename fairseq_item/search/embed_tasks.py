"""Embedding by an engine: runs of whole batches, each embedded by whichever process takes it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from fairseq_item.progress import progress
from fairseq_item.search.embed import choose_device, embedded

BATCHES = 4  # a process takes at a time


@dataclass
class RunEmbedder:
    """Embeds products (start, stop); goes to every process once, the model with it.

    Attributes:
        hub: the model; on the CPU, so that it can go to machines without a GPU.
        dataset, features: of ``open_products`` and ``open_features``. Their files are opened
            anew by each process, which must find them under the same names.
        batch_size: products computed at once.
        device: where to; see ``choose_device``.
        threads: of a CPU. Their number can change the last bits of an embedding.
    """

    hub: Any
    dataset: Any
    features: Any
    batch_size: int
    device: str
    threads: int = 1
    _ready: bool = field(default=False, init=False)

    def __call__(self, run):
        if not self._ready:
            torch.set_num_threads(self.threads)
            self.hub.to(choose_device(self.device))
            self._ready = True
        batches = embedded(self.hub, self.dataset, *run, self.batch_size, 0, self.features)
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
