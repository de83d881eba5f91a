"""Products in use: worn, carried by a stand, as a pair, or among other things."""

from fairseq_item.demo.canvas import Canvas, band, box, darker, ellipse, lighter, mirrored, smooth

SKINS = ((236, 200, 172), (198, 148, 112), (140, 94, 66), (92, 62, 46), (226, 222, 214))
NEUTRALS = ((222, 214, 202), (120, 128, 138), (176, 148, 120), (92, 104, 92), (206, 196, 190))
GREEN, TERRACOTTA = (74, 122, 70), (186, 110, 78)
PAIRED = ("Sneakers", "Boots")


def stage(product, leaf, rng):
    """A layer with the product among what belongs to it.

    Args:
        product: :class:`Canvas` with the product's front.
        leaf: its leaf category.
        rng: ``random.Random``.
    """
    layer = Canvas(product.side)
    if leaf.name in PAIRED:
        for left, top in ((0.2, 0.02), (0.0, 0.22)):
            layer.stamp(product.image, product.alpha, left, top, left + 0.78)
        return layer
    behind, left, top, scale = _setting(leaf)
    behind(layer, rng)
    layer.stamp(product.image, product.alpha, left, top, left + scale)
    return layer


def _setting(leaf):
    """What is drawn behind a product, and where the product goes: left, top, side."""
    if leaf.name in WORN:
        return WORN[leaf.name]
    return (_standing_props, 0.16, 0.24, 0.68) if leaf.stands else (_lying_props, 0.16, 0.16, 0.68)


def _dummy(c, rng):
    """A tailor's dummy for a garment stamped at (0.14, 0.1), 0.72 wide."""
    cloth, wood = rng.choice(NEUTRALS), rng.choice(((112, 74, 46), (58, 52, 50)))
    c.part(box(0.485, 0.4, 0.515, 0.95), wood, "round")
    c.part(ellipse(0.5, 0.95, 0.16, 0.025), wood, "gloss")
    c.part(mirrored((0.5, 0.1), (0.55, 0.11, 0), (0.545, 0.18), (0.61, 0.23), (0.62, 0.3),
                    (0.57, 0.44), (0.5, 0.46)), cloth, "cloth")  # fmt: skip
    c.part(ellipse(0.5, 0.1, 0.05, 0.018), wood, "ball")


def _hanger(c, rng):
    """For trousers stamped at (0.14, 0.17), 0.72 wide."""
    wood = rng.choice(((176, 122, 72), (112, 74, 46), (58, 52, 50)))
    hook = [(0.5, 0.18), (0.5, 0.12), (0.54, 0.08), (0.5, 0.04), (0.46, 0.07)]
    c.line(smooth(hook, False), (120, 122, 126), 0.012)
    c.part(box(0.3, 0.165, 0.7, 0.19, 0.01), wood, "tube")
    for x in (0.37, 0.63):
        c.part(box(x - 0.012, 0.175, x + 0.012, 0.24), (120, 122, 126), "metal")


def _head(c, rng):
    """A bust for sunglasses stamped at (0.24, 0.2), 0.52 wide."""
    skin = rng.choice(SKINS)
    c.part(mirrored((0.5, 0.66), (0.58, 0.76), (0.76, 0.84), (0.8, 0.97, 0), (0.5, 0.98)),
           rng.choice(NEUTRALS), "cloth")  # fmt: skip
    c.part(box(0.42, 0.6, 0.58, 0.86, 0.06), darker(skin, 0.15), "round")
    c.part(mirrored((0.5, 0.08), (0.68, 0.14), (0.73, 0.4), (0.66, 0.64), (0.5, 0.76)),
           skin, "ball", 0.5)  # fmt: skip
    hair = rng.choice(((40, 30, 26), (92, 60, 40), (196, 160, 104), (150, 150, 152)))
    c.part(mirrored((0.5, 0.05), (0.7, 0.1), (0.76, 0.38), (0.7, 0.3), (0.6, 0.22), (0.5, 0.2)),
           hair, "ball", 0.6)  # fmt: skip
    c.line(smooth([(0.5, 0.46), (0.48, 0.56), (0.52, 0.57)], False), darker(skin, 0.25), 0.008)
    c.part(ellipse(0.5, 0.65, 0.06, 0.014), (172, 92, 88), None)


def _cushion(c, rng):
    """For a watch stamped at (0.14, 0.14), 0.72 wide."""
    cloth = rng.choice(NEUTRALS)
    c.part(mirrored((0.5, 0.24), (0.84, 0.2), (0.8, 0.5), (0.84, 0.8), (0.5, 0.76)), cloth, "worn")
    c.stitches(mirrored((0.5, 0.27), (0.8, 0.24), (0.77, 0.5), (0.8, 0.76), (0.5, 0.73)),
               darker(cloth, 0.3))  # fmt: skip


WORN = {
    "T-Shirts": (_dummy, 0.14, 0.1, 0.72),
    "Hoodies": (_dummy, 0.14, 0.1, 0.72),
    "Dresses": (_dummy, 0.14, 0.1, 0.72),
    "Jeans": (_hanger, 0.14, 0.17, 0.72),
    "Sunglasses": (_head, 0.26, 0.13, 0.48),
    "Watches": (_cushion, 0.14, 0.14, 0.72),
}


def _plant(c, x, ground, rng):
    for lean in (-0.12, -0.05, 0.03, 0.1):
        leaf = smooth([(x, ground - 0.2), (x + lean * 1.3, ground - 0.42), (x + lean * 1.8,
                       ground - 0.56), (x + lean * 0.5, ground - 0.4)])  # fmt: skip
        c.part(leaf, lighter(GREEN, rng.uniform(0, 0.25)), "round")
    c.part([(x - 0.1, ground - 0.22), (x + 0.1, ground - 0.22), (x + 0.07, ground),
            (x - 0.07, ground)], rng.choice((TERRACOTTA, *NEUTRALS)), "round")  # fmt: skip


def _books(c, x, ground, rng):
    for i in range(3):
        shift = rng.uniform(-0.02, 0.02)
        c.part(box(x - 0.13 + shift, ground - 0.07 * (i + 1), x + 0.13 + shift, ground - 0.07 * i),
               rng.choice((*NEUTRALS, TERRACOTTA, GREEN)), "tube")  # fmt: skip


def _frame(c, x, ground, rng):
    c.part(box(x - 0.13, ground - 0.4, x + 0.13, ground), rng.choice(NEUTRALS), "flat")
    c.part(box(x - 0.1, ground - 0.37, x + 0.1, ground - 0.03), (240, 238, 232), "flat", edge=0.2)
    c.part(ellipse(x, ground - 0.2, 0.06, 0.08), rng.choice((TERRACOTTA, GREEN)), None, edge=0)


def _standing_props(c, rng):
    left, right = rng.sample((_plant, _books, _frame), 2)
    left(c, rng.uniform(0.16, 0.2), 0.84, rng)
    right(c, rng.uniform(0.8, 0.84), 0.84, rng)


def _lying_props(c, rng):
    """A notebook, a pen and a saucer, seen from above."""
    cloth = rng.choice((*NEUTRALS, TERRACOTTA, GREEN))
    c.part(box(0.04, 0.08, 0.46, 0.6, 0.02), cloth, "flat")
    c.part(box(0.06, 0.08, 0.09, 0.6), darker(cloth, 0.25), "flat", edge=0)
    x, y = rng.uniform(0.78, 0.84), rng.uniform(0.7, 0.82)
    c.part(ellipse(x, y, 0.16, 0.16), (244, 242, 236), "ball", 0.6)
    c.part(ellipse(x, y, 0.1, 0.1), (250, 249, 246), "ball", 0.8)
    c.part(ellipse(x, y, 0.08, 0.08), (96, 62, 40), "flat")
    pen = rng.uniform(0.1, 0.2)
    c.part(band([(pen, 0.95), (pen + 0.42, 0.86)], 0.022), (44, 52, 84), "tube")
