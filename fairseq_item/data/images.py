"""Decoding any image a shop may have into RGB, and bringing it to a square."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from fairseq_item.data.image_root import ImageRoot

__all__ = [
    "FITS",
    "MAX_PIXELS",
    "ImageError",
    "ImageRoot",
    "decode_image",
    "fit_square",
    "open_image",
]

FITS = ("pad", "crop", "stretch")
# Width times height of the stored image, checked before anything is decoded: 268 MB as RGB.
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


class ImageError(ValueError):
    """An image that cannot be used; the message is the reason, in a few words."""


def open_image(data, max_pixels=MAX_PIXELS):
    """Read the header of an image; nothing is decoded.

    Args:
        data: bytes of the file.
        max_pixels: width times height that is accepted, ``MAX_PIXELS`` or less.

    Returns:
        PIL.Image.Image: not yet loaded.

    Raises:
        ImageError: the data is empty, in no known format, or the image has more pixels.
    """
    if not data:
        raise ImageError("empty file")
    try:
        image = Image.open(BytesIO(data), formats=_known_formats())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"huge: more than {max_pixels} pixels") from None
    except Exception:  # Pillow's parsers raise whatever a damaged header leads them to
        raise ImageError("unreadable: not an image in a known format") from None
    if image.width * image.height > max_pixels:
        size = f"{image.width} x {image.height}"
        raise ImageError(f"huge: {size} pixels, the limit is {max_pixels}")
    return image


def decode_image(data, target=None):
    """Decode an image into RGB, upright, on white where it is transparent.

    Takes greyscale, palette, 1-bit, CMYK and 16-bit images; of an animation the first frame.

    Args:
        data: bytes of the file.
        target: side in pixels that the image will be resized to. JPEGs much larger than that
            are decoded at 1/2, 1/4 or 1/8 of their size, several times faster, with both sides
            still at least twice the target.

    Returns:
        PIL.Image.Image: mode RGB.

    Raises:
        ImageError: the data is empty, in no known format, cut off, damaged, or the image has
            more than ``MAX_PIXELS`` pixels.
    """
    image = open_image(data)
    try:
        if target is not None:
            image.draft(None, (2 * target, 2 * target))
        image.load()
        return to_rgb(image)
    except Exception as error:  # as above, for the pixels
        kind = "truncated" if "truncated" in str(error) else "damaged"
        raise ImageError(f"{kind}: {' '.join(str(error).split()) or kind}") from None


def to_rgb(image):
    """A PIL image of any mode as RGB: upright by its EXIF, on white where it is transparent."""
    return _upright(_rgb(image), image)


@lru_cache(1)
def _known_formats():
    """Those of ``FORMATS`` that this build of Pillow can read."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _upright(rgb, source):
    try:
        turn = TRANSPOSITIONS.get(source.getexif().get(ORIENTATION))
    except Exception:  # damaged EXIF says nothing of the image itself
        turn = None
    return rgb if turn is None else rgb.transpose(turn)


def _rgb(image):
    transparent = None
    if image.mode == "F" or image.mode.startswith("I"):
        image, transparent = _eight_bits(image)
    elif image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        transparent = ImageOps.invert(image.getchannel("A"))
    image = image.convert("RGB")
    if transparent is not None:
        image.paste((255, 255, 255), mask=transparent)
    return image


def _eight_bits(image):
    """A greyscale image of more than 8 bits as 8 bits, and its transparent pixels, if any.

    Values of 0 to 65,535 are taken for 16-bit samples. Others have no scale of their own, so
    their range is spread over black to white.
    """
    values = np.asarray(image).astype(np.float32)
    transparent = None
    if isinstance(image.info.get("transparency"), int):
        holes = values == image.info["transparency"]
        transparent = Image.fromarray(np.where(holes, np.uint8(255), np.uint8(0)))
    values = np.nan_to_num(values, posinf=0, neginf=0)
    low, high = 0, 65535
    if image.mode == "F" or values.min() < low or values.max() > high:
        low, high = values.min(), values.max()
    scaled = (values - low) * (255 / max(high - low, 1e-12))
    return Image.fromarray(np.rint(scaled).astype(np.uint8)), transparent


def fit_square(image, size, fit="pad"):
    """Bring an image to ``size`` x ``size``.

    Args:
        image: PIL image, mode RGB.
        size: side of the result in pixels.
        fit: "pad" keeps the whole image and fills the two free strips with the median colour
            of the sides they adjoin; "crop" keeps the largest centred square; "stretch" keeps
            the whole image and gives up its proportions.

    Returns:
        PIL.Image.Image: mode RGB, ``size`` x ``size``.
    """
    if fit not in FITS:
        raise ValueError(f"fit is {fit!r}; it must be one of {', '.join(FITS)}")
    width, height = image.size
    if fit == "stretch" or width == height:
        return _resize(image, (size, size))
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return _resize(image, (size, size), (left, top, left + side, top + side))
    longest = max(width, height)
    inner = _resize(image, [max(1, round(size * side / longest)) for side in (width, height)])
    square = Image.new("RGB", (size, size), _border_colour(np.asarray(inner), width > height))
    square.paste(inner, ((size - inner.width) // 2, (size - inner.height) // 2))
    return square


def _resize(image, size, box=None):
    return image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)


def _border_colour(pixels, horizontal):
    """Median colour of the top and bottom rows, or else of the left and right columns."""
    sides = (pixels[0], pixels[-1]) if horizontal else (pixels[:, 0], pixels[:, -1])
    return tuple(int(value) for value in np.median(np.concatenate(sides), axis=0))
