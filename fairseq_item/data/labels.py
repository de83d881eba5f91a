"""Leaf categories as symbols of a fairseq dictionary.

A symbol ends at a space, so spaces in a category's name are escaped as in a URL, and with them
``%`` itself and ``<``, which keeps names clear of ``<unk>`` and its like:
``Home & Living/Wall Art`` is stored as ``Home%20&%20Living/Wall%20Art``.
"""

import re
from urllib.parse import quote, unquote

_ESCAPED = re.compile(r"[%<\s]")


def escape_label(name):
    """The dictionary symbol of a category; ``<unk>`` for an empty name, "no category"."""
    return _ESCAPED.sub(lambda match: quote(match.group()), name.strip()) or "<unk>"


def unescape_label(symbol):
    """The category's name of a dictionary symbol: undoes :func:`escape_label`."""
    return "" if symbol == "<unk>" else unquote(symbol)
