"""Drawings of electronics."""

import numpy as np

from fairseq_item.demo.canvas import band, box, bright, darker, ellipse, lighter, mix, smooth
from fairseq_item.demo.patterns import emblem, print_on

GLASS, STEEL = (24, 27, 34), (170, 175, 182)


def _camera_lens(c, x, y, radius, ring):
    c.part(ellipse(x, y, radius, radius), ring, "ball")
    c.part(ellipse(x, y, radius * 0.78, radius * 0.78), GLASS, "ball")
    c.part(ellipse(x, y, radius * 0.42, radius * 0.42), (48, 56, 88), "ball", 1.3)
    c.part(ellipse(x - radius * 0.25, y - radius * 0.28, radius * 0.12, radius * 0.12),
           (235, 240, 255), None, edge=0)  # fmt: skip


def draw_phone(c, look):
    """Its back with the screen behind it, or the screen alone, seen from the other side; shapes
    are camera layouts: 0 square, 1 column, 2 bar, 3 round."""
    material = print_on(c.side, look.pattern, look.colours)
    radius = 0.05 + 0.02 * look.proportions[0]
    if c.view == "back":
        c.part(box(0.428, 0.088, 0.872, 0.932, radius), look.colour, "metal")
    c.part(box(0.44, 0.1, 0.86, 0.92, radius), (30, 31, 35), "flat", 1)
    c.part(box(0.453, 0.113, 0.847, 0.907, radius * 0.85), look.third, "gloss", 0.8)
    glow = ellipse(0.66, 0.6, 0.12, 0.13)
    c.part(glow, lighter(look.accent, 0.2), "ball", 0.8, edge=0)
    c.part(smooth([(0.46, 0.75), (0.57, 0.62), (0.68, 0.74), (0.78, 0.66), (0.84, 0.75),
                   (0.84, 0.88, 0),
                   (0.46, 0.88, 0)]), darker(look.third, 0.35), "flat", edge=0)  # fmt: skip
    c.part(ellipse(0.65, 0.14, 0.011, 0.011), (10, 10, 12), None)
    for i in range(4):
        c.part(box(0.49 + i * 0.087, 0.815, 0.55 + i * 0.087, 0.875, 0.014),
               lighter((look.colour, look.accent, look.third, STEEL)[i], 0.35),
               "gloss")  # fmt: skip
    if c.view == "back":
        return
    c.part(box(0.14, 0.07, 0.56, 0.89, radius), darker(look.colour, 0.35), "metal")
    c.part(box(0.147, 0.077, 0.553, 0.883, radius * 0.92), material, "gloss", 1.2)
    ring = STEEL if look.trimmed else darker(look.colour, 0.4)
    if look.shape == 0:
        c.part(box(0.17, 0.1, 0.35, 0.28, 0.04), darker(look.colour, 0.15), "flat")
        positions = [(0.215, 0.145), (0.305, 0.145), (0.215, 0.235)]
    elif look.shape == 1:
        positions = [(0.215, 0.14), (0.215, 0.23), (0.215, 0.32)]
    elif look.shape == 2:
        c.part(box(0.147, 0.14, 0.553, 0.23, 0.02), darker(look.colour, 0.5), "tube")
        positions = [(0.24, 0.185), (0.33, 0.185)]
    else:
        c.part(ellipse(0.35, 0.22, 0.115, 0.115), darker(look.colour, 0.3), "flat")
        positions = [
            (0.35 + 0.062 * np.cos(a), 0.22 + 0.062 * np.sin(a)) for a in (0, 1.57, 3.14, 4.71)
        ]
    for x, y in positions:
        _camera_lens(c, x, y, 0.036, ring)
    c.part(ellipse(0.44 if look.shape < 2 else 0.5, 0.145, 0.014, 0.014), (250, 244, 215), "ball")
    contrast = lighter(look.colour, 0.55) if bright(look.colour) < 0.6 else darker(look.colour, 0.4)
    emblem(c, look.emblem, 0.35, 0.55, 0.09, contrast, look.colour)


def draw_headphones(c, look):
    """Shapes: 0 over-ear, 1 on-ear, 2 gaming, 3 earbuds in a case."""
    material = print_on(c.side, look.pattern, look.colours)
    if look.shape == 3:
        c.part(box(0.2, 0.42, 0.8, 0.9, 0.17), material, "gloss", 1.2)
        c.line([(0.2, 0.58), (0.8, 0.58)], darker(look.colour, 0.5), 0.008)
        if c.view == "back":
            c.part(box(0.4, 0.545, 0.6, 0.6, 0.01), darker(look.colour, 0.3), "metal")
        else:
            c.part(ellipse(0.5, 0.66, 0.014, 0.014), (90, 220, 120), None)
        for sign in (1, -1):
            x = 0.5 + sign * 0.16
            c.part(box(x - 0.03, 0.16, x + 0.03, 0.42, 0.03), look.colour, "round", 1.1)
            c.part(ellipse(x + sign * 0.015, 0.17, 0.085, 0.09), look.colour, "ball", 1.1)
            c.part(ellipse(x - sign * 0.045, 0.17, 0.03, 0.05), darker(look.accent, 0.2), "ball")
        emblem(c, look.emblem, 0.5, 0.76, 0.06, look.accent, look.colour)
        return
    cup = {0: 0.155, 1: 0.12, 2: 0.165}[look.shape] + 0.01 * look.proportions[0]
    arch = smooth([(0.2, 0.6), (0.19, 0.36), (0.32, 0.13), (0.5, 0.08), (0.68, 0.13), (0.81, 0.36),
                   (0.8, 0.6)], False)  # fmt: skip
    c.part(band(arch, 0.05), darker(look.colour, 0.2), "tube", 1.1)
    c.part(band(arch[8:-9] + (0, 0.012), 0.075), material, "tube", 0.9)
    c.part(band(arch[10:-11] + (0, 0.045), 0.03), look.accent, "flat")
    for sign in (1, -1):
        x = 0.5 + sign * 0.29
        c.part(box(x - 0.022, 0.36, x + 0.022, 0.55, 0.01), STEEL, "metal")
        c.part(ellipse(x - sign * 0.075, 0.64, 0.07, cup * 1.12), (38, 38, 42), "ball", 0.9)
        c.part(ellipse(x, 0.64, 0.095, cup * 1.18), material, "ball", 1.2)
        if c.view == "back":  # the pads
            c.part(ellipse(x - sign * 0.02, 0.64, 0.082, cup), (40, 40, 44), "ball", 0.9)
            c.part(ellipse(x - sign * 0.02, 0.64, 0.045, cup * 0.6), (66, 66, 72), "flat")
            continue
        c.part(ellipse(x + sign * 0.012, 0.64, 0.068, cup * 0.86), look.accent, "ball", 0.9)
        c.part(ellipse(x + sign * 0.012, 0.64, 0.052, cup * 0.67), look.colour, "ball")
        emblem(c, look.emblem, x + sign * 0.012, 0.64, 0.05, look.accent, look.colour)
    if look.shape == 2:
        boom = smooth([(0.2, 0.74), (0.25, 0.9), (0.42, 0.93)], False)
        c.part(band(boom, 0.018), (40, 40, 44), "tube")
        c.part(ellipse(0.44, 0.93, 0.04, 0.025), look.accent, "ball")


def draw_camera(c, look):
    """Shapes: 0 mirror reflex, 1 compact, 2 rangefinder, 3 instant."""
    top = {0: 0.3, 1: 0.34, 2: 0.33, 3: 0.2}[look.shape]
    body = print_on(c.side, look.pattern, look.colours)
    plate = STEEL if look.trimmed else darker(look.colour, 0.35)
    wide = 0.015 * look.proportions[0]
    if look.shape == 0:
        c.part(smooth([(0.36, 0.32, 0), (0.4, 0.17), (0.5, 0.15), (0.6, 0.17), (0.64, 0.32, 0)]),
               plate,
               "ball")  # fmt: skip
    for x, high in ((0.2, 0.05), (0.78, 0.04), (0.7, 0.025)):
        c.part(box(x - 0.05, top - high, x + 0.05, top + 0.05, 0.01), darker(plate, 0.3), "metal")
    c.part(ellipse(0.78, top - 0.035, 0.03, 0.012), look.accent, "ball")
    c.part(box(0.08 - wide, top, 0.92 + wide, 0.82, 0.06), plate, "metal", 0.9)
    c.part(box(0.08 - wide, top + 0.1, 0.92 + wide, 0.77, 0.03), body, "cloth", 0.8)
    if look.shape == 0:
        c.part(box(0.08 - wide, top + 0.05, 0.24, 0.82, 0.07), darker(look.colour, 0.35), "round")
    if c.view == "back":
        c.part(box(0.16, top + 0.11, 0.68, 0.76, 0.02), (44, 45, 50), "flat")
        c.part(box(0.18, top + 0.13, 0.66, 0.74, 0.01), GLASS, "gloss", 1.2)
        c.part(box(0.42, top - 0.06, 0.58, top + 0.06, 0.02), (30, 31, 35), "gloss")
        c.part(ellipse(0.8, 0.56, 0.065, 0.065), (44, 45, 50), "ball")
        c.part(ellipse(0.8, 0.56, 0.03, 0.03), look.accent, "ball")
        for y in (top + 0.15, 0.7):
            c.part(ellipse(0.8, y, 0.024, 0.024), darker(plate, 0.3), "ball")
        return
    x, radius = (0.53, 0.2) if look.shape == 0 else (0.5, 0.17 if look.shape != 2 else 0.15)
    y = 0.575
    for share, colour in ((1.12, darker(plate, 0.3)), (1.0, (44, 45, 50)), (0.86, (66, 68, 74)),
                          (0.8, (30, 31, 35))):  # fmt: skip
        c.part(ellipse(x, y, radius * share, radius * share), colour, "ball")
    c.part(band(ellipse(x, y, radius * 0.93, radius * 0.93), 0.012), look.accent, None, edge=0)
    _camera_lens(c, x, y, radius * 0.68, (20, 20, 24))
    c.part(smooth([(x - 0.06, y - 0.07), (x - 0.02, y - 0.09), (x, y - 0.05),
                   (x - 0.04, y - 0.02)]),
           (150, 165, 215), None, edge=0)  # fmt: skip
    if look.shape in (2, 3):
        c.part(box(0.3, top + 0.02, 0.42, top + 0.085, 0.01), GLASS, "gloss")
        c.part(box(0.64, top + 0.02, 0.8, top + 0.085, 0.012), (240, 240, 232), "gloss")
    elif look.shape == 1:
        c.part(box(0.72, top + 0.025, 0.84, top + 0.075, 0.01), (240, 240, 232), "gloss")
    if look.shape == 3:
        c.part(box(0.2, 0.79, 0.8, 0.93, 0.01), (248, 248, 244), "flat")
        c.part(box(0.25, 0.82, 0.75, 0.93), look.third, "gloss")
        c.part(box(0.12, 0.775, 0.88, 0.815, 0.01), darker(plate, 0.4), "tube")
    emblem(c, look.emblem, 0.82, 0.5, 0.05, look.accent, look.colour)


def _key(c, left, top, right, bottom, radius, fill, ground, marked):
    c.part(box(left, top, right, bottom, radius), darker(ground, 0.25), None)
    cap = box(left + 0.005, top + 0.003, right - 0.005, bottom - 0.012, radius)
    c.part(cap, fill, "gloss", 0.5, edge=0.1)
    if marked:
        mark = darker(ground, 0.5) if bright(ground) > 0.5 else lighter(ground, 0.6)
        x, y = (left + right) / 2, (top + bottom) / 2
        c.line([(x - 0.006, y), (x + 0.006, y)], mark, 0.005)


def draw_keyboard(c, look):
    """Shapes: 0 full, 1 compact, 2 split by a gap, 3 with round keys. The print is on the keys."""
    columns = {0: 16, 1: 12, 2: 13, 3: 12}[look.shape]
    high = 0.17 + 0.012 * look.proportions[0] + (0.03 if look.shape in (1, 3) else 0)
    top, bottom = 0.5 - high, 0.5 + high
    c.part(box(0.03, top - 0.04, 0.97, bottom + 0.05, 0.035), darker(look.colour, 0.3), "flat", 1.3)
    c.part(box(0.035, top - 0.045, 0.965, bottom + 0.035, 0.03), look.colour, "metal", 0.7)
    if c.view == "back":
        for x, y in ((0.1, top), (0.9, top), (0.1, bottom), (0.9, bottom)):
            c.part(box(x - 0.045, y - 0.014, x + 0.045, y + 0.014, 0.012), (50, 50, 54), "tube")
        c.part(box(0.38, 0.44, 0.62, 0.57, 0.01), (236, 236, 232), "flat")
        for y in (0.47, 0.5, 0.53):
            c.line([(0.41, y), (0.59, y)], (120, 120, 124), 0.006)
        for x in (0.22, 0.78):
            c.part(box(x - 0.06, top + 0.06, x + 0.06, top + 0.09, 0.01), look.accent, "flat")
        return
    keys = look.accent if look.trimmed else mix(look.colour, (250, 250, 250), 0.35)
    printed = print_on(c.side, look.pattern, (keys, look.third, look.accent))
    step_x, step_y = 0.9 / columns, (2 * high) / 5
    radius = step_x / 2 if look.shape == 3 else 0.008
    for row in range(5):
        column = 0
        y = top + row * step_y
        while column < columns:
            width = columns // 2 - 1 if (row, column) == (4, columns // 3) else 1
            if column == 0:
                width = 1 + row % 2
            gap = 0.03 if look.shape == 2 and column >= columns // 2 else 0
            left = 0.05 + column * step_x + gap - (0.015 if look.shape == 2 else 0)
            right = left + width * step_x - 0.008
            special = column == 0 or width > 2 or (row, column) == (2, columns - 2)
            fill, ground = (look.third, look.third) if special else (printed, keys)
            _key(c, left, y, right, y + step_y - 0.008, radius, fill, ground, width == 1)
            column += width


def draw_speaker(c, look):
    """Shapes: 0 tower, 1 lying cylinder, 2 cube, 3 smart ball."""
    material = print_on(c.side, look.pattern, look.colours)
    if look.shape == 1:
        c.part(box(0.07, 0.34, 0.93, 0.7, 0.16), material, "tube", 1.2)
        for x in (0.1, 0.9):
            c.part(ellipse(x, 0.52, 0.05, 0.165), look.accent, "ball")
            c.part(ellipse(x, 0.52, 0.028, 0.1), darker(look.accent, 0.5), "ball")
        emblem(c, look.emblem, 0.5, 0.52, 0.085, look.accent, look.colour)
        return
    if look.shape == 3:
        c.part(ellipse(0.5, 0.54, 0.33, 0.34), material, "ball", 1.2)
        c.part(ellipse(0.5, 0.28, 0.17, 0.055), look.accent, "gloss")
        c.part(band(ellipse(0.5, 0.28, 0.17, 0.055), 0.012), (110, 215, 255), None, edge=0)
        emblem(c, look.emblem, 0.5, 0.6, 0.1, look.accent, look.colour)
        return
    left, top = (0.3, 0.06) if look.shape == 0 else (0.17, 0.2)
    left -= 0.015 * look.proportions[0]
    c.part(box(left, top, 1 - left, 0.94, 0.04), material, "round", 0.8)
    c.part(
        box(left + 0.02, top + 0.02, 1 - left - 0.02, 0.92, 0.03), darker(look.colour, 0.1), "flat"
    )
    if c.view == "back":
        c.part(ellipse(0.5, 0.4, 0.075, 0.075), (26, 27, 30), "ball")
        c.part(box(0.4, 0.66, 0.6, 0.84, 0.01), (40, 41, 46), "flat")
        for x, colour in ((0.45, (196, 48, 44)), (0.55, (20, 20, 22))):
            c.part(ellipse(x, 0.75, 0.03, 0.03), colour, "ball")
        return
    cones = ((0.27, 0.075), (0.44, 0.11), (0.7, 0.15)) if look.shape == 0 else ((0.6, 0.24),)
    for y, radius in cones:
        c.part(ellipse(0.5, y, radius, radius), look.accent, "ball")
        c.part(ellipse(0.5, y, radius * 0.85, radius * 0.85), (40, 41, 46), "ball", 1.1)
        c.part(ellipse(0.5, y, radius * 0.35, radius * 0.35), darker(look.accent, 0.2), "ball", 1.3)
    emblem(c, look.emblem, 0.5, 0.13 if look.shape == 0 else 0.285, 0.042, look.accent, look.colour)
