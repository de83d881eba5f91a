"""Whether values occur twice, in 8 bytes a value."""

from array import array

import numpy as np


class Duplicates:
    """Finds a string that occurs twice among many that do not fit into memory.

    Only their hashes are kept. Two strings may share one, so strings whose hash occurs twice are
    compared themselves, in a second reading; where no hash does, there is none.
    """

    def __init__(self):
        self._hashes = array("q")

    def add(self, value):
        self._hashes.append(hash(value))

    def candidates(self):
        """The hashes that occur twice, a set."""
        if not self._hashes:
            return set()
        hashes = np.frombuffer(self._hashes, np.int64)
        hashes.sort()  # in place: copies would be most of the memory
        return set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())

    def first(self, reread):
        """The first string that occurs again.

        Args:
            reread: function that iterates over (number, string) of all that was added; called only
                if a hash occurs twice.

        Returns:
            (string, its number, the number where it was first), or None.
        """
        candidates, seen = self.candidates(), {}
        for number, value in reread() if candidates else ():
            if hash(value) in candidates and seen.setdefault(value, number) != number:
                return value, number, seen[value]
        return None
