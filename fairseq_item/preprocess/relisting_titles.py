"""Rewriting a title the way a second seller of the same product might."""

import string

from fairseq_item.data.text import clean_title

FILLERS_BEFORE = ("NEW!!", "NEW", "Brand New", "HOT", "SALE", "*Sale*", "L@@K", "Genuine", "100%")
FILLERS_AFTER = (
    "Free Shipping",
    "FREE P&P",
    "Best Price",
    "Fast Delivery",
    "BNWT",
    "Great Gift",
    "Best Seller",
    "Original",
    "Limited Stock",
    "!!!",
)
# Keys are in lower case; a word in capitals stays in capitals.
ABBREVIATIONS = {
    "accessories": ("Acc.",),
    "and": ("&", "n"),
    "backpack": ("Bkpk", "Bag"),
    "black": ("Blk", "Bk"),
    "bluetooth": ("BT",),
    "blue": ("Blu",),
    "boys": ("Boy", "B"),
    "brown": ("Brn",),
    "centimetre": ("cm",),
    "edition": ("Ed.",),
    "extra": ("X",),
    "generation": ("Gen",),
    "gigabyte": ("GB",),
    "girls": ("Girl", "G"),
    "green": ("Grn",),
    "grey": ("Gry", "Gray"),
    "inch": ('"', "in"),
    "inches": ('"', "in"),
    "kids": ("Kid", "Child"),
    "large": ("L", "Lg"),
    "leather": ("Lthr",),
    "litre": ("L",),
    "long": ("Lng",),
    "medium": ("M", "Med"),
    "men": ("Mens", "M"),
    "men's": ("Mens", "M"),
    "mens": ("Men", "M"),
    "number": ("No.",),
    "orange": ("Org",),
    "pack": ("Pk",),
    "package": ("Pkg",),
    "pieces": ("pcs",),
    "purple": ("Prpl",),
    "quantity": ("Qty",),
    "sandals": ("Sndls",),
    "shirt": ("Shrt",),
    "shoes": ("Shoe", "Trainers"),
    "silver": ("Slvr",),
    "size": ("Sz",),
    "sleeve": ("Slv",),
    "small": ("S", "Sm"),
    "sunglasses": ("Shades",),
    "t-shirt": ("Tee", "Tshirt"),
    "tshirt": ("Tee", "T-Shirt"),
    "tshirts": ("Tees", "T-Shirts"),
    "unisex": ("M/W",),
    "watch": ("Wtch",),
    "white": ("Wht",),
    "with": ("w/",),
    "women": ("Wmns", "Womens", "Ladies"),
    "women's": ("Wmns", "Ladies"),
    "womens": ("Wmns", "Ladies"),
    "yellow": ("Ylw",),
}


def rewrite_title(title, strengths, rng):
    """A second seller's wording of ``title``.

    Words are dropped (never all of them), abbreviated, mistyped and shuffled, each with its own
    probability, and filler is put around them. An empty title stays empty.

    Args:
        title: the first seller's title.
        strengths: has the probabilities ``drop``, ``abbreviate`` and ``typo`` of a word, and
            ``shuffle`` and ``filler`` of a title.
        rng: a ``random.Random``.

    Returns:
        str: on one line, with single spaces.
    """
    words = clean_title(title).split()
    if not words:
        return ""
    kept = [word for word in words if rng.random() >= strengths.drop]
    words = kept or [rng.choice(words)]
    words = [abbreviate(word, rng) if rng.random() < strengths.abbreviate else word
             for word in words]  # fmt: skip
    words = [mistype(word, rng) if rng.random() < strengths.typo else word for word in words]
    if rng.random() < strengths.shuffle:
        rng.shuffle(words)
    if rng.random() < strengths.filler:
        where = rng.randrange(3)
        if where != 1:
            words.insert(0, rng.choice(FILLERS_BEFORE))
        if where != 0:
            words.append(rng.choice(FILLERS_AFTER))
    return " ".join(words)


def abbreviate(word, rng):
    """A short form of ``word``, or the word itself where none is known."""
    forms = ABBREVIATIONS.get(word.lower())
    if forms is None:
        return word
    form = rng.choice(forms)
    return form.upper() if word.isupper() else form


def mistype(word, rng):
    """``word`` with one slip of the finger.

    Words of fewer than four characters and those that hold a digit stay as they are: a slip in a
    model number would make another product of it.
    """
    if len(word) < 4 or not word.isalpha():
        return word
    i = rng.randrange(1, len(word) - 1)
    slip = rng.choice(("swap", "leave out", "double", "miss"))
    if slip == "swap":
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    if slip == "leave out":
        return word[:i] + word[i + 1 :]
    if slip == "double":
        return word[:i] + word[i] + word[i:]
    return word[:i] + rng.choice(string.ascii_lowercase) + word[i + 1 :]
