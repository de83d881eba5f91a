"""Images of a split in fairseq's index format, one item a product, and what they are.

``prefix.bin`` and ``prefix.idx`` hold uint8 items: with codec ``patches`` the patch tensor itself,
with codec ``jpeg`` the bytes of a JPEG file. ``prefix.json`` says which, and is written last: a
store without it is not whole.
"""

import hashlib
import os
from array import array
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from fairseq_item.data.image_store_meta import (
    CHANNELS,
    CODECS,
    MEND,
    VERSION,
    StoreMeta,
    json_path,
    read_meta,
    store_checksum,
    write_meta,
)
from fairseq_item.data.mmap_index import MMapIndex, bin_path, idx_path, write_idx
from fairseq_item.data.patches import patchify, unpatchify
from fairseq_item.digests import CHEAP, digest, sample
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path, writing

LARGEST_JPEG = 1 << 30  # bytes


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
    """Read-only access to the images of a split; opening reads 12 bytes an image.

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
        size = self.meta.image_size**2 * self.meta.channels
        patches = self.meta.codec == "patches"
        least, most = (size, size) if patches else (1, LARGEST_JPEG)
        self._index = MMapIndex(prefix, least, most, MEND)
        count = len(self._index)
        if self._index.dtype != np.uint8 or count != self.meta.count:
            raise InputError(
                f"{idx_path(prefix)} has {count} items of {self._index.dtype} where "
                f"{json_path(prefix)} says {self.meta.count} of uint8; {MEND}"
            )
        if self.meta.index and digest(idx_path(prefix))["sha256"] != self.meta.index:
            raise InputError(f"{idx_path(prefix)} is not the file that was written here; {MEND}")

    def check_items(self, items):
        """Refuse to go with an items file of another digest.

        A small store is verified, too, and of a large one some pieces are read.

        Raises:
            InputError: the images were packed with another one, or were changed since.
        """
        if self.meta.items not in ("", items):
            raise InputError(f"{self.prefix}.bin belongs to another items file; {MEND}")
        data = bin_path(self.prefix)
        if self.meta.items and data.stat().st_size <= CHEAP:
            self.verify()
        elif self.meta.sample and sample(data) != self.meta.sample:
            raise InputError(f"{data} is not the file that was written here; {MEND}")

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
        except InputError:
            raise
        except Exception as error:  # Pillow's parsers raise whatever damaged bytes lead them to
            reason = " ".join(str(error).split())
            raise InputError(
                f"{bin_path(self.prefix)}: item {i} is damaged ({reason}); {MEND}"
            ) from None
        if pixels.shape != (size, size, self.meta.channels):
            raise InputError(f"{bin_path(self.prefix)}: item {i} has shape {pixels.shape}; {MEND}")
        return pixels

    def verify(self):
        """Read the store from end to end and compare it with its checksum.

        Raises:
            InputError: it was changed or damaged after it was written.
        """
        if store_checksum(self.prefix) != self.meta.checksum:
            raise InputError(
                f"{bin_path(self.prefix)} and .idx do not have the checksum that "
                f"{json_path(self.prefix)} says; {MEND}"
            )


def unfinished_path(prefix):
    """Where the items of a store lie while it is written."""
    prefix = Path(prefix)
    return prefix.with_name(f".{prefix.name}.unfinished")


class ImageStoreWriter:
    """Write an image store, item after item; it appears under its name only when it is whole.

    Until then the items lie in ``unfinished``, beside the store. As a context manager, the store
    is finished at the end of the block, or given up on an exception. Who wants to go on after
    being killed opens the writer with ``resume``, calls :meth:`recover` for what was written, and
    ends with :meth:`finish`.

    Args:
        prefix: path without suffix.
        codec: "patches" or "jpeg".
        image_size: side of the images in pixels, a multiple of ``patch_size``.
        patch_size: side of a patch in pixels.
        fit: how the images were brought to a square, for the record.
        jpeg_quality: 1 to 95, for codec "jpeg".
        source: digest of what the store is made from, for the record.
        resume: whether to keep what an earlier writer left.

    Attributes:
        sizes: bytes of each item so far.
        unfinished: where the items lie.
    """

    def __init__(
        self,
        prefix,
        codec="patches",
        image_size=256,
        patch_size=16,
        fit="pad",
        jpeg_quality=90,
        source="",
        resume=False,
    ):
        if codec not in CODECS:
            raise ValueError(f"codec is {codec!r}; it must be one of {', '.join(CODECS)}")
        if image_size % patch_size:
            raise ValueError(f"{image_size} pixels are not a multiple of {patch_size}")
        self.prefix = Path(prefix)
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
            source=source,
        )
        self.sizes = array("i")  # 4 bytes an item, where a list would take 36
        self._end, self._digest = 0, hashlib.sha256()
        self.unfinished = unfinished_path(prefix)
        self.unfinished.parent.mkdir(parents=True, exist_ok=True)
        if resume:
            self._take_back_renamed()
        keep = resume and self.unfinished.exists()
        self._data = open(self.unfinished, "r+b" if keep else "w+b")  # noqa: SIM115  (for close())

    def _take_back_renamed(self):
        """Undo the renaming of a writer that was killed between that and the description."""
        data = bin_path(self.prefix)
        if not self.unfinished.exists() and not json_path(self.prefix).exists() and data.exists():
            os.replace(data, self.unfinished)

    def recover(self, sizes, sha256):
        """Take up the next items that an earlier writer left.

        Args:
            sizes: bytes of each.
            sha256: digest of all of them, in hexadecimal.

        Returns:
            bool: whether they are there, unharmed; if not, nothing more can be recovered.
        """
        data = self._data.read(sum(sizes))
        whole = hashlib.sha256(data).hexdigest() == sha256
        if whole:
            self._count(sizes, data)
        return whole

    def _count(self, sizes, data):
        self.sizes.extend(sizes)
        self._digest.update(data)
        self._end += len(data)

    def append(self, sizes, data):
        """Append encoded items: the bytes of each, one after another, and their sizes."""
        with writing(self.unfinished):
            self._data.seek(self._end)  # over what could not be recovered
            self._data.write(data)
            self._data.flush()
        self._count(sizes, data)

    def add(self, image):
        """Append an image of ``image_size`` x ``image_size``, PIL in RGB or uint8 (H, W, 3)."""
        meta = self._meta
        shape = np.shape(image)
        if shape != (meta.image_size, meta.image_size, meta.channels):
            raise ValueError(f"an image of shape {shape} in a store of {meta.image_size} pixels")
        item = encode_image(image, meta.codec, meta.patch_size, meta.jpeg_quality)
        self.append([len(item)], item)

    def retire_old(self):
        """Make a store that has the same name unreadable; :meth:`finish` does it, too."""
        json_path(self.prefix).unlink(missing_ok=True)

    def finish(self, items=""):
        """Put the store in its place, its description last; returns its ``StoreMeta``.

        Args:
            items: digest of the items file that it belongs to, for the record.
        """
        self._data.truncate(self._end)
        self._data.close()
        self.retire_old()
        with atomic_path(idx_path(self.prefix)) as path:
            write_idx(path, self.sizes, np.uint8)
            self._digest.update(path.read_bytes())
            index = digest(path)["sha256"]
        pieces = sample(self.unfinished)
        os.replace(self.unfinished, bin_path(self.prefix))
        checksum = self._digest.hexdigest()
        meta = replace(
            self._meta,
            count=len(self.sizes),
            checksum=checksum,
            items=items,
            index=index,
            sample=pieces,
        )
        write_meta(self.prefix, meta)
        return meta

    def close(self):
        """Leave the items where they are."""
        self._data.close()

    def discard(self):
        """Remove what was written."""
        self._data.close()
        self.unfinished.unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.finish()
        else:
            self.discard()
