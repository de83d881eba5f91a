"""What lies over a product in a seller's image: a watermark, a banner, a sticker, fingers."""

import math

from PIL import Image, ImageDraw, ImageFilter, ImageFont

SHOPS = (
    "SHOPMART",
    "bestdeals24",
    "(c) Trendline",
    "www.top-outlet.com",
    "PHOTO BY J.K.",
    "SAMPLE",
)
BANNERS = ("FREE SHIPPING", "LIMITED OFFER", "NEW COLLECTION", "BUY 2 GET 1", "OFFICIAL STORE")
STICKERS = ("SALE", "-20%", "-50%", "NEW", "TOP", "HOT", "2 for 1")
PAINTS = ((200, 30, 40), (20, 20, 20), (240, 180, 0), (20, 110, 60), (30, 70, 160))
SKINS = ((236, 188, 160), (210, 160, 125), (150, 100, 70), (95, 62, 45))


def add_watermark(image, opacity, rng):
    """The name of a shop across the image, half transparent, once or repeated."""
    text, tone = rng.choice(SHOPS), rng.choice(((255, 255, 255), (90, 90, 90)))
    angle = rng.choice((0, 30, -30, 45))
    repeated = rng.random() < 0.5
    side = math.ceil(math.hypot(*image.size))
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    font = _font(min(image.size) * (0.06 if repeated else 0.12))
    if repeated:
        width = pen.textlength(text, font) + font.size * 2
        for row, y in enumerate(range(0, side, round(font.size * 4))):
            x = -width * (row % 2) / 2
            while x < side:
                pen.text((x, y), text, 255, font)
                x += width
    else:
        pen.text((side / 2, side / 2), text, 255, font, anchor="mm")
    mask = mask.rotate(angle, Image.Resampling.BILINEAR)
    left, top = (side - image.width) // 2, (side - image.height) // 2
    mask = mask.crop((left, top, left + image.width, top + image.height))
    return Image.composite(
        Image.new("RGB", image.size, tone), image, mask.point(lambda v: round(v * opacity))
    )


def add_banner(image, rng):
    """A bar of text along the top or the bottom."""
    image = image.copy()
    pen = ImageDraw.Draw(image)
    text, paint = rng.choice(BANNERS), rng.choice(PAINTS)
    height = round(image.height * rng.uniform(0.1, 0.16))
    top = rng.choice((0, image.height - height))
    pen.rectangle([0, top, image.width, top + height], fill=paint)
    font = _fitted(pen, text, image.width * 0.9, height * 0.6)
    pen.text((image.width / 2, top + height / 2), text, "white", font, anchor="mm")
    return image


def add_sticker(image, size, rng):
    """A badge with a word near a corner, round or square, ``size`` pixels wide."""
    text, paint = rng.choice(STICKERS), rng.choice(PAINTS)
    scale = 3  # drawn larger, so that its edge is smooth
    badge = Image.new("L", (scale * size, scale * size))
    pen = ImageDraw.Draw(badge)
    shape = pen.ellipse if rng.random() < 0.7 else pen.rectangle
    shape([0, 0, scale * size - 1, scale * size - 1], fill=255)
    colours = Image.new("RGB", badge.size, paint)
    pen = ImageDraw.Draw(colours)
    font = _fitted(pen, text, badge.width * 0.8, badge.height * 0.4)
    pen.text((badge.width / 2, badge.height / 2), text, "white", font, anchor="mm")
    angle = rng.uniform(-20, 20)
    badge, colours = (
        layer.rotate(angle, Image.Resampling.BICUBIC, fillcolor=fill).resize((size, size))
        for layer, fill in ((badge, 0), (colours, paint))
    )
    room = image.width - size, image.height - size
    x, y = (rng.uniform(0.02, 0.15) if rng.random() < 0.5 else rng.uniform(0.85, 0.98)
            for _ in room)  # fmt: skip
    image = image.copy()
    image.paste(colours, (round(x * room[0]), round(y * room[1])), badge)
    return image


def add_hand(image, size, rng):
    """Fingers that hold the product from the side or from below, about ``size`` pixels far in."""
    width, height = image.size
    skin = rng.choice(SKINS)
    mask, shade = Image.new("L", image.size), Image.new("L", image.size)
    pen, dark = ImageDraw.Draw(mask), ImageDraw.Draw(shade)
    thick = size * rng.uniform(0.22, 0.28)
    edge = rng.choice(("left", "right", "bottom"))
    middle = rng.uniform(0.4, 0.7) * (width if edge == "bottom" else height)
    lean = rng.uniform(-0.3, 0.3)
    for finger, reach in enumerate((0.8, 1.0, 0.95, 0.75)):
        across = middle + (finger - 1.5) * thick * 1.02
        tip = size * reach * rng.uniform(0.9, 1.05)
        ends = [(-thick, across - lean * tip), (tip, across)]
        if edge == "right":
            ends = [(width - x, y) for x, y in ends]
        elif edge == "bottom":
            ends = [(y, height - x) for x, y in ends]
        _capsule(pen, ends, thick, 255)
        _capsule(dark, ends, thick * 0.55, 255)
    soft = thick * 0.25
    dark_skin = tuple(round(0.72 * c) for c in skin)
    skin = Image.composite(
        Image.new("RGB", image.size, skin),
        Image.new("RGB", image.size, dark_skin),
        shade.filter(ImageFilter.GaussianBlur(soft)),
    )
    shadow = mask.filter(ImageFilter.GaussianBlur(soft)).point(lambda v: v * 2 // 5)
    image = Image.composite(Image.new("RGB", image.size), image, shadow)
    return Image.composite(skin, image, mask.filter(ImageFilter.GaussianBlur(0.6)))


def _capsule(pen, ends, thick, fill):
    pen.line(ends, fill=fill, width=max(1, round(thick)))
    for x, y in ends:
        pen.ellipse([x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2], fill=fill)


def _font(size):
    return ImageFont.load_default(max(6, size))


def _fitted(pen, text, width, height):
    """The largest font in which ``text`` is at most so wide and about so high."""
    font = _font(height)
    return _font(height * min(1, width / max(1, pen.textlength(text, font))))
