"""What every layout is read as: listings with their photos, and rows that cannot be one."""

import re
from dataclasses import dataclass, field

# Option and attribute names that say how large a product is, which its photo does not show: the
# paper counts such variants as the same product (its appendix A). English and a few others.
SIZES = frozenset(
    ("size", "sizes", "größe", "groesse", "taille", "talla", "tamanho", "taglia", "maat")
    + ("rozmiar", "storlek", "størrelse")
)
COLORS = frozenset(
    ("color", "colour", "farbe", "couleur", "cor", "colore", "kleur", "kolor", "färg", "farve")
)


@dataclass
class Listing:
    """One product, or one variant of it, as a shop lists it.

    Attributes:
        row: where it starts in its file.
        id: unique in the file, as the layout promises.
        title: empty where there is none.
        images: addresses, or file names under an image root, the main one first.
        product: what listings of the same product share: a GTIN or a label; empty if unknown.
        one_look: whether all its photos show the same product. If so and if there are several,
            they are true matches of one another.
        group: variants of one article (an item group, a handle): hard negatives.
        values: further columns.
    """

    row: int
    id: str
    title: str
    images: list
    product: str = ""
    one_look: bool = True
    group: str = ""
    values: dict = field(default_factory=dict)


@dataclass
class Rejected:
    """A row, or a photo of one, that does not come into the catalogue."""

    row: int
    id: str
    reason: str


def gtin(text):
    """``text`` as a GTIN of 14 digits; empty where it is none.

    Eight, 12, 13 or 14 digits with a right check digit (GS1 General Specifications, 7.9), blanks
    and dashes aside. Shops fill the column with much else, which must not become truth.
    """
    digits = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"\d{8}|\d{12,14}", digits, re.ASCII) or not digits.strip("0"):
        return ""
    digits = digits.zfill(14)
    total = sum(int(digit) * (3, 1)[i % 2] for i, digit in enumerate(digits))
    return digits if total % 10 == 0 else ""


def same_gtin(text):
    """The ``product`` of listings with this GTIN; empty where ``text`` is none."""
    digits = gtin(text)
    return f"gtin:{digits}" if digits else ""


def leaf(path, separator=">"):
    """The last part of a category path such as "Home > Kitchen > Pans"."""
    return path.split(separator)[-1].strip()


def price(text):
    """(amount, currency) of "1,299.00 USD", "USD 5" or "12,50"; no amount stays as it is."""
    text = text.strip()
    found = re.fullmatch(r"([A-Z]{3})?\s*([\d.,\s]*\d)\s*([A-Z]{3})?", text)
    if not found:
        return text, ""
    amount = re.sub(r"\s", "", found[2])
    if re.fullmatch(r"\d+,\d{1,2}|\d{1,3}(\.\d{3})+,\d{1,2}", amount):  # a decimal comma
        amount = amount.replace(".", "").replace(",", ".")
    else:
        amount = amount.replace(",", "")
    return amount, found[1] or found[3] or ""


def named(options, names):
    """The values of the options whose name is one of ``names``, joined.

    Args:
        options: pairs of a name and a value.
        names: set of lower-case names.
    """
    return ", ".join(value for name, value in options if name.strip().lower() in names and value)
