"""Rewriting a title by relisting protocol 2: changes of meaning-bearing words, not of their order.

No training view does any of them: these drop and shuffle words and break tokens in two.
"""

import random
import re

from fairseq_item.data.text import clean_title
from fairseq_item.preprocess.protocol2_units import convert_units
from fairseq_item.preprocess.protocol2_words import (
    ATTRIBUTES,
    AUDIENCES,
    BOILERPLATE,
    KEYBOARD,
    SYNONYMS,
)

PATTERNS = [
    (re.compile(rf"(?<![\w-])(?:{said})(?![\w-])", re.I), ways) for said, ways in ATTRIBUTES
]


def reword_title(row, strengths, brands, rng):
    """A second seller's wording of ``row["title"]``.

    In order: units, attributes, synonyms, typos, the brand moved or left out, boilerplate. An
    empty title stays empty.

    Args:
        row: dict with ``title``, perhaps ``brand``.
        strengths: :class:`fairseq_item.preprocess.protocol2.Strengths`.
        brands: :class:`fairseq_item.preprocess.brands.Brands`.
        rng: a ``random.Random``.

    Returns:
        str: on one line, with single spaces.
    """
    words = clean_title(row["title"]).split()
    if not words:
        return ""
    # Each operation draws from numbers of its own, so that none shifts those of another.
    units, attributes, synonyms, typos, maker, ending = (
        random.Random(rng.getrandbits(64)) for _ in range(6)
    )
    start, end = brands.find(row) or (0, 0)
    brand = " ".join(words[start:end])
    before, after = " ".join(words[:start]), " ".join(words[end:])
    title = f"{before} {after}".strip()
    if not title:
        return brand
    if units.random() < strengths.units:
        title = convert_units(title, units)
    title = reword_attributes(title, strengths.attribute, attributes)
    title = replace_synonyms(title, strengths.synonym, synonyms)
    title = " ".join(
        mistype(word, typos) if typos.random() < strengths.typo else word for word in title.split()
    )
    title = place_brand(title, brand, strengths, maker)
    if ending.random() < strengths.boilerplate:
        sentence = ending.choice(BOILERPLATE)
        title = f"{sentence} {title}" if ending.random() < 0.25 else f"{title}. {sentence}"
    return title


def reword_attributes(title, prob, rng):
    """Say attributes otherwise: "Men Pack of 3 Shirts" becomes "3-pack Shirts for men"."""
    first = title
    for pattern, ways in PATTERNS:
        # What a rule has written is not for the next one to change back.
        if rng.random() < prob and pattern.search(first):
            title = pattern.sub(rng.choice(ways), title)
    words = title.split()
    named = [word for word in words if word.lower() in AUDIENCES]
    if len(named) == 1 and len(words) > 1 and rng.random() < prob:
        words.remove(named[0])
        audience = AUDIENCES[named[0].lower()]
        title = " ".join([*words, rng.choice(("for", "-")), audience])
    return title


def replace_synonyms(title, prob, rng):
    """Replace words by others that mean the same; capitals are kept."""
    words = title.split()
    for i, word in enumerate(words):
        ways = SYNONYMS.get(word.lower())
        if ways and rng.random() < prob:
            words[i] = _cased(rng.choice(ways), word)
    return " ".join(words)


def _cased(word, like):
    if like.isupper():
        return word.upper()
    return word[0].upper() + word[1:] if like[0].isupper() else word


def mistype(word, rng):
    """``word`` with a key beside the right one hit instead of it, or as well.

    Words of fewer than four characters, other than plain letters, stay as they are: a slip in a
    model number would make another product of it.
    """
    if len(word) < 4 or not (word.isascii() and word.isalpha()):
        return word
    i = rng.randrange(1, len(word))
    key = rng.choice(KEYBOARD[word[i].lower()])
    key = key.upper() if word[i].isupper() else key
    return word[:i] + key + word[i + (rng.random() < 0.7) :]


def place_brand(title, brand, strengths, rng):
    """Put the brand where it was, at the end, or nowhere."""
    chance = rng.random()
    if not brand or chance < strengths.brand_left_out:
        return title
    if chance < strengths.brand_left_out + strengths.brand_moved:
        return title + rng.choice((" by {}", " - {}", " ({})", ", {}")).format(brand)
    return f"{brand} {title}"
