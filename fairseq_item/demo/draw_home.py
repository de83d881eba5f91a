"""Drawings of things for the kitchen, the home and the nursery."""

import numpy as np

from fairseq_item.demo.canvas import band, box, bright, darker, ellipse, lighter, mirrored, smooth
from fairseq_item.demo.patterns import emblem, print_on

STEEL, BLACK, WOOD = (186, 190, 196), (42, 42, 46), (176, 122, 72)


def _contrast(look):
    if abs(bright(look.accent) - bright(look.colour)) > 0.2:
        return look.accent
    return (250, 250, 248) if bright(look.colour) < 0.5 else (45, 45, 52)


def draw_mug(c, look):
    """Shapes: 0 straight, 1 round-bellied, 2 tall, 3 enamel with a rim."""
    material = print_on(c.side, look.pattern, look.colours)
    left, right = (0.2, 0.68) if look.shape != 2 else (0.25, 0.62)
    top, bottom = (0.24 if look.shape != 2 else 0.12), 0.86 + 0.02 * look.proportions[0]
    middle, half = (left + right) / 2, (right - left) / 2
    reach = right + (0.07 if c.view == "side" else 0.16)
    loop = smooth([(right - 0.03, top + 0.13), (reach - 0.02, top + 0.14), (reach, 0.56),
                   ((reach + right) / 2 - 0.03, 0.7), (right - 0.03, 0.72)], False)  # fmt: skip
    c.part(band(loop, 0.055), look.accent if look.trimmed else look.colour, "tube", 1.0)
    foot = {0: 0.98, 1: 0.65, 2: 0.78, 3: 0.92}[look.shape] * half
    belly = {0: 1.0, 1: 1.12, 2: 0.94, 3: 0.98}[look.shape] * half
    body = smooth([
        (left, top, 0), (middle, top + 0.055), (right, top, 0),
        (middle + belly, (top + bottom) / 2),
        (middle + foot, bottom - 0.03), (middle + foot * 0.8, bottom + 0.012),
        (middle, bottom + 0.03), (middle - foot * 0.8, bottom + 0.012),
        (middle - foot, bottom - 0.03),
        (middle - belly, (top + bottom) / 2),
    ])  # fmt: skip
    c.part(body, material, "round", 1.1)
    rim = look.accent if look.shape == 3 or look.trimmed else lighter(look.colour, 0.35)
    c.part(ellipse(middle, top, half, 0.06), rim, "flat", 0.6)
    c.part(ellipse(middle, top + 0.004, half * 0.93, 0.05), darker(look.inside, 0.25), "round", 0.7)
    emblem(c, look.emblem, middle - 0.01, 0.57, 0.12, _contrast(look), look.colour)


def draw_kettle(c, look):
    """Shapes: 0 electric jug, 1 gooseneck, 2 stove-top, 3 with a window."""
    material = print_on(c.side, look.pattern, look.colours)
    grip = BLACK if not look.trimmed else WOOD
    wide = 0.015 * look.proportions[0]
    if look.shape == 2:
        arch = smooth([(0.26, 0.42), (0.28, 0.18), (0.5, 0.1), (0.72, 0.18), (0.74, 0.42)], False)
        c.part(band(arch, 0.04), grip, "tube")
        c.part(smooth([(0.7, 0.55), (0.86, 0.38), (0.93, 0.36, 0), (0.9, 0.45), (0.74, 0.76)]),
               look.colour, "tube")  # fmt: skip
        body = mirrored((0.5, 0.36), (0.68, 0.4), (0.8 + wide, 0.62), (0.81 + wide, 0.82),
                        (0.72, 0.88),
                        (0.5, 0.89))  # fmt: skip
        lid = (0.5, 0.375, 0.15)
    else:
        reach = 0.2 if c.view == "side" else 0.1
        loop = smooth([(0.3, 0.24), (reach + 0.02, 0.26), (reach, 0.55), (0.26, 0.76)], False)
        c.part(band(loop, 0.055), grip, "round")
        if look.shape == 1:
            neck = smooth([(0.66, 0.74), (0.8, 0.66), (0.8, 0.4), (0.93, 0.28)], False)
            c.part(band(neck, 0.035), look.colour, "round", 1.2)
        else:
            c.part([(0.68, 0.2), (0.84, 0.235), (0.72, 0.4)], look.colour, "flat")
        top = 0.33 if look.shape == 1 else 0.2
        body = mirrored((0.5, top), (0.66, top, 0), (0.71 + wide, 0.6), (0.75 + wide, 0.84),
                        (0.7, 0.87, 0),
                        (0.5, 0.875))  # fmt: skip
        lid = (0.5, top, 0.165)
    c.part(body, material, "round", 1.3)
    if look.shape == 3 and c.view != "back":
        c.part(box(0.6, 0.35, 0.66, 0.8, 0.03), (222, 232, 238), "gloss")
        c.part(box(0.608, 0.52, 0.652, 0.79, 0.02), (150, 196, 222), "round", 0.8, edge=0.1)
    c.part(ellipse(*lid[:2], lid[2], 0.035), look.accent, "metal")
    c.part(ellipse(lid[0], lid[1] - 0.04, 0.03, 0.028), grip, "ball")
    if look.shape != 2:
        c.part(box(0.27 - wide, 0.855, 0.73 + wide, 0.915, 0.02), BLACK, "round")
    emblem(c, look.emblem, 0.5, 0.63, 0.08, _contrast(look), look.colour)


def draw_pan(c, look):
    """Seen from above; shapes: 0 frying pan, 1 grill pan, 2 saucepan with lid, 3 wok."""
    material = print_on(c.side, look.pattern, look.colours)
    radius = 0.29 + 0.01 * look.proportions[0]
    x, y = 0.37, 0.42
    grip = WOOD if look.trimmed else darker(look.accent, 0.1)
    handle = np.array([(0.55, 0.58), (0.68, 0.69), (0.93, 0.91)])
    c.part(band(handle[:2], 0.045), STEEL, "tube")
    c.part(band(smooth([(0.63, 0.645), (0.78, 0.785), (0.93, 0.91)], False), 0.07), grip, "tube")
    c.part(ellipse(0.905, 0.888, 0.014, 0.014), (235, 235, 235), None)
    if look.shape in (2, 3):
        c.part(band(smooth([(0.14, 0.25), (0.06, 0.22), (0.1, 0.13), (0.2, 0.2)], False), 0.03),
               grip,
               "tube")  # fmt: skip
    c.part(ellipse(x, y, radius, radius), darker(look.accent, 0.1), "ball", 0.9)
    if look.shape == 2 and c.view != "back":
        c.part(ellipse(x, y, radius * 0.94, radius * 0.94), material, "ball", 1.1)
        c.part(
            band(ellipse(x, y, radius * 0.75, radius * 0.75), 0.008), darker(look.colour, 0.3), None
        )
        c.part(ellipse(x, y, 0.06, 0.06), look.accent, "ball", 1.3)
        emblem(c, look.emblem, x, y + 0.16, 0.05, _contrast(look), look.colour)
        return
    if c.view == "back":  # from below
        c.part(ellipse(x, y, radius * 0.96, radius * 0.96), material, "ball", 0.8)
        for share in (0.78, 0.56, 0.34):
            c.part(ellipse(x, y, radius * share, radius * share), STEEL, "metal", 1.2)
        return
    c.part(ellipse(x, y, radius * 0.93, radius * 0.93), look.colour, "metal", 1.1)
    c.part(ellipse(x, y, radius * 0.76, radius * 0.76), material, "gloss", 0.7)
    if look.shape == 1:
        for i in range(-4, 5):
            half = np.sqrt(max(0, 0.7**2 - (i * 0.15) ** 2)) * radius
            at = x + i * 0.15 * radius
            c.line([(at, y - half), (at, y + half)], darker(look.colour, 0.4), 0.012)
    elif look.shape == 3:
        c.part(ellipse(x, y, radius * 0.3, radius * 0.3), darker(look.colour, 0.3), "ball")
    emblem(c, look.emblem, x, y, 0.06, _contrast(look), look.colour)


def draw_lamp(c, look):
    """Shapes of the shade: 0 cone, 1 drum, 2 dome, 3 desk lamp with an arm."""
    material = print_on(c.side, look.pattern, look.colours)
    metal = look.accent
    if look.shape == 3:
        c.part(ellipse(0.42, 0.9, 0.2, 0.04), darker(metal, 0.2), "gloss")
        c.part(band([(0.42, 0.89), (0.3, 0.55)], 0.025), metal, "round")
        c.part(band([(0.3, 0.55), (0.6, 0.25)], 0.025), metal, "tube")
        c.part(ellipse(0.3, 0.55, 0.03, 0.03), STEEL, "ball")
        c.part(ellipse(0.75, 0.43, 0.075, 0.06), (255, 240, 190), "ball")
        c.part([(0.56, 0.27), (0.65, 0.18), (0.9, 0.36), (0.68, 0.53)], material, "metal", 1.2)
        emblem(c, look.emblem, 0.7, 0.35, 0.055, _contrast(look), look.colour)
        return
    wide = 0.02 * look.proportions[0]
    if c.view == "back":  # the cord
        cord = smooth([(0.55, 0.9), (0.68, 0.93), (0.76, 0.89), (0.9, 0.93)], False)
        c.part(band(cord, 0.014), BLACK, "tube")
    c.part(
        mirrored((0.5, 0.86), (0.62 + wide, 0.875), (0.66 + wide, 0.91), (0.5, 0.94)),
        metal,
        "gloss",
    )
    if look.worn:
        c.part(mirrored((0.5, 0.46), (0.53, 0.48), (0.6 + wide, 0.68), (0.53, 0.85), (0.5, 0.88)),
               metal, "round", 1.3)  # fmt: skip
    else:
        c.part(box(0.483, 0.42, 0.517, 0.89), metal, "round", 1.3)
    top, bottom = 0.1, 0.5
    if look.shape == 0:
        shade = [(0.4, top), (0.6, top), (0.8 + wide, bottom), (0.2 - wide, bottom)]
    elif look.shape == 1:
        shade = box(0.24 - wide, top + 0.02, 0.76 + wide, bottom, 0.01)
    else:
        shade = mirrored((0.5, top), (0.68, 0.2), (0.78 + wide, bottom - 0.02, 0), (0.5, bottom))
    c.part(shade, material, "round", 0.9)
    if look.trimmed:
        c.part(band([(0.21 if look.shape == 0 else 0.25, bottom - 0.012),
                     (0.79 if look.shape == 0 else 0.75, bottom - 0.012)], 0.024),
                     look.third)  # fmt: skip
    emblem(c, look.emblem, 0.5, 0.32, 0.085, _contrast(look), look.colour)


def draw_toy_car(c, look):
    """Shapes: 0 saloon, 1 van, 2 racing car, 3 lorry."""
    material = print_on(c.side, look.pattern, look.colours)
    high = 0.015 * look.proportions[0]
    if look.shape == 0:
        body = [(0.06, 0.62, 0), (0.1, 0.5), (0.27, 0.47), (0.37, 0.31 - high), (0.62, 0.3 - high),
                (0.75, 0.46), (0.92, 0.52), (0.95, 0.68, 0), (0.06, 0.7, 0)]  # fmt: skip
        windows = [[(0.33, 0.47), (0.4, 0.35), (0.5, 0.345), (0.5, 0.47)],
                   [(0.53, 0.47), (0.53, 0.345), (0.61, 0.35), (0.69, 0.47)]]  # fmt: skip
    elif look.shape == 1:
        body = [(0.06, 0.7, 0), (0.06, 0.28), (0.12, 0.22 - high), (0.68, 0.22 - high),
                (0.78, 0.28),
                (0.86, 0.46), (0.94, 0.52), (0.95, 0.7, 0)]  # fmt: skip
        windows = [
            [(x, 0.42), (x, 0.29), (x + 0.15, 0.29), (x + 0.15, 0.42)] for x in (0.12, 0.31, 0.5)
        ]
        windows.append([(0.69, 0.45), (0.69, 0.3), (0.75, 0.3), (0.82, 0.45)])
    elif look.shape == 2:
        c.part(box(0.05, 0.36, 0.2, 0.41, 0.01), look.accent, "flat")
        c.part(box(0.1, 0.4, 0.13, 0.55), BLACK, "flat")
        body = [(0.05, 0.64, 0), (0.12, 0.53), (0.4, 0.5), (0.46, 0.41), (0.55, 0.42), (0.62, 0.53),
                (0.93, 0.62), (0.96, 0.68, 0), (0.06, 0.7, 0)]  # fmt: skip
        windows = [[(0.53, 0.44), (0.57, 0.45), (0.63, 0.53), (0.52, 0.52)]]
    else:
        c.part(box(0.05, 0.22 - high, 0.63, 0.66, 0.02), look.accent, "flat", 1.2)
        body = [
            (0.65, 0.7, 0),
            (0.65, 0.33, 0),
            (0.8, 0.33),
            (0.88, 0.48),
            (0.95, 0.52),
            (0.95, 0.7, 0),
        ]
        windows = [[(0.69, 0.48), (0.69, 0.38), (0.79, 0.38), (0.84, 0.48)]]
        c.part(box(0.05, 0.66, 0.95, 0.71), BLACK, "flat")
    c.part(smooth(body), material, "tube", 1.2)
    for window in windows:
        c.part(window, (150, 196, 220), "gloss", 1.3)
    c.part(ellipse(0.925, 0.58, 0.02, 0.028), (255, 236, 160), "ball")
    c.part(box(0.05, 0.555, 0.075, 0.61, 0.008), (215, 60, 50), "flat")
    if look.trimmed and look.shape != 3:
        c.part(band([(0.08, 0.61), (0.9, 0.61)], 0.024), look.accent, None)
    wheel = 0.1 if look.shape != 2 else 0.115
    for x in (0.25, 0.75):
        c.part(ellipse(x, 0.7, wheel, wheel), BLACK, "ball", 0.9)
        c.part(ellipse(x, 0.7, wheel * 0.58, wheel * 0.58), look.third, "ball")
        for turn in range(5):
            angle = np.radians(72 * turn)
            c.line([(x, 0.7), (x + wheel * 0.5 * np.cos(angle), 0.7 + wheel * 0.5 * np.sin(angle))],
                   darker(look.third, 0.5), 0.01)  # fmt: skip
        c.part(ellipse(x, 0.7, wheel * 0.18, wheel * 0.18), STEEL, "ball")
    position = {0: (0.5, 0.555), 1: (0.4, 0.555), 2: (0.35, 0.59), 3: (0.34, 0.43)}[look.shape]
    radius = 0.11 if look.shape == 3 else 0.055
    ground = look.accent if look.shape == 3 else look.colour
    emblem(
        c,
        look.emblem,
        *position,
        radius,
        look.colour if look.shape == 3 else _contrast(look),
        ground,
    )


def draw_teddy(c, look):
    """Shapes: 0 bear, 1 rabbit, 2 dog, 3 cat."""
    material = print_on(c.side, look.pattern, look.colours)
    pale = lighter(look.colour, 0.5)
    arms = 0.02 * look.proportions[0]
    for sign in (1, -1):

        def x(offset, sign=sign):
            return 0.5 + sign * offset

        if look.shape == 0:
            ears = ((x(0.15), 0.16, 0.075, 0.075), (x(0.15), 0.165, 0.045, 0.045))
        elif look.shape == 1:
            ears = ((x(0.09), 0.1, 0.05, 0.135), (x(0.09), 0.11, 0.026, 0.1))
        elif look.shape == 2:
            ears = ((x(0.19), 0.29, 0.06, 0.125), (x(0.195), 0.31, 0.03, 0.08))
        else:
            c.part([(x(0.19), 0.07), (x(0.05), 0.15), (x(0.18), 0.25)], look.colour, "flat")
            ears = ((x(0.15), 0.16, 0.03, 0.04), (x(0.15), 0.16, 0.02, 0.03))
        c.part(ellipse(*ears[0]), look.colour, "ball")
        c.part(ellipse(*ears[1]), lighter(look.accent, 0.3), "ball")
        arm = smooth([(x(0.15), 0.5), (x(0.27 + arms), 0.58), (x(0.3 + arms), 0.7)], False)
        c.part(band(arm, 0.105), material, "round")
        c.part(ellipse(x(0.3 + arms), 0.71, 0.055, 0.055), pale, "ball")
    c.part(ellipse(0.5, 0.66, 0.2, 0.23), material, "ball", 1.0)
    back = c.view == "back"
    if not back:
        c.part(ellipse(0.5, 0.68, 0.125, 0.155), pale, "ball", 0.6, edge=0.15)
    for sign in (1, -1):
        c.part(ellipse(0.5 + sign * 0.17, 0.87, 0.095, 0.085), material, "ball")
        if not back:
            c.part(ellipse(0.5 + sign * 0.18, 0.885, 0.05, 0.048), pale, "ball", edge=0.15)
    c.part(ellipse(0.5, 0.3, 0.205, 0.18), look.colour, "ball", 1.0)
    if back:
        c.stitches([(0.5, 0.13 + i * 0.02) for i in range(16)], darker(look.colour, 0.3))
        c.stitches([(0.5, 0.5 + i * 0.02) for i in range(16)], darker(look.colour, 0.3))
        c.part(ellipse(0.5, 0.83, 0.06, 0.055), pale, "ball")
    else:
        _teddy_face(c, pale)
    if look.trimmed:
        for sign in (1, -1):
            c.part(
                [(0.5, 0.485), (0.5 + sign * 0.1, 0.43), (0.5 + sign * 0.1, 0.54)],
                look.accent,
                "flat",
            )
        c.part(ellipse(0.5, 0.485, 0.025, 0.025), darker(look.accent, 0.2), "ball")
    else:
        c.part(
            band(smooth([(0.36, 0.455), (0.5, 0.5), (0.64, 0.455)], False), 0.04),
            look.accent,
            "round",
        )
    emblem(c, look.emblem, 0.5, 0.67, 0.095, look.accent, pale)


def _teddy_face(c, pale):
    c.part(ellipse(0.5, 0.36, 0.095, 0.075), pale, "ball", 0.7, edge=0.15)
    c.part(ellipse(0.5, 0.33, 0.03, 0.022), (40, 32, 30), "ball")
    c.line(smooth([(0.45, 0.385), (0.475, 0.4), (0.5, 0.375), (0.525, 0.4), (0.55, 0.385)], False),
           (60, 45, 40), 0.008)  # fmt: skip
    for sign in (1, -1):
        c.part(ellipse(0.5 + sign * 0.085, 0.27, 0.024, 0.028), (25, 22, 22), "ball")
        c.part(
            ellipse(0.5 + sign * 0.085 - 0.007, 0.262, 0.008, 0.008), (255, 255, 255), None, edge=0
        )
