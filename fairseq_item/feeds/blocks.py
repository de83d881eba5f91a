"""Reading a file of unknown make, gzipped or not, in memory that does not grow with it."""

import gzip
import re
import zlib
from pathlib import Path

from fairseq_item.errors import InputError

BLOCK = 1 << 20
MAX_LINE = 16 << 20
# Texts shrink five to twenty times; 1,000 times is what a bomb does. Small files may.
MAX_RATIO, FREE_BYTES = 200, 64 << 20
_NO_UTF8 = re.compile("[\udc80-\udcff]")


def blocks(path):
    """Yield a file's bytes, at most ``BLOCK`` at a time; gzip is told by its first two bytes.

    Raises:
        InputError: the file is missing, cannot be read or unpacked, or unpacks to over
            ``MAX_RATIO`` times its size.
    """
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            file = gzip.GzipFile(fileobj=raw) if zipped else raw
            total = 0
            while block := file.read(BLOCK):
                total += len(block)
                if zipped and total > FREE_BYTES and total > MAX_RATIO * raw.tell():
                    raise InputError(
                        f"{path} unpacks to over {MAX_RATIO} times its size, as no catalogue "
                        "does; unpack it yourself if you trust it"
                    )
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} cannot be unpacked ({error}); get it again") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name a file") from None


def lines(path):
    """Yield (number from 1, line without its end) of a UTF-8 file.

    Bytes that are not UTF-8 become halves of surrogate pairs; :func:`is_utf8` finds them.

    Raises:
        InputError: as :func:`blocks`; the file is UTF-16, or has a line of over ``MAX_LINE`` bytes.
    """
    count, rest = 0, b""
    for block in blocks(path):
        if not count and not rest:
            block = _without_mark(path, block)
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            count += 1
            yield count, _decode(line)
        if len(rest) > MAX_LINE:
            raise InputError(
                f"{path} line {count + 1} is over {MAX_LINE >> 20} MiB long; this is no file of "
                "products, or its line ends are lost"
            )
    if rest:
        yield count + 1, _decode(rest)


def first_line(path):
    """The first line that is not blank, or the start of a long one; empty if there is none."""
    text = b""
    for block in blocks(path):
        text = (text + _without_mark(path, block)).lstrip()
        if b"\n" in text or len(text) > BLOCK:
            break
    return _decode(text[:BLOCK].split(b"\n")[0])


def is_utf8(text):
    """Whether a line was whole UTF-8."""
    return text.isascii() or not _NO_UTF8.search(text)


def stem(path):
    """A file's name without its extensions: "train" of train.csv.gz."""
    return Path(path).name.split(".")[0]


def _without_mark(path, block):
    """The first block without a byte order mark."""
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} is UTF-16; save it as UTF-8")
    return block.removeprefix(b"\xef\xbb\xbf")


def _decode(line):
    return line.decode("utf-8", "surrogateescape").rstrip("\r")
