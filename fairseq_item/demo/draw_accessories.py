"""Drawings of shoes, bags, watches and sunglasses."""

import numpy as np

from fairseq_item.demo.canvas import (
    band,
    box,
    bright,
    darker,
    ellipse,
    lighter,
    mirrored,
    mix,
    smooth,
)
from fairseq_item.demo.patterns import emblem, print_on

STEEL, GOLD = (188, 192, 198), (212, 175, 95)


def draw_sneaker(c, look):
    """Shapes: 0 low runner, 1 high top, 2 court, 3 slip-on."""
    material = print_on(c.side, look.pattern, look.colours)
    sole = (244, 243, 238) if look.trimmed else look.third
    thick = 0.02 * look.proportions[0]
    collar = 0.24 if look.shape == 1 else 0.40
    heel = 0.13 if look.shape != 2 else 0.15
    inner = smooth([(heel + 0.02, collar), (heel + 0.16, collar - 0.03),
                    (heel + 0.3, collar + 0.02),
                    (heel + 0.17, collar + 0.1)])  # fmt: skip
    c.part(inner, darker(look.colour, 0.6), None)
    upper = smooth([
        (heel, collar - 0.01, 0), (heel + 0.1, collar + 0.06), (heel + 0.3, collar, 0),
        (0.52, 0.475), (0.66, 0.56), (0.83, 0.60), (0.905, 0.68), (0.9, 0.74, 0),
        (heel - 0.01, 0.74, 0),
        (heel + 0.012, 0.58),
    ])  # fmt: skip
    c.part(upper, material, "tube", 0.8)
    toe = smooth([(0.73, 0.585, 0), (0.83, 0.60), (0.905, 0.68), (0.9, 0.74, 0), (0.7, 0.74, 0)])
    if look.shape in (1, 2):
        c.part(toe, sole if look.shape == 1 else darker(look.colour, 0.1), "ball", 0.7)
    counter = smooth([(heel, collar, 0), (heel + 0.075, collar + 0.09), (heel + 0.09, 0.74, 0),
                      (heel - 0.01, 0.74, 0), (heel + 0.012, 0.58)])  # fmt: skip
    c.part(counter, look.accent, "round", 0.5)
    ground = np.array([(heel - 0.04, 0.735), (0.93, 0.735)])
    bottom = smooth([
        (*ground[0], 0), (0.5, 0.745 - thick), (*ground[1], 0), (0.955, 0.78), (0.9, 0.825 + thick),
        (0.5, 0.825 + thick), (heel - 0.03, 0.83 + 2 * thick),
    ])  # fmt: skip
    c.part(bottom, sole, "tube", 0.7)
    c.line([(heel - 0.02, 0.785), (0.5, 0.785), (0.93, 0.78)], darker(sole, 0.25), 0.006)
    if look.shape == 0:
        for i in range(9):
            x = heel + 0.03 + i * 0.085
            c.line([(x, 0.80), (x + 0.03, 0.825)], look.accent, 0.008)
    if c.view == "back":  # a shoe's other side
        for i in range(4):
            c.part(ellipse(0.4 + i * 0.035, 0.68, 0.009, 0.009), darker(look.colour, 0.6), None)
    if look.shape != 3:
        lace = (246, 246, 246) if bright(look.colour) < 0.75 else (60, 60, 66)
        steps = 6 if look.shape == 1 else 4
        start, stop = (heel + 0.3, collar + 0.02), (0.64, 0.555)
        for i in range(steps):
            share = (i + 0.5) / steps
            x = start[0] + share * (stop[0] - start[0])
            y = start[1] + share * (stop[1] - start[1])
            c.part(band([(x - 0.06, y + 0.05), (x + 0.012, y - 0.012)], 0.017), lace, None)
    else:
        c.part(smooth([(0.36, 0.43), (0.47, 0.46), (0.5, 0.6), (0.42, 0.62)]),
               darker(look.colour, 0.35), "flat")  # fmt: skip
    emblem(c, look.emblem, heel + 0.3, 0.63, 0.075, look.accent, look.colour)


def draw_boot(c, look):
    """Shapes: 0 ankle boot, 1 laced work boot, 2 tall, 3 rain boot."""
    top = {0: 0.3, 1: 0.2, 2: 0.07, 3: 0.1}[look.shape] + 0.02 * look.proportions[0]
    material = print_on(c.side, look.pattern, look.colours)
    sole = (70, 55, 45) if not look.trimmed else look.accent
    gloss = 1.5 if look.shape == 3 else 1.0
    c.part(ellipse(0.36, top, 0.135, 0.03), darker(look.colour, 0.6), None)
    shaft = smooth([
        (0.225, top, 0), (0.36, top + 0.03), (0.495, top, 0), (0.5, 0.45), (0.545, 0.57),
        (0.7, 0.635),
        (0.83, 0.7), (0.855, 0.80, 0), (0.23, 0.80, 0), (0.215, 0.65), (0.245, 0.45),
    ])  # fmt: skip
    c.part(shaft, material, "round", gloss)
    c.part(smooth([(0.68, 0.63, 0), (0.83, 0.7), (0.855, 0.80, 0), (0.66, 0.80, 0)]),
           darker(look.colour, 0.08), "ball", gloss)  # fmt: skip
    c.part(band(smooth([(0.225, top + 0.02), (0.36, top + 0.05), (0.495, top + 0.02)], False),
                0.045),
           look.accent, "round", 0.8)  # fmt: skip
    deep = 0.86
    c.part([(0.215, 0.795), (0.87, 0.795), (0.875, 0.83), (0.85, deep), (0.47, deep - 0.02),
            (0.42, 0.9),
            (0.22, 0.9)], sole, "tube", 0.8)  # fmt: skip
    c.line([(0.22, 0.81), (0.86, 0.81)], lighter(sole, 0.4), 0.005)
    if look.shape == 1:
        for i in range(7):
            y = 0.27 + i * 0.05
            x = 0.46 + max(0, i - 4) * 0.03
            c.part(band([(x - 0.09, y + 0.02), (x + 0.03, y)], 0.014), (222, 196, 140), None)
            c.part(ellipse(x - 0.09, y + 0.02, 0.011, 0.011), GOLD, None)
    elif look.shape == 0:
        c.part(
            [(0.33, 0.36), (0.42, 0.36), (0.435, 0.6), (0.35, 0.6)],
            darker(look.colour, 0.5),
            "flat",
        )
    if (look.shape == 2) != (c.view == "back"):  # a zip
        c.line(smooth([(0.3, top + 0.06), (0.32, 0.5), (0.33, 0.75)], False), STEEL, 0.008)
    c.stitches(smooth([(0.25, 0.6), (0.42, 0.66), (0.66, 0.77)], False), lighter(look.colour, 0.35))
    emblem(c, look.emblem, 0.37, 0.5, 0.08, look.accent, look.colour)


def draw_backpack(c, look):
    """Shapes: 0 school, 1 roll top, 2 square, 3 hiking."""
    material = print_on(c.side, look.pattern, look.colours)
    wide = 0.02 * look.proportions[0]
    dark = darker(look.colour, 0.45)
    back = c.view == "back"
    for sign in (1, -1) if not back else ():
        strap = smooth([(0.5 + sign * 0.12, 0.12), (0.5 + sign * (0.34 + wide), 0.35),
                        (0.5 + sign * (0.3 + wide), 0.75)], False)  # fmt: skip
        c.part(band(strap, 0.05), dark, "round")
    c.part(band(smooth([(0.42, 0.12), (0.43, 0.055), (0.5, 0.04), (0.57, 0.055), (0.58, 0.12)],
                       False),
                0.026), dark, "tube")  # fmt: skip
    radius = {0: 0.17, 1: 0.07, 2: 0.05, 3: 0.12}[look.shape]
    c.part(box(0.25 - wide, 0.09, 0.75 + wide, 0.93, radius), material, "cloth", 1.1)
    seam = darker(look.colour, 0.35)
    if back:
        c.part(box(0.33, 0.3, 0.67, 0.84, 0.08), darker(look.colour, 0.25), "cloth2")
        for sign in (1, -1):
            strap = smooth([(0.5 + sign * 0.07, 0.12), (0.5 + sign * 0.15, 0.3),
                            (0.5 + sign * 0.19, 0.6), (0.5 + sign * 0.22, 0.9)],
                           False)  # fmt: skip
            c.part(band(strap, 0.075), dark, "round")
            c.stitches(strap, look.accent)
        c.part(box(0.46, 0.15, 0.54, 0.2, 0.006), look.accent, "flat")
        return
    if look.shape == 1:
        c.part(box(0.235 - wide, 0.1, 0.765 + wide, 0.27, 0.06), look.colour, "tube", 1.1)
        c.part(box(0.47, 0.1, 0.53, 0.42), look.accent, "flat")
        c.part(box(0.455, 0.36, 0.545, 0.42, 0.01), STEEL, "metal")
    elif look.shape == 3:
        c.part(mirrored((0.5, 0.09), (0.68, 0.1), (0.76 + wide, 0.2), (0.76 + wide, 0.33, 0),
                        (0.5, 0.38)), look.accent, "ball", 0.7)  # fmt: skip
        for x in (0.35, 0.65):
            c.part(box(x - 0.018, 0.32, x + 0.018, 0.55), dark, "flat")
            c.part(box(x - 0.03, 0.47, x + 0.03, 0.51, 0.006), (60, 60, 64), "metal")
    else:
        zipper = smooth(
            [(0.285, 0.5), (0.29, 0.25), (0.5, 0.15), (0.71, 0.25), (0.715, 0.5)], False
        )
        c.line(zipper, seam, 0.014)
        c.stitches(zipper, STEEL, 1)
    pocket = look.accent if look.trimmed else darker(look.colour, 0.1)
    c.part(box(0.3 - wide, 0.56, 0.7 + wide, 0.88, 0.06), pocket, "cloth2")
    c.line([(0.32, 0.62), (0.68, 0.62)], darker(pocket, 0.4), 0.012)
    c.part(box(0.64, 0.61, 0.665, 0.67, 0.006), STEEL, "metal")
    for sign in (1, -1):
        side = 0.5 + sign * (0.245 + wide)
        c.part(box(side - 0.03, 0.63, side + 0.03, 0.9, 0.02), dark, "cloth")
    position = (0.5, 0.745) if look.shape in (1, 3) else (0.5, 0.38)
    ground = pocket if look.shape in (1, 3) else look.colour
    colour = look.accent if ground != look.accent else lighter(look.third, 0.5)
    emblem(c, look.emblem, *position, 0.075, colour, ground)


def draw_handbag(c, look):
    """Shapes: 0 tote, 1 flap bag, 2 bucket, 3 clutch with a chain."""
    material = print_on(c.side, look.pattern, look.colours)
    metal = GOLD if look.trimmed else STEEL
    wide = 0.025 * look.proportions[0]
    if look.shape == 3:
        chain = smooth([(0.16, 0.5), (0.22, 0.2), (0.5, 0.1), (0.78, 0.2), (0.84, 0.5)], False, 12)
        for i, (x, y) in enumerate(chain[::2]):
            c.part(ellipse(x, y, 0.013, 0.01 if i % 2 else 0.016), metal, "ball")
    else:
        rise = {0: 0.09, 1: 0.16, 2: 0.1}[look.shape]
        for colour, shift in ((darker(look.accent, 0.35), 0.02), (look.accent, 0)):
            handle = smooth([(0.33, 0.46), (0.34, 0.25 + shift), (0.5, rise + shift),
                             (0.66, 0.25 + shift), (0.67, 0.46)], False)  # fmt: skip
            c.part(band(handle, 0.03), colour, "round")
    if look.shape == 0:
        body = mirrored(
            (0.5, 0.37), (0.8 + wide, 0.36, 0), (0.76, 0.65), (0.74, 0.89, 0), (0.5, 0.9)
        )
    elif look.shape == 2:
        body = mirrored((0.5, 0.38), (0.7, 0.37, 0), (0.74, 0.6), (0.79 + wide, 0.84), (0.72, 0.9),
                        (0.5, 0.91))  # fmt: skip
    else:
        body = box(0.13 - wide, 0.44, 0.87 + wide, 0.88, 0.06)
    c.part(body, material, "cloth" if look.fold else "gloss", 0.9)
    back = c.view == "back"
    if back:
        c.line([(0.3, 0.6), (0.7, 0.6)], darker(look.colour, 0.45), 0.014)
        c.part(box(0.68, 0.59, 0.72, 0.612, 0.004), metal, "metal")
    if look.shape in (1, 3) and back:
        c.part(box(0.13 - wide, 0.435, 0.87 + wide, 0.49, 0.02), material, "gloss", 0.8)
    elif look.shape in (1, 3):
        flap = mirrored((0.5, 0.435), (0.86 + wide, 0.435, 0), (0.87 + wide, 0.56), (0.78, 0.66),
                        (0.5, 0.7))  # fmt: skip
        c.part(flap, material, "gloss", 0.8)
        c.part(box(0.455, 0.65, 0.545, 0.735, 0.015), metal, "metal")
        c.part(box(0.48, 0.675, 0.52, 0.71, 0.006), darker(metal, 0.4), None)
    else:
        c.part(band([(0.24, 0.405), (0.76, 0.405)], 0.03), look.accent, "flat")
        for x in (0.33, 0.67):
            c.part(ellipse(x, 0.47, 0.02, 0.02), metal, "ball")
    c.stitches([(0.24 + i * 0.02, 0.865) for i in range(27)], lighter(look.colour, 0.4))
    emblem(c, look.emblem, 0.5, 0.57 if look.shape in (1, 3) else 0.66, 0.065,
           mix(metal, look.accent, 0.5) if look.shape in (1, 3) else look.accent,
           look.colour)  # fmt: skip


def draw_watch(c, look):
    """Shapes: 0 round, 1 square, 2 chronograph, 3 smart."""
    strap = print_on(c.side, look.pattern, look.colours)
    case = GOLD if look.trimmed else STEEL
    wide = 0.105 + 0.015 * look.proportions[0]
    for top, bottom in ((0.03, 0.32), (0.68, 0.97)):
        c.part(mirrored((0.5, top), (0.5 + wide * (0.8 if top < 0.5 else 1), top, 0),
                        (0.5 + wide * (1 if top < 0.5 else 0.8), bottom, 0), (0.5, bottom)),
               strap, "round", 1.0)  # fmt: skip
    if look.pattern == "plain":
        for y in (0.08, 0.14, 0.2, 0.76, 0.82, 0.88):
            c.line([(0.5 - wide * 0.8, y), (0.5 + wide * 0.8, y)], darker(look.colour, 0.3), 0.004)
    c.part(box(0.72, 0.475, 0.775, 0.525, 0.01), case, "tube")
    dial = look.accent
    mark = (245, 245, 245) if bright(dial) < 0.55 else (35, 35, 40)
    if look.shape in (1, 3):
        c.part(box(0.27, 0.27, 0.73, 0.73, 0.06 if look.shape == 1 else 0.12), case, "metal", 1.2)
        dial = (18, 20, 26) if look.shape == 3 else dial
        mark = (235, 240, 245) if look.shape == 3 else mark
        c.part(box(0.31, 0.31, 0.69, 0.69, 0.04 if look.shape == 1 else 0.09), dial, "gloss", 0.7)
    else:
        c.part(ellipse(0.5, 0.5, 0.255, 0.255), case, "metal", 1.3)
        c.part(ellipse(0.5, 0.5, 0.21, 0.21), dial, "gloss", 0.7)
    if c.view == "back":
        c.part(ellipse(0.5, 0.5, 0.215, 0.215), darker(case, 0.15), "metal", 1.3)
        c.part(band(ellipse(0.5, 0.5, 0.165, 0.165), 0.01), darker(case, 0.4), None, edge=0)
        sensor = (28, 30, 36) if look.shape == 3 else lighter(case, 0.2)
        c.part(ellipse(0.5, 0.5, 0.1, 0.1), sensor, "ball")
        return
    if look.shape == 3:
        for i, colour in enumerate((look.colour, look.accent, look.third)):
            arc = ellipse(0.5, 0.5, 0.15 - 0.035 * i, 0.15 - 0.035 * i, -90, 60 + 70 * i)
            c.part(band(arc, 0.024), lighter(colour, 0.25), None, edge=0)
        return
    for hour in range(12):
        angle = np.radians(30 * hour)
        x, y = np.cos(angle), np.sin(angle)
        inside = 0.16 if hour % 3 or look.emblem == "none" else 0.135
        width = 0.011 if hour % 3 else 0.02
        c.line(
            [(0.5 + inside * x, 0.5 + inside * y), (0.5 + 0.19 * x, 0.5 + 0.19 * y)], mark, width
        )
    if look.shape == 2:
        for x, y in ((0.42, 0.5), (0.58, 0.5), (0.5, 0.585)):
            c.part(ellipse(x, y, 0.05, 0.05), mix(dial, mark, 0.25), None, edge=0.4)
            c.line([(x, y), (x + 0.02, y - 0.03)], mark, 0.006)
    emblem(c, look.emblem, 0.5, 0.41, 0.035, mark, dial)
    for degrees, length, width in ((-150, 0.10, 0.018), (-60, 0.15, 0.013), (100, 0.16, 0.005)):
        angle = np.radians(degrees)
        end = (0.5 + length * np.cos(angle), 0.5 + length * np.sin(angle))
        c.line([(0.5, 0.5), end], mark if width > 0.01 else (210, 60, 50), width)
    c.part(ellipse(0.5, 0.5, 0.014, 0.014), case, "ball")


def draw_sunglasses(c, look):
    """Shapes: 0 wayfarer, 1 round, 2 aviator, 3 cat-eye."""
    frame = print_on(c.side, look.pattern, look.colours)
    size = 1 + 0.07 * look.proportions[0]
    outlines = {
        0: [(-0.9, -0.65), (0.8, -0.6), (0.9, 0), (0.6, 0.7), (-0.4, 0.7), (-0.85, 0.1)],
        1: [(0, -0.85), (0.8, -0.35), (0.8, 0.4), (0, 0.85), (-0.8, 0.4), (-0.8, -0.35)],
        2: [(-0.85, -0.6), (0.85, -0.7), (0.95, 0), (0.55, 0.85), (-0.2, 0.75), (-0.8, 0)],
        3: [(-0.8, -0.35), (0.4, -0.55), (1.15, -0.9), (0.95, 0.1), (0.4, 0.65), (-0.6, 0.5)],
    }[look.shape]
    for sign in (1, -1):
        arm = [(0.5 + sign * 0.4, 0.40), (0.5 + sign * 0.36, 0.28), (0.5 + sign * 0.3, 0.25)]
        c.part(band(smooth(arm, False), 0.02), darker(look.colour, 0.3), "flat")
    bridge = smooth([(0.4, 0.46), (0.5, 0.425), (0.6, 0.46)], False)
    c.part(band(bridge, 0.035 if look.shape != 2 else 0.018), frame, "tube")
    if look.shape == 2:
        c.part(band([(0.38, 0.39), (0.62, 0.39)], 0.016), frame, "tube")
    thin = look.shape in (1, 2)
    for sign in (1, -1):

        def lens(scale, sign=sign):
            x, y = np.array(outlines).T
            points = np.stack([0.5 + sign * (0.215 + 0.175 * scale * size * x),
                               0.5 + 0.185 * scale * size * y], axis=1)  # fmt: skip
            return smooth([tuple(point) for point in points])

        c.part(lens(1.0), frame, "tube", 1.2)
        c.part(lens(0.9 if thin else 0.78), look.accent, "gloss", 1.3)
        shine = [(0.5 + sign * 0.215 + dx, 0.5 + dy) for dx, dy in
                 ((-0.08, 0.06), (0.02, -0.1), (0.05, -0.1), (-0.05, 0.07))]  # fmt: skip
        c.part(shine, lighter(look.accent, 0.45), None, edge=0)
    if c.view == "back":
        for sign in (1, -1):
            arm = [(0.5 + sign * 0.4, 0.43), (0.5 + sign * 0.1, 0.5), (0.5 - sign * 0.3, 0.58)]
            c.part(band(smooth(arm, False), 0.03), darker(look.colour, 0.2), "tube")
        return
    emblem(c, look.emblem, 0.5 + 0.385, 0.4, 0.017, STEEL, look.colour)
