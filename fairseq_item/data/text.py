"""Cleaning of text that comes from outside, before it is stored or tokenised."""

import re

# Control characters (tab and newline among them), the two Unicode line ends, and halves of
# surrogate pairs, which a JSON escape can smuggle in and UTF-8 cannot hold.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_SPACES = re.compile(r"\s+")


def clean_field(value):
    """``value`` as one field of a TSV: a run of control characters becomes a single space.

    Spaces are left as they are, for they may belong to a file name.
    """
    return _UNPRINTABLE.sub(" ", value)


def clean_title(title):
    """``title`` on one line: no control characters, single spaces, none at either end."""
    return _SPACES.sub(" ", clean_field(title)).strip()
