"""Which rows of a catalogue are one product: those of one ``product``, and equal listings.

Shops list a product twice by mistake, with the same image and the same title. Such rows cannot be
told apart, so in a truth they count as one product, whatever their product column says.
"""

import hashlib
from array import array

import numpy as np

from fairseq_item.data.duplicates import Duplicates
from fairseq_item.data.text import clean_title
from fairseq_item.errors import InputError


class Rows:
    """The rows of several catalogues, one after the other, as often as asked for: dicts.

    Raises:
        InputError: two of them have an id in common; while they are iterated over.
    """

    def __init__(self, catalogs):
        self.catalogs = catalogs

    def __iter__(self):
        seen = {}
        for catalog in self.catalogs:
            for _, row in catalog:
                if len(self.catalogs) > 1 and seen.setdefault(row["id"], catalog) is not catalog:
                    raise InputError(
                        f"{catalog.path} has the id '{row['id']}' of {seen[row['id']].path}; "
                        "name files without rows in common"
                    )
                yield row


class ListingKey:
    """What equal listings have in common: a digest of the image and the cleaned title.

    Args:
        root: :class:`fairseq_item.data.images.ImageRoot`, to compare the bytes of images; None
            compares the names that the catalogue gives them.
    """

    def __init__(self, root=None):
        self.root = root

    def title(self, row):
        return clean_title(row["title"])

    def __call__(self, row):
        """16 bytes, or None where the image is missing or cannot be read."""
        name = row["image"]
        try:
            image = self.root.read(name) if self.root else name.encode("utf-8", "surrogatepass")
        except KeyError:
            return None
        if not image:
            return None
        title = hashlib.blake2b(self.title(row).encode(), digest_size=32).digest()
        return hashlib.blake2b(image, digest_size=16, key=title).digest()


def same_products(rows, key=None):
    """Find the rows that are one product with others.

    Rows are one product if they have the same value of ``product``, or are equal listings, or if
    a chain of such rows joins them. An image is read only where two rows share their title, one
    at a time. Kept are 16 bytes a row, the products, and the ids of rows that are not alone.

    Args:
        rows: can be iterated over twice; dicts.
        key: :class:`ListingKey`; None looks at products alone.

    Returns:
        (dict, int): row id -> list of the ids of all rows of its product, itself among them, in
        the order of the rows, for rows that are not alone; how many rows repeat a listing.
    """
    sets, first, titles = _Sets(), {}, Duplicates()
    for number, row in enumerate(rows):
        sets.add()
        if row.get("product"):
            sets.join(number, first.setdefault(row["product"], number))
        if key:
            titles.add(key.title(row))
    equal = _join_equal(rows, key, titles.candidates(), sets) if key else 0
    roots, groups = sets.roots(), {}
    sizes = np.bincount(roots)
    for root, row in zip(roots, rows):
        if sizes[root] > 1:
            groups.setdefault(int(root), []).append(row["id"])
    return {row_id: ids for ids in groups.values() for row_id in ids}, equal


def _join_equal(rows, key, candidates, sets):
    """Join equal listings; ``candidates``: hashes of the titles that more than one row has."""
    seen, equal = {}, 0
    for number, row in enumerate(rows) if candidates else ():
        if hash(key.title(row)) not in candidates:
            continue
        listing = key(row)
        if listing is None:
            continue
        first = seen.setdefault(listing, number)
        if first != number:
            sets.join(number, first)
            equal += 1
    return equal


class _Sets:
    """Disjoint sets of the numbers 0, 1, 2, ..."""

    def __init__(self):
        self._parents = array("q")

    def add(self):
        self._parents.append(len(self._parents))

    def find(self, number):
        """The smallest number of the set that ``number`` is in."""
        while (parent := self._parents[number]) != number:
            self._parents[number] = self._parents[parent]  # halves the way
            number = parent
        return number

    def roots(self):
        """The smallest number of the set of each number, (n,) int64."""
        return np.array([self.find(number) for number in range(len(self._parents))], np.int64)

    def join(self, one, other):
        one, other = self.find(one), self.find(other)
        self._parents[max(one, other)] = min(one, other)
