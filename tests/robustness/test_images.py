"""Images, tars of them and titles: used as they are, listed with a reason, or refused."""

import gzip
import io
import os
import random
import struct
import tarfile
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from fairseq_item.data.image_root import ImageRoot
from fairseq_item.data.images import MAX_PIXELS, ImageError, decode_image, fit_square
from fairseq_item.data.text import clean_title
from fairseq_item.data.titles import TitleTokenizer

RNG = np.random.default_rng(0)
PIXELS = Image.fromarray(RNG.integers(0, 256, (9, 13, 3), dtype=np.uint8)).resize((52, 36))
SAVED = {
    "jpeg": {"format": "JPEG"},
    "progressive jpeg": {"format": "JPEG", "progressive": True},
    "png": {"format": "PNG"},
    "gif": {"format": "GIF"},
    "bmp": {"format": "BMP"},
    "webp": {"format": "WEBP"},
    "tiff": {"format": "TIFF", "compression": "tiff_lzw"},
    "ppm": {"format": "PPM"},
    "ico": {"format": "ICO", "sizes": [(32, 32)]},
}


def saved(name):
    file = io.BytesIO()
    PIXELS.save(file, **SAVED[name])
    return file.getvalue()


def damaged(data, kind, rng):
    at = rng.randrange(2, len(data))
    if kind == "cut":
        return data[:at]
    if kind == "flipped":
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        return bytes(changed)
    if kind == "header":
        changed = bytearray(data)
        for position in range(4, min(30, len(data))):
            changed[position] = rng.randrange(256) if rng.random() < 0.3 else changed[position]
        return bytes(changed)
    return data[:at] + rng.randbytes(20) + data[at + 20 :]


def decode(data, rejected):
    try:
        return decode_image(data)
    except ImageError as reason:
        raise rejected(reason) from None


def as_pillow_sees_it(data):
    """Asserts that an image is what Pillow itself makes of the same bytes."""

    def check(image):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as theirs:
                theirs.load()
                assert image.mode == "RGB"
                assert sorted(image.size) == sorted(theirs.size)
                if theirs.mode == "RGB" and image.size == theirs.size:
                    assert np.array_equal(np.asarray(image), np.asarray(theirs))
        assert fit_square(image, 16).size == (16, 16)

    return check


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", ["cut", "flipped", "header", "noise"])
@pytest.mark.parametrize("name", SAVED)
def test_damaged_images(trial, rejected, name, kind, seed):
    data = damaged(saved(name), kind, random.Random(f"{name} {kind} {seed}"))
    trial("images, damaged bytes", lambda: decode(data, rejected), as_pillow_sees_it(data))


def png_of(width, height):
    """A PNG whose header promises so many pixels, and no more."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + crc


STRANGE = {
    "empty": b"",
    "one byte": b"\xff",
    "text": b"<html>404 not found</html>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "postscript, a program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "a bomb": png_of(60_000, 60_000),
    "just too large": png_of(MAX_PIXELS + 1, 1),
    "no width": png_of(0, 5),
    "the header alone": saved("png")[:33],
    "a pickle": b"\x80\x04\x95\x0b\x00",
    "zeros": bytes(1000),
    "a JPEG's first marker": b"\xff\xd8\xff\xe0",
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_image(trial, rejected, name):
    trial("images, strange content", lambda: decode(STRANGE[name], rejected), print, "rejected")


def tar_of(names, content=b"x" * 700, **fields):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for field, value in fields.items():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def with_size(data, size):
    """The first member's size written over, and its checksum made right again."""
    header = bytearray(data[:512])
    header[124:136] = size
    header[148:156] = b"        "
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + data[512:]


TARS = {
    # name: (bytes, what reading "a.jpg" may end in)
    "whole": (tar_of(["a.jpg", "b.jpg"]), "kept"),
    "named with ./": (tar_of(["./a.jpg"]), "kept"),
    "the name twice": (tar_of(["a.jpg", "a.jpg"]), "kept"),
    "leading out": (tar_of(["../a.jpg"]), "rejected"),
    "absolute": (tar_of(["/a.jpg"]), "rejected"),
    "a folder": (tar_of(["a.jpg"], b"", type=tarfile.DIRTYPE), "rejected"),
    "a link to a password file": (
        tar_of(["a.jpg"], b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "rejected",
    ),
    "a hard link to nothing": (
        tar_of(["a.jpg"], b"", type=tarfile.LNKTYPE, linkname="no.jpg"), "rejected",
    ),
    "a device": (tar_of(["a.jpg"], b"", type=tarfile.CHRTYPE), "rejected"),
    "empty": (b"", "refused"),
    "no tar": (b"no tar at all" * 100, "refused"),
    "compressed": (gzip.compress(tar_of(["a.jpg"])), "refused"),
    "cut in a file": (tar_of(["a.jpg"])[:900], "refused"),
    "cut in a header": (tar_of(["b.jpg", "a.jpg"])[:1736], "refused"),
    "a checksum that is wrong": (b"b" + tar_of(["a.jpg"])[1:], "refused"),
    "a negative size": (with_size(tar_of(["a.jpg"]), b"\xff" * 12), "refused"),
    "a size of exabytes": (
        with_size(tar_of(["a.jpg"]), b"\x80" + b"\x00" * 3 + b"\x7f" * 8), "refused",
    ),
    "a size that is no number": (with_size(tar_of(["a.jpg"]), b"9z9z9z9z9z9\0"), "refused"),
}  # fmt: skip


@pytest.mark.parametrize("name", TARS)
def test_tars(tmp_path, trial, rejected, name):
    data, expected = TARS[name]
    (tmp_path / "images.tar").write_bytes(data)

    def read():
        root = ImageRoot(tmp_path / "images.tar")
        try:
            return root.read("a.jpg")
        except KeyError as reason:
            raise rejected(reason) from None

    def check(found):
        assert found == b"x" * 700

    trial("tars", read, check, expected)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_tars(tmp_path, trial, rejected, seed):
    rng, names = random.Random(seed), ["a.jpg", "b.jpg", "c.jpg"]
    data = bytearray(tar_of(names, bytes(range(256)) * 3))
    header = rng.randrange(3) * (512 + 1024)
    data[header + rng.randrange(512)] ^= 1 << rng.randrange(8)
    (tmp_path / "images.tar").write_bytes(data)

    def read():
        root, found = ImageRoot(tmp_path / "images.tar"), []
        for name in names:
            try:
                found.append(root.read(name))
            except KeyError as reason:
                raise rejected(reason) from None
        return found

    def check(found):
        assert found == [bytes(range(256)) * 3] * 3

    trial("tars", read, check)


NAMES = {
    "empty": "", "NUL": "a\0b.jpg", "absolute": "/etc/passwd", "leading out": "../secret",
    "leading out within": "a/../../secret", "missing": "no.jpg", "a folder": "sub",
    "a pipe": "pipe", "a loop of links": "loop", "too long": "x" * 5000,
    "a surrogate": "\ud800.jpg", "below a file": "a.jpg/b.jpg", "a dot": ".",
    "backslashes": "..\\secret",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_in_a_folder(tmp_path, trial, rejected, name):
    root = tmp_path / "images"
    (root / "sub").mkdir(parents=True)
    (root / "a.jpg").write_bytes(b"a")
    (tmp_path / "secret").write_bytes(b"secret")
    os.mkfifo(root / "pipe")
    (root / "loop").symlink_to("loop")

    def read():
        try:
            return ImageRoot(root).read(NAMES[name])
        except KeyError as reason:
            raise rejected(reason) from None

    trial("image names", read, print, "rejected")


TITLES = {
    "empty": "", "blanks": " \t \u3000", "NUL": "red\0shoe",
    "control characters": "".join(map(chr, range(32))),
    "a lone surrogate": "red \ud83d shoe", "both halves of a pair": "\ud83d\ude00",
    "zero-width characters": "\u200b\u200c\u200d\ufeff", "right to left": "حذاء أحمر",
    "bidirectional marks": "\u202ered\u202c", "combining marks": "e" + "\u0301" * 500,
    "emojis": "👟👠👡🥾🥿", "a megabyte": "shoe " * 200_000, "one long word": "x" * 100_000,
    "line ends": "a\nb\r\nc\u2028d\u2029e\x85f", "private use": "\ue000\uf8ff",
    "the last code points": "\ufffe\uffff\U0010ffff",
    "specials of the model": "<s> <pad> </s> <unk> <mask>",
    "SentencePiece's blank": "▁▁a▁", "bytes of SentencePiece": "<0x41><0xFF>",
    "digits of all scripts": "٣४߅𝟗",
    "HTML": "<script>alert(1)</script>", "a formula": "=cmd|' /C calc'!A0",
}  # fmt: skip


@pytest.mark.parametrize("name", TITLES)
def test_titles(data_bin, trial, name):
    tokenizer = TitleTokenizer(data_bin / "title" / "bpe.model", data_bin / "title" / "dict.txt")
    title = TITLES[name]

    def check(ids):
        assert ids.dtype == np.int32
        assert ids.ndim == 1
        if len(ids):
            assert ids.min() >= 3  # <unk> or a token, none of the other specials
            assert ids.max() < len(tokenizer)
        assert np.array_equal(ids, tokenizer.encode(clean_title(title)))
        assert bool(len(ids)) == bool(tokenizer.tokens(title))

    trial("titles", lambda: tokenizer.encode(title), check, "kept")
