"""Whether values occur twice, in 8 bytes a value."""

from array import array

import numpy as np


class Suspects:
    """Tells which of many strings may occur twice.

    Strings are told apart by their hash: what is suspected may rarely be innocent, so that a second
    reading has to look at the suspects themselves; what is not suspected occurs once.
    """

    def __init__(self):
        self._hashes = array("q")

    def add(self, value):
        self._hashes.append(hash(value))

    def found(self):
        """Function of a string: whether it may occur twice. None if no string does."""
        if not self._hashes:
            return None
        hashes = np.frombuffer(self._hashes, np.int64)
        hashes.sort()  # in place: copies would be most of the memory
        suspected = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        return (lambda value: hash(value) in suspected) if suspected else None

    def repeat(self, reread):
        """The first string that does occur again.

        Args:
            reread: function that iterates over (number, string) of all that was added; called only
                if there are suspects.

        Returns:
            (string, its number, the number where it was first), or None.
        """
        suspected, first = self.found(), {}
        for number, value in reread() if suspected else ():
            if suspected(value) and first.setdefault(value, number) != number:
                return value, number, first[value]
        return None
