"""Images of a split in fairseq's index format, one item a product, and what they are.

``prefix.bin`` and ``prefix.idx`` hold uint8 items: with codec ``patches`` the patch tensor itself,
with codec ``jpeg`` the bytes of a JPEG file. ``prefix.json`` says which, and is written last: a
store without it is not whole.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from fairseq_item.data.mmap_index import MMapIndex, MMapIndexWriter, bin_path, idx_path
from fairseq_item.data.patches import patchify, unpatchify
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path

VERSION = 1
CODECS = ("patches", "jpeg")
CHANNELS = 3


@dataclass(frozen=True)
class StoreMeta:
    """What ``prefix.json`` says of a store.

    Attributes:
        codec: "patches" or "jpeg".
        image_size: side of the square images in pixels.
        patch_size: side of a patch in pixels; for "jpeg" the one that the size was chosen for.
        channels: values a pixel, 3.
        count: number of images.
        checksum: SHA-256 of ``.bin`` followed by ``.idx``, in hexadecimal.
        version: version of this format.
        fit: how images were brought to a square: "pad", "crop" or "stretch".
        jpeg_quality: quality of "jpeg" items, None for "patches".
        source: digest of the catalogue and settings the store was made from, "" where unknown.
    """

    codec: str
    image_size: int
    patch_size: int
    channels: int
    count: int
    checksum: str
    version: int
    fit: str
    jpeg_quality: int | None = None
    source: str = ""


def json_path(prefix):
    return Path(f"{prefix}.json")


def write_meta(prefix, meta):
    with atomic_path(json_path(prefix)) as path:
        path.write_text(json.dumps(asdict(meta), indent=2) + "\n", encoding="utf-8")


def read_meta(prefix):
    """Read ``prefix.json``.

    Raises:
        InputError: it is missing, damaged, or of another version.
    """
    path = json_path(prefix)
    if not path.exists():
        raise InputError(f"{path} is missing, so the store is not whole; run pack_images.py again")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values["version"]
        if version == VERSION:
            meta = StoreMeta(**values)
            whole = [meta.image_size, meta.patch_size, meta.channels, meta.count]
            if meta.codec in CODECS and all(isinstance(value, int) for value in whole):
                return meta
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged ({error}); run pack_images.py again") from None
    if version != VERSION:
        raise InputError(
            f"{path} has format version {version}, this program reads {VERSION}; pack again"
        )
    raise InputError(f"{path} describes no store known here; run pack_images.py again")


def store_checksum(prefix):
    """SHA-256 of ``prefix.bin`` followed by ``prefix.idx``, in hexadecimal."""
    digest = hashlib.sha256()
    for path in (bin_path(prefix), idx_path(prefix)):
        with open(path, "rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def encode_image(image, codec, patch_size, jpeg_quality=90):
    """A square RGB image (PIL, or an array (H, W, 3) of uint8) as the bytes of a store's item."""
    if codec == "patches":
        return patchify(np.asarray(image), patch_size).tobytes()
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=jpeg_quality)
    return buffer.getvalue()


class ImageStore:
    """Read-only access to the images of a split; opening costs the same for any size.

    Args:
        prefix: path without suffix, such as ``data-bin/image/train``.

    Attributes:
        meta: ``StoreMeta``.

    Raises:
        InputError: a file of the store is missing, damaged, or does not fit the others.
    """

    def __init__(self, prefix):
        self.prefix = str(prefix)
        self.meta = read_meta(prefix)
        self._index = MMapIndex(prefix)
        count = len(self._index)
        if self._index.dtype != np.uint8 or count != self.meta.count:
            raise InputError(
                f"{idx_path(prefix)} has {count} items of {self._index.dtype} where "
                f"{json_path(prefix)} says {self.meta.count} of uint8; run pack_images.py again"
            )
        size = self.meta.image_size**2 * self.meta.channels
        # The ends stand for all: looking at every size would make opening slow.
        ends = {int(self._index.sizes[0]), int(self._index.sizes[-1])} if count else {size}
        if self.meta.codec == "patches" and ends != {size}:
            raise InputError(
                f"{idx_path(prefix)} has items of {min(ends)} bytes where {json_path(prefix)} "
                f"makes them {size}; run pack_images.py again"
            )

    def __len__(self):
        return len(self._index)

    def raw(self, i):
        """The stored bytes of item ``i``: uint8 of shape (n,), a view of the file."""
        return self._index[i]

    def patches(self, i):
        """Image ``i`` as patches: uint8 of shape (m, patch_size**2 * 3).

        With codec "patches" a view of the file, not to be written to.
        """
        if self.meta.codec == "patches":
            return self.raw(i).reshape(-1, self.meta.patch_size**2 * self.meta.channels)
        return patchify(self.image(i), self.meta.patch_size)

    def prefetch(self, indices):
        """Have the images ``indices`` (int array) fetched from the disk: a hint, before
        ``rows`` or ``image`` is asked for each."""
        self._index.prefetch(indices)

    def side(self, i):
        """Height and width of image ``i`` in pixels."""
        return self.meta.image_size

    def image(self, i):
        """Image ``i``: uint8 of shape (image_size, image_size, 3).

        Raises:
            InputError: the item is damaged.
        """
        return self.rows(i, 0, self.meta.image_size)

    def rows(self, i, top, bottom):
        """Rows ``top`` to ``bottom`` of image ``i``: uint8 (bottom - top, image_size, 3).

        With codec "patches" no other rows are read, but for those of the same patches.

        Raises:
            InputError: the item is damaged.
        """
        if self.meta.codec == "jpeg":
            return self._decode(i)[top:bottom]
        size, p, channels = self.meta.image_size, self.meta.patch_size, self.meta.channels
        first, last = top // p, -(-bottom // p)
        row = p * size * channels  # bytes of a row of patches
        patches = self._index.read(i, first * row, last * row).reshape(-1, p * p * channels)
        pixels = unpatchify(patches, p, ((last - first) * p, size))
        return pixels[top - first * p : bottom - first * p]

    def _decode(self, i):
        size = self.meta.image_size
        try:
            pixels = np.asarray(Image.open(BytesIO(self._index.read(i)), formats=["JPEG"]))
        except OSError as error:
            raise InputError(f"{bin_path(self.prefix)}: item {i} is damaged ({error})") from None
        if pixels.shape != (size, size, self.meta.channels):
            raise InputError(f"{bin_path(self.prefix)}: item {i} has shape {pixels.shape}")
        return pixels

    def verify(self):
        """Read the store from end to end and compare it with its checksum.

        Raises:
            InputError: it was changed or damaged after it was written.
        """
        if store_checksum(self.prefix) != self.meta.checksum:
            raise InputError(
                f"{bin_path(self.prefix)} and .idx do not have the checksum that "
                f"{json_path(self.prefix)} says; run pack_images.py again"
            )


class ImageStoreWriter:
    """Write square images one after another; use as a context manager.

    Args:
        prefix: path without suffix.
        codec: "patches" or "jpeg".
        image_size: side of the images in pixels, a multiple of ``patch_size``.
        patch_size: side of a patch in pixels.
        fit: how the images were brought to a square, for the record.
        jpeg_quality: 1 to 95, for codec "jpeg".
    """

    def __init__(
        self, prefix, codec="patches", image_size=256, patch_size=16, fit="pad", jpeg_quality=90
    ):
        if codec not in CODECS:
            raise ValueError(f"codec is {codec!r}; it must be one of {', '.join(CODECS)}")
        if image_size % patch_size:
            raise ValueError(f"{image_size} pixels are not a multiple of {patch_size}")
        self.prefix = str(prefix)
        self._meta = StoreMeta(
            codec=codec,
            image_size=image_size,
            patch_size=patch_size,
            channels=CHANNELS,
            count=0,
            checksum="",
            version=VERSION,
            fit=fit,
            jpeg_quality=jpeg_quality if codec == "jpeg" else None,
        )
        self._writer = MMapIndexWriter(prefix, np.uint8)

    def __enter__(self):
        self._writer.__enter__()
        return self

    def add(self, image):
        """Append an image of ``image_size`` x ``image_size``, PIL in RGB or uint8 (H, W, 3)."""
        meta = self._meta
        shape = np.shape(image)
        if shape != (meta.image_size, meta.image_size, meta.channels):
            raise ValueError(f"an image of shape {shape} in a store of {meta.image_size} pixels")
        item = encode_image(image, meta.codec, meta.patch_size, meta.jpeg_quality)
        self._writer.add(item)

    def __exit__(self, kind, error, trace):
        if kind is None:
            # The old description must not outlive the files it describes.
            json_path(self.prefix).unlink(missing_ok=True)
        self._writer.__exit__(kind, error, trace)
        if kind is None:
            count, checksum = len(self._writer.sizes), store_checksum(self.prefix)
            values = {**asdict(self._meta), "count": count, "checksum": checksum}
            write_meta(self.prefix, StoreMeta(**values))
