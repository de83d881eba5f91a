"""Photographs of the synthetic products: backgrounds, shadows, camera angle and light."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

TEXTURE = 640  # side of the stored textures; scenes cut a patch of their own out of them
BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC


def _noise(rng, cells, side=TEXTURE):
    """Smooth random values from 0 to 1, about ``cells`` (rows, columns) of them."""
    small = Image.fromarray(rng.integers(0, 256, cells, dtype=np.uint8))
    return np.asarray(small.resize((side, side), BICUBIC), np.float32) / 255


def _wood(rng):
    grain = 0.55 * _noise(rng, (160, 5)) + 0.3 * _noise(rng, (320, 9)) + 0.15 * _noise(rng, (40, 4))
    plank = np.arange(TEXTURE) // (TEXTURE // 5)
    grain = grain * 0.8 + rng.uniform(-0.12, 0.22, 6)[plank][:, None]
    grain[np.arange(TEXTURE) % (TEXTURE // 5) < 3] *= 0.35
    return grain


def _cloth(rng):
    y, x = np.mgrid[0:TEXTURE, 0:TEXTURE]
    weave = np.sin(x * 1.1) * np.sin(y * 1.1)
    return (
        0.55
        + 0.12 * weave
        + 0.3 * (_noise(rng, (9, 9)) - 0.5)
        + 0.15 * (_noise(rng, (90, 90)) - 0.5)
    )


def _stone(rng):
    return sum(
        _noise(rng, (n, n)) * share for n, share in ((5, 0.4), (20, 0.3), (80, 0.15), (320, 0.15))
    )


def _marble(rng):
    y, x = np.mgrid[0:TEXTURE, 0:TEXTURE] / TEXTURE
    stone = 0.92 - 0.3 * _noise(rng, (5, 5)) - 0.08 * _noise(rng, (40, 40))
    for scale, depth in ((4, 0.3), (9, 0.16)):
        bend = (
            1.5 * _noise(rng, (4, 4)) + 0.5 * _noise(rng, (14, 14)) + 0.15 * _noise(rng, (60, 60))
        )
        crossed = np.abs(np.sin(scale * (x + 0.7 * y + 0.6 * bend)))
        stone -= depth * np.exp(-crossed * 16) * _noise(rng, (7, 7)) * 1.6
    return stone


def _bokeh(rng):
    image = Image.fromarray((255 * (0.25 + 0.4 * _noise(rng, (5, 5)))).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y = rng.uniform(0, TEXTURE, 2)
        r = rng.uniform(15, 50)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=int(rng.integers(90, 230)))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(14)), np.float32) / 255


TEXTURES = {"wood": _wood, "cloth": _cloth, "stone": _stone, "marble": _marble, "bokeh": _bokeh}
TINTS = {
    "wood": (((88, 56, 32), (206, 158, 108)), ((70, 60, 52), (190, 178, 162)),
             ((150, 120, 88), (240, 220, 190))),
    "cloth": (((150, 140, 128), (240, 234, 224)), ((70, 84, 100), (150, 168, 184)),
              ((120, 70, 70), (214, 160, 152)), ((70, 80, 66), (150, 164, 138))),
    "stone": (((110, 112, 114), (212, 212, 210)), ((54, 56, 62), (118, 120, 126)),
              ((176, 158, 134), (236, 224, 206))),
    "marble": (((150, 152, 158), (246, 245, 243)), ((32, 34, 40), (92, 94, 102))),
    "bokeh": (((34, 40, 62), (220, 190, 150)), ((30, 58, 44), (200, 220, 170)),
              ((90, 60, 80), (244, 214, 214))),
}  # fmt: skip


@lru_cache(1)
def _textures():
    """The textures, the same in every process and for every seed."""
    rng = np.random.default_rng(11)
    return {
        name: Image.fromarray((255 * np.clip(make(rng), 0, 1)).astype(np.uint8))
        for name, make in TEXTURES.items()
    }


def _surface(rng, name, side):
    """A patch of a texture in one of its tints."""
    texture = _textures()[name]
    if rng.random() < 0.5 and name != "bokeh":
        texture = texture.transpose(Image.Transpose.ROTATE_90)
    cut = int(TEXTURE * rng.uniform(0.55, 0.95))
    x, y = rng.randrange(TEXTURE - cut), rng.randrange(TEXTURE - cut)
    patch = texture.resize((side, side), BILINEAR, box=(x, y, x + cut, y + cut))
    return ImageOps.colorize(patch, *rng.choice(TINTS[name]))


def _gradient(rng, side, top, bottom):
    ramp = Image.linear_gradient("L").resize((side, side), BILINEAR)
    if rng.random() < 0.3:
        ramp = ImageOps.invert(Image.radial_gradient("L").resize((side, side), BILINEAR))
    return ImageOps.colorize(ramp, top, bottom)


def _pastel(rng):
    base = rng.randint(165, 225)
    return tuple(min(255, base + rng.randint(-30, 30)) for _ in range(3))


BACKGROUNDS = {"white": 0.3, "grey": 0.1, "studio": 0.2, "surface": 0.25, "room": 0.15}
# Nobody wears things lying on a table.
WALLS = ("white", "grey", "studio")


def _background(rng, side, stands, kinds):
    """A background, and whether something seems to stand in it rather than lie on it."""
    kind = rng.choices(kinds, [BACKGROUNDS[kind] for kind in kinds])[0]
    if kind == "white":
        return Image.new("RGB", (side, side), (rng.randint(250, 255),) * 3), stands
    if kind == "grey":
        light = rng.randint(205, 245)
        return _gradient(rng, side, (light,) * 3, (light - rng.randint(5, 40),) * 3), stands
    if kind == "studio" or not stands:
        if kind == "studio":
            colour = _pastel(rng)
            return _gradient(
                rng, side, colour, tuple(v - rng.randint(10, 60) for v in colour)
            ), stands
        return _surface(rng, rng.choice(("wood", "cloth", "stone", "marble")), side), False
    wall = _pastel(rng)
    image = _gradient(rng, side, wall, tuple(v - 30 for v in wall))
    if kind == "room":
        image = _surface(rng, "bokeh", side)
    table = _surface(rng, rng.choice(("wood", "cloth", "stone", "marble")), side)
    edge = int(side * rng.uniform(0.55, 0.72))
    image.paste(
        table.resize((side, side - edge), BILINEAR, box=(0, side * 0.2, side, side)), (0, edge)
    )
    return image, True


def _coefficients(target, source):
    """What ``Image.transform`` needs to bring four source corners to four target corners."""
    rows, values = [], []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows, float), np.array(values, float)).tolist()


def warp(image, corners, side):
    """An image seen ``side`` pixels wide.

    Args:
        corners: where its corners go, from the upper left clockwise: four (x, y) in units of
            ``side``.
    """
    far = image.width
    source = [(0, 0), (far, 0), (far, far), (0, far)]
    data = _coefficients([(x * side, y * side) for x, y in corners], source)
    return image.transform((side, side), Image.Transform.PERSPECTIVE, data, BICUBIC)


def blend(ground, image, alpha):
    """``image``, which is black where ``alpha`` is 0, put on ``ground``."""
    rest = Image.merge("RGB", [ImageOps.invert(alpha)] * 3)
    return ImageChops.add(ImageChops.multiply(ground, rest), image)


def _camera(rng, stands, aim, zoom):
    """Where the camera sees the layer's corners: turned, aslant, nearer or farther, off the centre.

    Returns:
        four (x, y) in units of the image's side.
    """
    turn = np.radians(rng.gauss(0, 2.5 if stands else 9))
    scale = rng.uniform(0.72, 1.04)
    shift = np.array([rng.uniform(-0.06, 0.06), rng.uniform(-0.05, 0.05)])
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    squeeze = np.array([rng.uniform(0.86, 1.0), rng.uniform(0.93, 1.0)])
    tilt = rng.gauss(0, 0.06), rng.gauss(0, 0.05)
    depth = 1 + corners[:, :1] * tilt[0] + corners[:, 1:] * tilt[1]
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return ((corners - aim) * squeeze * scale * zoom / depth) @ rotation.T + shift + 0.5


def _shadow(rng, alpha, stands):
    """How much light the product takes away, 0 to 255, as large as ``alpha``."""
    side = alpha.width
    quarter = alpha.resize((side // 4, side // 4), BILINEAR)
    strength = rng.uniform(0.25, 0.6)
    if stands:
        left, _, right, bottom = quarter.getbbox() or (0, 0, 1, 1)
        shape = Image.new("L", quarter.size)
        high = max(2, (right - left) * 0.09)
        lean = (right - left) * rng.uniform(-0.08, 0.12)
        draw = ImageDraw.Draw(shape)
        draw.ellipse([left + lean, bottom - high, right + lean, bottom + high * 0.35], fill=255)
        blur = side / 4 * 0.03
        strength += 0.1
    else:
        reach = side / 4 * rng.uniform(0.008, 0.035)
        shape = ImageChops.offset(quarter, round(reach), round(reach * 1.3))
        blur = side / 4 * rng.uniform(0.012, 0.035)
    shape = shape.filter(ImageFilter.GaussianBlur(blur))
    return shape.resize(alpha.size, BILINEAR).point(lambda value: int(value * strength))


def _lit(rng, image):
    """The light of the scene: direction, warmth, brightness, contrast, saturation."""
    side = image.width
    corner = rng.randrange(4)
    ramp = Image.linear_gradient("L").resize((side, side), BILINEAR)
    ramp = ramp.rotate(90 * corner)
    fall = rng.uniform(0, 0.22)
    ramp = ramp.point(lambda value: int(255 - fall * value))
    image = ImageChops.multiply(image, Image.merge("RGB", [ramp] * 3))
    warmth, gain = rng.gauss(0, 0.035), rng.uniform(0.88, 1.1)
    gains = (gain * (1 + warmth), gain, gain * (1 - warmth))
    table = [min(255, int(value * factor)) for factor in gains for value in range(256)]
    image = image.point(table)
    image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.88, 1.12))
    return ImageEnhance.Color(image).enhance(rng.uniform(0.85, 1.12))


def photograph(rng, cutout, side, stands, worn=False, aim=None):
    """A listing's photo of a product.

    Args:
        rng: ``random.Random`` that decides on the scene.
        cutout: the product as an image, black around it, and its alpha, squares of any size.
        side: of the photo in pixels.
        stands: whether the product would stand on a table; else it lies or hangs.
        worn: whether someone wears it, before a wall.
        aim: a point of the cutout, from its centre and in units of its side, for a photo from near
            by; None shows all of it.

    Returns:
        PIL.Image.Image: mode RGB.
    """
    image, alpha = cutout
    background, stands = _background(rng, side, stands, WALLS if worn else tuple(BACKGROUNDS))
    zoom = rng.uniform(1.9, 2.5) if aim else 1.0
    seen = _camera(rng, stands or worn, aim or (0.0, 0.0), zoom)
    # Black around the product makes its layer already multiplied by its alpha.
    product, alpha = (warp(part, seen, side) for part in (image, alpha))
    shade = ImageOps.invert(_shadow(rng, alpha, stands))
    background = ImageChops.multiply(background, Image.merge("RGB", [shade] * 3))
    image = _lit(rng, blend(background, product, alpha))
    if rng.random() < 0.12:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 0.9) * side / 256))
    return image
