"""Decoding and encoding images in several processes, in order and within bounded memory."""

import hashlib
import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from fairseq_item.data.image_store import encode_image
from fairseq_item.data.images import ImageError, ImageRoot, decode_image, fit_square
from fairseq_item.preprocess.pack_journal import Chunk


@dataclass(frozen=True)
class ImageSettings:
    """How images are stored; see ``StoreMeta``."""

    image_size: int = 256
    patch_size: int = 16
    codec: str = "patches"
    fit: str = "pad"
    jpeg_quality: int = 90


@dataclass
class ChunkPacker:
    """Turns the image names of consecutive rows into a ``Chunk`` and its items' bytes."""

    root: ImageRoot
    settings: ImageSettings

    def __call__(self, names):
        items, rejected = [], []
        for position, name in enumerate(names):
            try:
                items.append(self._item(name))
            except (KeyError, ImageError) as error:
                rejected.append((position, error.args[0]))
        data = b"".join(items)
        sizes = [len(item) for item in items]
        return Chunk(len(names), sizes, rejected, hashlib.sha256(data).hexdigest()), data

    def _item(self, name):
        to = self.settings
        image = decode_image(self.root.read(name), target=to.image_size)
        square = fit_square(image, to.image_size, to.fit)
        return encode_image(square, to.codec, to.patch_size, to.jpeg_quality)


def map_in_order(function, inputs, workers):
    """Yield ``function(x)`` for each of ``inputs``, in order, computed by ``workers`` processes.

    At most two inputs a worker are under way, however slowly the results are taken.
    """
    if workers == 1:
        _ignore_pillow_warnings()
        yield from map(function, inputs)
        return
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(function,)) as pool:
        pending = deque()
        try:
            for item in inputs:
                pending.append(pool.submit(_call, item))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker(function):
    global _function
    _function = function
    _ignore_pillow_warnings()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    # A killed parent cannot tell its workers to stop, and they would wait for work for ever.
    multiprocessing.parent_process().join()
    os._exit(1)


def _call(item):
    return _function(item)


def _ignore_pillow_warnings():
    """Metadata that Pillow grumbles at does no harm here; what does is in the reasons."""
    warnings.filterwarnings("ignore", module="PIL")
