"""Drawings of clothing, laid out flat."""

from fairseq_item.demo.canvas import band, box, bright, darker, ellipse, lighter, mirrored, smooth
from fairseq_item.demo.patterns import emblem, print_on


def _emblem_colour(look):
    """The accent where it can be told from the ground, else what can."""
    if abs(bright(look.accent) - bright(look.colour)) > 0.2:
        return look.accent
    return (245, 245, 245) if bright(look.colour) < 0.5 else (35, 35, 40)


def draw_t_shirt(c, look):
    """Shapes: 0 crew neck, 1 V-neck, 2 long sleeves, 3 polo."""
    material = print_on(c.side, look.pattern, look.colours)
    fit, length = 0.02 * look.proportions[0], 0.04 * look.proportions[1]
    dark, trim = darker(look.colour, 0.45), look.accent if look.trimmed else look.colour
    cuff = 0.93 if look.shape != 2 else 0.88
    sleeve = [(cuff, 0.38, 0), (0.82, 0.455, 0)] if look.shape != 2 else [
        (0.95, 0.80, 0), (0.855, 0.82, 0)]  # fmt: skip
    c.part(ellipse(0.5, 0.155, 0.125, 0.05), dark, shade=None)
    back = c.view == "back"
    deep = 0.16 if back else {1: 0.33, 3: 0.30}.get(look.shape, 0.215)
    body = mirrored(
        (0.5, deep, 0) if look.shape in (1, 3) and not back else (0.5, deep),
        (0.625, 0.135, 0), (0.735, 0.175), *sleeve, (0.735, 0.37, 0),
        (0.722 + fit, 0.6), (0.74 + fit, 0.9 + length, 0), (0.5, 0.915 + length),
    )  # fmt: skip
    c.part(body, material, "cloth" if look.fold else "cloth2", 1.0)
    for sign in (1, -1):

        def x(value, sign=sign):
            return 0.5 + sign * (value - 0.5)

        c.line([(x(0.73), 0.19), (x(0.728), 0.28), (x(0.735), 0.37)], darker(look.colour), 0.005)
        hem = [(x(sleeve[0][0]), sleeve[0][1]), (x(sleeve[1][0]), sleeve[1][1])]
        c.part(band(hem, 0.025), trim, "flat")
    if back:
        c.part(band(ellipse(0.5, 0.12, 0.125, 0.05, 2, 178), 0.03), trim, "flat")
        c.stitches(smooth([(0.27, 0.22), (0.5, 0.26), (0.73, 0.22)], False), dark)
    elif look.shape == 3:
        for sign in (1, -1):
            collar = [(0.5, 0.25), (0.5 + sign * 0.125, 0.13), (0.5 + sign * 0.15, 0.2),
                      (0.5 + sign * 0.05, 0.3)]  # fmt: skip
            c.part(collar, trim if look.trimmed else lighter(look.colour, 0.15), "flat")
        for y in (0.34, 0.39):
            c.part(ellipse(0.5, y, 0.01, 0.01), lighter(look.accent, 0.5), None)
        c.line([(0.5, 0.28), (0.5, 0.42)], dark)
    elif look.shape == 1:
        c.part(band(smooth([(0.375, 0.135), (0.5, 0.335, 0), (0.625, 0.135)], False), 0.022), trim)
    else:
        collar = ellipse(0.5, 0.13, 0.125, 0.095, 2, 178)
        c.part(band(collar, 0.024), trim, "flat")
    c.stitches([(0.28 + i * 0.02, 0.885 + length) for i in range(23)], darker(look.colour, 0.25))
    if look.shape == 3:
        emblem(c, look.emblem, 0.62, 0.37, 0.055, _emblem_colour(look), look.colour)
    else:
        emblem(c, look.emblem, 0.5, 0.48, 0.115, _emblem_colour(look), look.colour)


def draw_hoodie(c, look):
    """Shapes: 0 pullover, 1 with a zip, 2 colour-blocked sleeves."""
    material = print_on(c.side, look.pattern, look.colours)
    wide = 0.015 * look.proportions[0]
    dark = darker(look.colour, 0.5)
    sleeves = look.accent if look.shape == 2 else material
    for sign in (1, -1):
        arm = [(0.5 + sign * (x - 0.5), *rest) for x, *rest in (
            (0.66, 0.22), (0.78, 0.27), (0.87, 0.5), (0.925, 0.80, 0), (0.82, 0.83, 0),
            (0.77, 0.6), (0.70, 0.42))]  # fmt: skip
        c.part(smooth(arm), sleeves, "cloth2")
        cuff = [(0.5 + sign * 0.428, 0.815), (0.5 + sign * 0.317, 0.84)]
        c.part(band(cuff, 0.055), look.accent if look.trimmed else darker(look.colour, 0.12))
    c.part(mirrored((0.5, 0.2), (0.64, 0.2), (0.73, 0.3), (0.735 + wide, 0.6),
                    (0.735 + wide, 0.86, 0), (0.5, 0.87)), material, "cloth")  # fmt: skip
    c.part(box(0.27 - wide, 0.845, 0.73 + wide, 0.91, 0.015),
           look.accent if look.trimmed else darker(look.colour, 0.12))  # fmt: skip
    c.part(mirrored((0.5, 0.06), (0.63, 0.09), (0.675, 0.2), (0.62, 0.285), (0.5, 0.31)),
           material, "ball", 0.6)  # fmt: skip
    if c.view == "back":
        c.line([(0.5, 0.06), (0.5, 0.31)], dark)
        c.stitches(smooth([(0.28, 0.3), (0.5, 0.35), (0.72, 0.3)], False), dark)
        return
    c.part(mirrored((0.5, 0.11), (0.585, 0.14), (0.6, 0.21), (0.5, 0.285)), dark, "flat")
    pocket = mirrored((0.5, 0.63), (0.6, 0.63, 0), (0.665, 0.74, 0), (0.665, 0.83, 0), (0.5, 0.83))
    c.part(pocket, material, "flat", 0.7)
    if look.shape == 1:
        c.part(box(0.488, 0.285, 0.512, 0.9), lighter((120, 122, 126), 0.4), "metal")
        c.line([(0.5, 0.29), (0.5, 0.9)], (70, 70, 75))
    for sign in (1, -1):
        cord = smooth([(0.5 + sign * 0.05, 0.28), (0.5 + sign * 0.065, 0.36),
                       (0.5 + sign * 0.055, 0.43)], False)  # fmt: skip
        c.line(cord, lighter(look.accent, 0.6), 0.011)
        c.part(ellipse(*cord[-1], 0.009, 0.014), look.accent, None)
    if look.shape == 1:
        emblem(c, look.emblem, 0.62, 0.45, 0.055, _emblem_colour(look), look.colour)
    else:
        emblem(c, look.emblem, 0.5, 0.525, 0.085, _emblem_colour(look), look.colour)


def draw_dress(c, look):
    """Shapes: 0 with straps, 1 with sleeves, 2 long, 3 shift."""
    material = print_on(c.side, look.pattern, look.colours)
    hem = {0: 0.85, 1: 0.84, 2: 0.955, 3: 0.82}[look.shape] + 0.02 * look.proportions[0]
    flare = {0: 0.83, 1: 0.78, 2: 0.74, 3: 0.68}[look.shape] + 0.025 * look.proportions[1]
    waist = 0.6 if look.shape != 3 else 0.645
    c.part(ellipse(0.5, 0.14, 0.085, 0.035), darker(look.colour, 0.5), None)
    if look.shape == 0:
        for sign in (1, -1):
            strap = [(0.5 + sign * 0.1, 0.06), (0.5 + sign * 0.09, 0.2)]
            c.part(band(strap, 0.026), look.colour)
        top = [(0.5, 0.205), (0.6, 0.165, 0), (0.64, 0.27)]
    elif look.shape == 1:
        top = [(0.5, 0.2), (0.585, 0.1, 0), (0.655, 0.12), (0.78, 0.3, 0), (0.7, 0.345, 0),
               (0.64, 0.25, 0)]  # fmt: skip
    else:
        top = [(0.5, 0.19), (0.58, 0.09, 0), (0.635, 0.1, 0), (0.625, 0.2), (0.655, 0.28, 0)]
    c.part(mirrored(*top, (waist, 0.45), ((waist + flare) / 2 + 0.02, 0.62), (flare, hem, 0),
                    (0.5, hem + 0.02)), material, "cloth" if look.fold else "cloth2",
                    1.1)  # fmt: skip
    shadow = darker(look.colour, 0.3)
    for x, turn in ((-0.6, 0.8), (-0.2, 0.35), (0.25, 0.4), (0.62, 0.85)):
        if look.shape != 3:
            start, end = 0.5 + x * (waist - 0.5), 0.5 + x * (flare - 0.5)
            c.line(smooth([(start, 0.49), ((start + end) / 2, 0.49 + 0.25 * turn),
                           (end, hem - 0.01)],
                          False), shadow, 0.004)  # fmt: skip
    if look.shape != 3:
        belt = mirrored(
            (0.5, 0.445), (waist + 0.002, 0.44, 0), (waist + 0.004, 0.475, 0), (0.5, 0.48)
        )
        c.part(belt, look.accent if look.trimmed else darker(look.colour, 0.2))
        if look.trimmed and c.view != "back":
            c.part(box(0.48, 0.435, 0.52, 0.487, 0.006), lighter(look.third, 0.4), "metal")
    elif look.trimmed:
        c.part(mirrored((0.5, hem - 0.03), (flare - 0.004, hem - 0.045, 0), (flare, hem, 0),
                        (0.5, hem + 0.02)), look.accent)  # fmt: skip
    if c.view == "back":  # a zip
        c.line([(0.5, 0.2), (0.5, 0.62)], shadow, 0.014)
        c.part(box(0.488, 0.2, 0.512, 0.235), (190, 190, 194), "metal")


def draw_jeans(c, look):
    """Shapes: 0 straight, 1 skinny, 2 wide, 3 shorts."""
    material = print_on(c.side, look.pattern, look.colours)
    narrow = {0: 0.0, 1: 0.045, 2: -0.06, 3: -0.02}[look.shape]
    end = 0.56 if look.shape == 3 else 0.94 + 0.015 * look.proportions[0]
    knee = min(0.62, end)
    seam = (214, 150, 70) if look.trimmed else darker(look.colour, 0.35)
    for sign in (-1, 1):

        def at(*points, sign=sign):
            return [(0.5 + sign * (x - 0.5), *rest) for x, *rest in points]

        leg = at((0.5, 0.07, 0), (0.675, 0.07, 0), (0.71, 0.26), (0.715 - narrow / 2, knee - 0.05),
                 (0.72 - narrow, end, 0), (0.55 + narrow * 0.6, end, 0),
                 (0.53 + narrow / 3, knee - 0.1),
                 (0.5, 0.37, 0))  # fmt: skip
        c.part(smooth(leg), material, "worn" if look.worn else "cloth")
        if look.worn == 2 and look.shape != 3 and c.view != "back":
            for y in (0.55, 0.58, 0.62):
                rip = smooth(at((0.585, y), (0.63, y - 0.008), (0.675, y), (0.63, y + 0.012)))
                c.part(rip, lighter(look.colour, 0.8), None, edge=0.3)
        if c.view == "back":
            patch = at((0.545, 0.18), (0.665, 0.165), (0.665, 0.29), (0.61, 0.325), (0.55, 0.3))
            c.part(patch, material, "flat", 0.6)
            c.stitches(smooth([(*point, 0) for point in patch]), seam)
            c.stitches(at(*((0.5 + i * 0.01, 0.16 - i * 0.0025) for i in range(20))), seam)
        else:
            pocket = smooth(at((0.575, 0.12), (0.6, 0.17), (0.685, 0.2)), False)
            c.stitches(pocket, seam)
            c.line(pocket + (0, -0.006), darker(look.colour, 0.35), 0.004)
        c.stitches(smooth(at((0.7, 0.28), (0.705 - narrow / 2, knee), (0.708 - narrow, end)),
                          False),
                   seam)  # fmt: skip
        c.part(band(at((0.553 + narrow * 0.6, end - 0.012), (0.717 - narrow, end - 0.012)), 0.026),
               darker(look.colour, 0.15))  # fmt: skip
        c.stitches([(0.5 + sign * (0.06 + narrow * 0.6 + i * 0.01),
                     end - 0.026) for i in range(15)],
                   seam)  # fmt: skip
    c.part(box(0.322, 0.055, 0.678, 0.108, 0.008), darker(look.colour, 0.12))
    for x in (0.37, 0.44, 0.56, 0.63):
        c.part(box(x - 0.008, 0.048, x + 0.008, 0.118), look.colour)
    c.line(smooth([(0.5, 0.11), (0.505, 0.25), (0.5, 0.37)], False), darker(look.colour, 0.45))
    if c.view == "back":
        c.part(box(0.58, 0.062, 0.66, 0.104), (150, 98, 58), "flat")
        return
    c.stitches(smooth([(0.53, 0.11), (0.535, 0.24), (0.505, 0.3)], False), seam)
    c.part(ellipse(0.5, 0.081, 0.013, 0.013), (190, 150, 90), "ball")
    emblem(c, look.emblem, 0.635, 0.155, 0.025, _emblem_colour(look), look.colour)
