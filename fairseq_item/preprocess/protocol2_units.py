"""Measures in a title, converted to another unit or written in another way."""

import re

_NUMBER = r"\d+(?:[.,]\d+)?"

# Unit -> (unit that it becomes, factor). Those of volume, weight and length are converted.
CONVERTED = {
    "mm": ("cm", 0.1),
    "cm": ("inch", 1 / 2.54),
    "m": ("ft", 3.2808),
    "inch": ("cm", 2.54),
    "inches": ("cm", 2.54),
    '"': ("cm", 2.54),
    "ft": ("m", 1 / 3.2808),
    "feet": ("m", 1 / 3.2808),
    "ml": ("fl oz", 1 / 29.574),
    "cl": ("ml", 10),
    "l": ("ml", 1000),
    "litre": ("ml", 1000),
    "liter": ("ml", 1000),
    "fl oz": ("ml", 29.574),
    "oz": ("g", 28.35),
    "g": ("oz", 1 / 28.35),
    "gram": ("oz", 1 / 28.35),
    "kg": ("lbs", 2.2046),
    "lb": ("kg", 1 / 2.2046),
    "lbs": ("kg", 1 / 2.2046),
}
# Others are only written otherwise: with or without a space, long or short.
REWRITTEN = {
    "gb": ("{} GB", "{}GB", "{}G", "{} gigabytes"),
    "tb": ("{} TB", "{}TB", "{} terabytes"),
    "mb": ("{} MB", "{}MB", "{} megabytes"),
    "w": ("{} W", "{}W", "{} watts"),
    "v": ("{} V", "{}V", "{} volts"),
    "mah": ("{} mAh", "{}mAh"),
    "hz": ("{} Hz", "{}Hz", "{} hertz"),
    "mp": ("{} MP", "{}MP", "{} megapixels"),
}
# 5G is a network and M a size, so single letters count in one case only.
_CASED = {"m": "m", "g": "g", "l": "[lL]", "w": "W", "v": "V"}


def _pattern():
    units = sorted([*CONVERTED, *REWRITTEN], key=len, reverse=True)
    alternatives = "|".join(_CASED.get(u) or f"(?i:{re.escape(u)})" for u in units)
    numbers = rf"{_NUMBER}(?:\s*[xX\u00d7]\s*{_NUMBER})*"
    return re.compile(rf"(?<![\w.,-])({numbers})[ -]?({alternatives})(?!\w)")


MEASURE = _pattern()


def convert_units(title, rng):
    """``title`` with every measure in another unit, or with its unit written otherwise.

    Args:
        title: str.
        rng: a ``random.Random``.
    """

    def replace(match):
        numbers, unit = match[1], match[2].lower()
        if unit in CONVERTED:
            other, factor = CONVERTED[unit]
            return f"{re.sub(_NUMBER, lambda n: _scaled(n[0], factor), numbers)} {other}"
        ways = [way.format(numbers) for way in REWRITTEN[unit]]
        return rng.choice([way for way in ways if way != match[0]])

    return MEASURE.sub(replace, title)


def _scaled(number, factor):
    """A number times ``factor``, to three digits as shops round: "15.6" -> "39.6"."""
    value = float(number.replace(",", ".")) * factor
    decimals = 0 if value >= 100 else 1 if value >= 1 else 2
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
