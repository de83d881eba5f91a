"""Titles and small images of catalogue items, for the gallery."""

import base64
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from PIL import Image

from fairseq_item.data.image_store import ImageStore
from fairseq_item.data.images import ImageError, ImageRoot, decode_image
from fairseq_item.data.sharded import shard_names
from fairseq_item.data.tsv import read_table
from fairseq_item.errors import InputError

SIDE = 224
QUALITY = 82


def small_image(image: Image.Image, side: int) -> bytes:
    """A WebP file of an image, which is made smaller where it has more than ``side`` pixels."""
    image.thumbnail((side, side))
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY)
    return buffer.getvalue()


class GalleryItems:
    """What the gallery shows of the items of some splits.

    Args:
        data: data-bin folder.
        splits: names of splits; sharded ones are read whole.
        image_root: folder or tar of the original images; None takes the stored ones.

    Raises:
        InputError: a split is missing, or an id occurs in two of them.
    """

    def __init__(
        self, data: str | Path, splits: Iterable[str], image_root: str | Path | None = None
    ) -> None:
        self._root = None if image_root is None else ImageRoot(image_root)
        self._stores: dict[str, ImageStore] = {}
        # item -> its title and image name, and its store and row there
        self._rows: dict[str, tuple[str, str, str, int]] = {}
        names = [name for split in splits for name in shard_names(data, split)]
        for name in names:
            path = Path(data) / "items" / f"{name}.tsv"
            table = read_table(path, ["id", "title", "image"])
            columns = (table.column(column) for column in ("id", "title", "image"))
            prefix = str(Path(data) / "image" / name)
            for i, (item, title, image) in enumerate(zip(*columns)):
                if item in self._rows:
                    raise InputError(f"{path} row {i + 2} has the id {item!r} of another split")
                self._rows[item] = (title, image, prefix, i)

    def __contains__(self, item: str) -> bool:
        return item in self._rows

    def title(self, item: str) -> str:
        return self._rows[item][0]

    def image(self, item: str) -> str:
        """The item's image as a data URI, at most ``SIDE`` pixels wide and high.

        Returns:
            str; "" where the item has no image, or its file cannot be used.
        """
        _, name, prefix, i = self._rows[item]
        image = self._stored(prefix, i) if self._root is None else self._original(name)
        if image is None:
            return ""
        data = small_image(image, SIDE)
        return "data:image/webp;base64," + base64.b64encode(data).decode("ascii")

    def _original(self, name):
        try:
            return decode_image(self._root.read(name))
        except (KeyError, ImageError):
            return None

    def _stored(self, prefix, i):
        if prefix not in self._stores:
            self._stores[prefix] = ImageStore(prefix)
        store = self._stores[prefix]
        return Image.fromarray(store.image(i)) if len(store.raw(i)) else None
