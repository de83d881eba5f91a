"""The images of an index's items, small enough for a page."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from fairseq_item.data.image_store import ImageStore
from fairseq_item.data.images import ImageError, ImageRoot, decode_image
from fairseq_item.data.sharded import shard_names
from fairseq_item.data.tsv import read_table
from fairseq_item.reports.gallery_items import small_image

SIDE = 320
# Small images that are kept, of about 10 KB each.
KEPT = 4096
DEFAULT_SPLITS = ("train", "valid", "test")


class ItemImages:
    """Images of the items of an index.

    Args:
        index: ``ItemIndex``.
        data: data-bin folders whose stored images are shown -> their splits that hold the items; of
            an item that is in several, that of the last.
        image_root: folder or tar of the original images, which are shown instead; or None.

    Raises:
        InputError: a split or the image root is missing or damaged.
    """

    def __init__(self, index, data, image_root=None):
        self._items = index.items
        self._root = None if image_root is None else ImageRoot(image_root)
        self._stores = []
        self._store = np.full(len(index), -1, np.int32)
        self._position = np.zeros(len(index), np.int64)
        for folder, splits in data.items() if self._root is None else ():
            self._find_stored(index, Path(folder), splits)
        self.thumbnail = lru_cache(KEPT)(self._thumbnail)

    def _find_stored(self, index, data, splits):
        rows = {name: row for row, name in enumerate(index.ids)}
        for name in (name for split in splits for name in shard_names(data, split)):
            for position, item in enumerate(
                read_table(data / "items" / f"{name}.tsv").values("id")
            ):
                if item in rows:
                    self._store[rows[item]] = len(self._stores)
                    self._position[rows[item]] = position
            self._stores.append(ImageStore(data / "image" / name))

    def __contains__(self, row):
        """Whether the item at storage position ``row`` has an image, as far as is known."""
        if self._root is not None:
            return bool(self._items[row].get("image"))
        return self._store[row] >= 0 and bool(len(self._raw(row)))

    def _raw(self, row):
        return self._stores[self._store[row]].raw(int(self._position[row]))

    def _thumbnail(self, row):
        """The item's image as WebP, at most ``SIDE`` pixels wide and high: bytes.

        Returns:
            None where it has none, or its file cannot be used.
        """
        if row not in self:
            return None
        if self._root is None:
            pixels = self._stores[self._store[row]].image(int(self._position[row]))
            return small_image(Image.fromarray(pixels), SIDE)
        try:
            data = self._root.read(self._items[row]["image"])
            return small_image(decode_image(data, SIDE), SIDE)
        except (KeyError, ImageError):
            return None
