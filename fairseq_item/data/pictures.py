"""Decoding any picture a shop may have into RGB, and bringing it to a square."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from fairseq_item.data.image_root import ImageRoot

__all__ = ["FITS", "MAX_PIXELS", "ImageRoot", "PictureError", "decode_picture", "fit_square"]

FITS = ("pad", "crop", "stretch")
# Width times height of the stored picture, checked before anything is decoded: 268 MB as RGB.
# Pillow's own threshold for what may be a decompression bomb.
MAX_PIXELS = 89_478_485
# Photos only: some of Pillow's other formats are programs (EPS runs Ghostscript) or need a device.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
ORIENTATION = 0x0112
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(ValueError):
    """A picture that cannot be used; the message is the reason, in a few words."""


def decode_picture(data, target=None):
    """Decode a picture into RGB, upright, on white where it is transparent.

    Takes greyscale, palette, 1-bit, CMYK and 16-bit pictures; of an animation the first frame.

    Args:
        data: bytes of the file.
        target: side in pixels that the picture will be resized to. JPEGs much larger than that
            are decoded at 1/2, 1/4 or 1/8 of their size, several times faster, with both sides
            still at least twice the target.

    Returns:
        PIL.Image.Image: mode RGB.

    Raises:
        PictureError: the data is empty, in no known format, cut off, damaged, or the picture has
            more than ``MAX_PIXELS`` pixels.
    """
    if not data:
        raise PictureError("empty file")
    try:
        picture = Image.open(BytesIO(data), formats=_known_formats())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureError(f"huge: more than {MAX_PIXELS} pixels") from None
    except Exception:  # Pillow's parsers raise whatever a damaged header leads them to
        raise PictureError("unreadable: not a picture in a known format") from None
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width} x {picture.height}"
        raise PictureError(f"huge: {size} pixels, the limit is {MAX_PIXELS}")
    try:
        if target is not None:
            picture.draft(None, (2 * target, 2 * target))
        picture.load()
        return to_rgb(picture)
    except Exception as error:  # as above, for the pixels
        kind = "truncated" if "truncated" in str(error) else "damaged"
        raise PictureError(f"{kind}: {' '.join(str(error).split()) or kind}") from None


def to_rgb(picture):
    """A PIL picture of any mode as RGB: upright by its EXIF, on white where it is transparent."""
    return _upright(_rgb(picture), picture)


@lru_cache(1)
def _known_formats():
    """Those of ``FORMATS`` that this build of Pillow can read."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _upright(rgb, source):
    try:
        turn = TRANSPOSITIONS.get(source.getexif().get(ORIENTATION))
    except Exception:  # damaged EXIF says nothing of the picture itself
        turn = None
    return rgb if turn is None else rgb.transpose(turn)


def _rgb(picture):
    transparent = None
    if picture.mode == "F" or picture.mode.startswith("I"):
        picture, transparent = _eight_bits(picture)
    elif picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        transparent = ImageOps.invert(picture.getchannel("A"))
    picture = picture.convert("RGB")
    if transparent is not None:
        picture.paste((255, 255, 255), mask=transparent)
    return picture


def _eight_bits(picture):
    """A greyscale picture of more than 8 bits as 8 bits, and its transparent places, if any.

    Values of 0 to 65,535 are taken for 16-bit samples. Others have no scale of their own, so
    their range is spread over black to white.
    """
    values = np.asarray(picture).astype(np.float32)
    transparent = None
    if isinstance(picture.info.get("transparency"), int):
        holes = values == picture.info["transparency"]
        transparent = Image.fromarray(np.where(holes, np.uint8(255), np.uint8(0)))
    values = np.nan_to_num(values, posinf=0, neginf=0)
    low, high = 0, 65535
    if picture.mode == "F" or values.min() < low or values.max() > high:
        low, high = values.min(), values.max()
    scaled = (values - low) * (255 / max(high - low, 1e-12))
    return Image.fromarray(np.rint(scaled).astype(np.uint8)), transparent


def fit_square(picture, size, fit="pad"):
    """Bring a picture to ``size`` x ``size``.

    Args:
        picture: PIL picture, mode RGB.
        size: side of the result in pixels.
        fit: "pad" keeps the whole picture and fills the two free strips with the median colour
            of the sides they adjoin; "crop" keeps the largest centred square; "stretch" keeps
            the whole picture and gives up its proportions.

    Returns:
        PIL.Image.Image: mode RGB, ``size`` x ``size``.
    """
    if fit not in FITS:
        raise ValueError(f"fit is {fit!r}; it must be one of {', '.join(FITS)}")
    width, height = picture.size
    if fit == "stretch" or width == height:
        return _resize(picture, (size, size))
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return _resize(picture, (size, size), (left, top, left + side, top + side))
    longest = max(width, height)
    inner = _resize(picture, [max(1, round(size * side / longest)) for side in (width, height)])
    square = Image.new("RGB", (size, size), _border_colour(np.asarray(inner), width > height))
    square.paste(inner, ((size - inner.width) // 2, (size - inner.height) // 2))
    return square


def _resize(picture, size, box=None):
    return picture.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)


def _border_colour(pixels, horizontal):
    """Median colour of the top and bottom rows, or else of the left and right columns."""
    sides = (pixels[0], pixels[-1]) if horizontal else (pixels[:, 0], pixels[:, -1])
    return tuple(int(value) for value in np.median(np.concatenate(sides), axis=0))
