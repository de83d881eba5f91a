"""Every odd or bad image a catalogue may hold: decoded as meant, or refused with the reason."""

import contextlib
import os
import pickle
import struct
import tarfile
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fairseq_item.data import image_root
from fairseq_item.data.images import (
    MAX_PIXELS,
    ImageError,
    ImageRoot,
    decode_image,
    fit_square,
)
from fairseq_item.errors import InputError

# Pillow warns of what the tests do on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image, kind="PNG", **options):
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def quadrants():
    """4 x 6 pixels (H x W) with a different colour in each quarter."""
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:2, :3], pixels[:2, 3:], pixels[2:, :3], pixels[2:, 3:] = RED, GREEN, BLUE, WHITE
    return pixels


def noise(height=64, width=48, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def png_header(width, height):
    """A PNG that announces a size and holds next to nothing."""

    def part(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = part(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + data + part(b"IEND", b"")


# --- refused ---------------------------------------------------------------------------------


def test_empty():
    with pytest.raises(ImageError, match="empty"):
        decode_image(b"")


@pytest.mark.parametrize("data", [b"\0" * 100, b"<html>404</html>", b"\xff\xd8\xff", b"GIF89a"])
def test_unreadable(data):
    with pytest.raises(ImageError, match="unreadable"):
        decode_image(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_truncated(kind):
    data = encoded(noise(), kind)
    with pytest.raises(ImageError):
        decode_image(data[: len(data) // 2])


def test_truncated_is_the_reason():
    data = encoded(noise(), "JPEG")
    with pytest.raises(ImageError, match="truncated"):
        decode_image(data[: len(data) // 2])


def test_damaged():
    data = bytearray(encoded(noise()))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError, match=r"damaged|truncated"):
        decode_image(bytes(data))


@pytest.mark.parametrize("side", [10_000, 30_000])
def test_huge_is_refused_before_decoding(side):
    assert side * side > MAX_PIXELS
    with pytest.raises(ImageError, match="huge"):
        decode_image(png_header(side, side))


def test_as_many_pixels_as_allowed_are_not_huge():
    with pytest.raises(ImageError, match=r"truncated|damaged"):
        decode_image(png_header(MAX_PIXELS // 1000, 1000))


def test_postscript_is_not_run():
    with pytest.raises(ImageError, match="unreadable"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")


def test_random_damage_never_raises_anything_else():
    rng = np.random.default_rng(7)
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF"):
        whole = encoded(noise(24, 24), kind)
        for _ in range(40):
            data = np.frombuffer(whole, np.uint8).copy()
            places = rng.integers(0, len(data), 5)
            data[places] = rng.integers(0, 256, 5)
            with contextlib.suppress(ImageError):
                assert decode_image(data.tobytes()).mode == "RGB"


# --- kept ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
def test_colours_survive(mode):
    image = Image.fromarray(quadrants()).convert(mode)
    np.testing.assert_array_equal(np.asarray(decode_image(encoded(image))), quadrants())


def test_cmyk():
    cyan_black = Image.fromarray(np.array([[[255, 0, 0, 0], [0, 0, 0, 255]]], np.uint8), "CMYK")
    data = encoded(cyan_black.resize((32, 16), Image.Resampling.NEAREST), "JPEG", quality=95)
    assert Image.open(BytesIO(data)).mode == "CMYK"
    result = np.asarray(decode_image(data)).astype(int)
    assert np.abs(result[8, 4] - [0, 255, 255]).max() < 12
    assert np.abs(result[8, 28] - [0, 0, 0]).max() < 12


def test_greyscale_and_one_bit():
    grey = np.array([[0, 100, 255]], np.uint8)
    result = np.asarray(decode_image(encoded(Image.fromarray(grey))))
    np.testing.assert_array_equal(result, np.repeat(grey[..., None], 3, axis=2))
    bits = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    result = np.asarray(decode_image(encoded(bits)))
    np.testing.assert_array_equal(result, [[[0, 0, 0], WHITE]])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind):
    values = np.array([[0, 257 * 100, 65535, 257]], np.uint16)
    result = np.asarray(decode_image(encoded(Image.fromarray(values), kind)))
    np.testing.assert_array_equal(result[..., 0], [[0, 100, 255, 1]])


def test_float_and_wide_integers_use_their_own_range():
    floats = Image.fromarray(np.array([[-1.0, -0.6, 1.0]], np.float32))
    wide = Image.fromarray(np.array([[0, 200_000, 1_000_000]], np.int32))
    for image in (floats, wide):
        result = np.asarray(decode_image(encoded(image, "TIFF")))[..., 0]
        np.testing.assert_array_equal(result, [[0, 51, 255]])


def test_transparent_pixels_become_white():
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 0] = 255
    pixels[0, :, 3] = [255, 0, 51]  # opaque, clear, one fifth
    result = np.asarray(decode_image(encoded(Image.fromarray(pixels))))
    np.testing.assert_array_equal(result, [[RED, WHITE, [255, 204, 204]]])


def test_transparent_palette_colour_becomes_white():
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putdata([0, 1])
    result = np.asarray(decode_image(encoded(palette, "GIF", transparency=0)))
    np.testing.assert_array_equal(result, [[WHITE, RED]])


def test_transparent_grey_value_becomes_white():
    eight = Image.fromarray(np.array([[0, 100]], np.uint8))
    sixteen = Image.fromarray(np.array([[0, 25700]], np.uint16))
    for image in (eight, sixteen):
        result = np.asarray(decode_image(encoded(image, "PNG", transparency=0)))
        np.testing.assert_array_equal(result, [[WHITE, [100, 100, 100]]])


def exif_turned(orientation):
    """What a camera stores so that a viewer who obeys ``orientation`` sees ``quadrants()``."""
    upright = quadrants()
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),  # the viewer turns it clockwise
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(exif_turned(orientation))), kind, exif=exif)
    np.testing.assert_array_equal(np.asarray(decode_image(data)), quadrants())


def test_damaged_exif_does_not_cost_the_image():
    data = encoded(noise(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 20)
    assert decode_image(data).size == (48, 64)


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), colour) for colour in (BLUE, RED, GREEN)]
    for kind, options in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True})):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(np.asarray(decode_image(data))[0, 0], BLUE)


def test_text_chunks_do_not_disturb():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 5000, zip=True)
    assert decode_image(encoded(noise(), pnginfo=info)).size == (48, 64)


def test_draft_decodes_less_and_looks_the_same():
    fine = noise(40, 30).resize((1200, 1600), Image.Resampling.BICUBIC)
    data = encoded(fine, "JPEG", quality=95)
    full, draft = decode_image(data), decode_image(data, target=128)
    assert full.size == (1200, 1600)
    assert draft.size == (300, 400)  # a quarter: the smallest with both sides at least 2 x 128
    a, b = (np.asarray(fit_square(p, 128)).astype(int) for p in (full, draft))
    assert np.abs(a - b).mean() < 2


# --- to a square -----------------------------------------------------------------------------


def test_pad_keeps_everything_and_continues_the_border():
    pixels = np.full((60, 30, 3), (10, 20, 30), np.uint8)
    pixels[20:40, 10:20] = RED
    square = np.asarray(fit_square(Image.fromarray(pixels), 60, "pad"))
    assert square.shape == (60, 60, 3)
    np.testing.assert_array_equal(square[:, 15:45], pixels)
    assert (square[:, :15] == (10, 20, 30)).all()
    assert (square[:, 45:] == (10, 20, 30)).all()


def test_pad_colour_is_that_of_the_sides_it_adjoins():
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:] = GREEN
    pixels[:, 0] = pixels[:, -1] = RED
    square = np.asarray(fit_square(Image.fromarray(pixels), 40, "pad"))
    np.testing.assert_array_equal(square[0, 0], GREEN)


def test_crop_keeps_the_centre():
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = RED
    square = np.asarray(fit_square(Image.fromarray(pixels), 20, "crop"))
    np.testing.assert_array_equal(square, np.full((20, 20, 3), RED))


def test_stretch_keeps_the_corners():
    square = np.asarray(fit_square(Image.fromarray(quadrants()), 60, "stretch"))
    for place, colour in {(0, 0): RED, (0, 59): GREEN, (59, 0): BLUE, (59, 59): WHITE}.items():
        np.testing.assert_array_equal(square[place], colour)


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (7, 5)])
def test_any_shape_becomes_a_square(shape, fit):
    assert fit_square(noise(*shape), 16, fit).size == (16, 16)


def test_unknown_fit():
    with pytest.raises(ValueError, match="zoom"):
        fit_square(noise(), 16, "zoom")


# --- the image root --------------------------------------------------------------------------


@pytest.fixture(params=["folder", "tar"])
def root(request, tmp_path):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"first")
    (folder / "sub" / "b c.jpg").write_bytes(b"second" * 1000)
    (folder / "empty.jpg").write_bytes(b"")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    if request.param == "folder":
        return ImageRoot(folder)
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        tar.add(folder, arcname=".")
    return ImageRoot(tmp_path / "images.tar")


def test_read(root):
    assert root.read("a.jpg") == b"first"
    assert root.read("./sub//b c.jpg") == b"second" * 1000
    assert root.read("empty.jpg") == b""


@pytest.mark.parametrize(
    "name", ["", "none.jpg", "../secret.jpg", "sub/../../secret.jpg", "/etc/hosts", "a\0b", "sub",
             "a.jpg/x", "x" * 5000]
)  # fmt: skip
def test_missing(root, name):
    with pytest.raises(KeyError) as caught:
        root.read(name)
    assert "missing" in caught.value.args[0] or "not" in caught.value.args[0]


def test_pickled_root_reads_on_its_own(root):
    root.read("a.jpg")
    assert pickle.loads(pickle.dumps(root)).read("a.jpg") == b"first"


def test_too_large(root, monkeypatch):
    monkeypatch.setattr(image_root, "MAX_BYTES", 10)
    with pytest.raises(KeyError, match="too large"):
        root.read("sub/b c.jpg")


def test_bad_roots(tmp_path):
    with pytest.raises(InputError, match="missing"):
        ImageRoot(tmp_path / "none")
    compressed = tmp_path / "images.tar"
    with tarfile.open(compressed, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("x"), BytesIO())
    with pytest.raises(InputError, match="uncompressed"):
        ImageRoot(compressed)


def test_tar_cut_off(tmp_path):
    whole = tmp_path / "images.tar"
    with tarfile.open(whole, "w") as tar:
        for name in "ab":
            info = tarfile.TarInfo(name)
            info.size = 5000
            tar.addfile(info, BytesIO(b"x" * 5000))
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[:8000])
    with pytest.raises(InputError, match="cut off"):
        ImageRoot(cut)


def test_hard_links_in_a_tar(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"same")
    second.hardlink_to(first)
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        tar.add(first, "first")
        tar.add(second, "second")
    assert ImageRoot(tmp_path / "images.tar").read("second") == b"same"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe is no file; name a folder"):
        ImageRoot(tmp_path / "pipe")


def test_a_negative_size_in_a_tar(tmp_path):
    header = tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT)
    size = (-512 + 256**12).to_bytes(12, "big")  # base 256, as GNU tar writes what is no octal
    header = bytearray(header[:124] + size + header[136:])
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "images.tar").write_bytes(bytes(header) + b"\0" * 2048)
    with pytest.raises(InputError, match=r"images\.tar cannot be read"):
        ImageRoot(tmp_path / "images.tar")


def test_a_folder_that_went_away_is_not_a_missing_image(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    root = ImageRoot(folder)
    with pytest.raises(KeyError, match="missing"):
        root.read("a.png")
    folder.rename(tmp_path / "moved")
    for _ in range(2):
        with pytest.raises(InputError, match="images went away"):
            pickle.loads(pickle.dumps(root)).read("a.png")
        folder.mkdir(exist_ok=True)  # the empty folder that a disk was mounted on


def elsewhere(root):
    """As another machine receives it."""
    state = {**root.__getstate__(), "_machine": "another", "_folder": None}
    received = ImageRoot.__new__(ImageRoot)
    received.__setstate__(state)
    return received


def test_another_machine_needs_the_same_folder_and_not_the_empty_one_of_a_missing_mount(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a")
    root = ImageRoot(folder)
    there = elsewhere(root)
    assert there.read("a.png") == b"a"
    with pytest.raises(KeyError, match="missing"):
        there.read("b.png")
    (folder / "a.png").unlink()
    with pytest.raises(InputError, match="images went away .* or is not on"):
        elsewhere(root).read("b.png")
