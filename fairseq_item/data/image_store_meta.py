"""``prefix.json``: what an image store is, and whether it is whole."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from fairseq_item import digests
from fairseq_item.data.mmap_index import bin_path, idx_path
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path

VERSION = 1
CODECS = ("patches", "jpeg")
CHANNELS = 3
LARGEST = 16_384  # side in pixels
MEND = "run item-pack again"


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
        items: SHA-256 of the items file that the images belong to, "" where unknown.
        index: SHA-256 of ``.idx``, "" where unknown.
        sample: SHA-256 of pieces of ``.bin``, "" where unknown.
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
    items: str = ""
    index: str = ""
    sample: str = ""


def json_path(prefix):
    return Path(f"{prefix}.json")


def write_meta(prefix, meta):
    with atomic_path(json_path(prefix)) as path:
        values = digests.sealed(asdict(meta))
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_meta(prefix):
    """Read ``prefix.json``.

    Raises:
        InputError: it is missing, damaged, changed, or of another version.
    """
    path = json_path(prefix)
    if not path.exists():
        raise InputError(f"{path} is missing, so the store is not whole; {MEND}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values["version"]
        if version == VERSION:
            meta = StoreMeta(**digests.unsealed(path, values, MEND))
            if _possible(meta):
                return meta
    except (TypeError, KeyError, AttributeError, RecursionError):
        raise InputError(f"{path} is damaged; {MEND}") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged ({error}); {MEND}") from None
    if version != VERSION:
        raise InputError(
            f"{path} has format version {version}, this program reads {VERSION}; {MEND}"
        )
    raise InputError(f"{path} describes no store known here; {MEND}")


def _possible(meta):
    sizes = (meta.image_size, meta.patch_size, meta.channels, meta.count)
    if any(type(value) is not int for value in sizes) or meta.codec not in CODECS:
        return False
    texts = (meta.checksum, meta.fit, meta.source, meta.items, meta.index, meta.sample)
    return (
        all(isinstance(text, str) for text in texts)
        and meta.channels == CHANNELS
        and 1 <= meta.patch_size <= meta.image_size <= LARGEST
        and meta.image_size % meta.patch_size == 0
        and meta.count >= 0
    )


def store_checksum(prefix):
    """SHA-256 of ``prefix.bin`` followed by ``prefix.idx``, in hexadecimal."""
    digest = hashlib.sha256()
    for path in (bin_path(prefix), idx_path(prefix)):
        with open(path, "rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
