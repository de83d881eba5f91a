"""What packing does in its worker processes: decoding and encoding images."""

import hashlib
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
