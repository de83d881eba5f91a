"""Which rows of a split show the same product: other photos of it, or other listings."""

from pathlib import Path

import numpy as np

from fairseq_item.data.sharded import shard_names
from fairseq_item.data.tsv import Table, read_table


class Siblings:
    """The rows of each product.

    Args:
        products: the product of each of n rows, str; an empty one is a product of its own.

    Attributes:
        product: int64 (n,), equal for rows of one product.
    """

    def __init__(self, products):
        names, product = np.unique(np.asarray(products, object), return_inverse=True)
        if len(names) and names[0] == "":
            nameless = np.flatnonzero(product == 0)
            product[nameless] = len(names) + np.arange(len(nameless))
        self.product = product.astype(np.int64)
        self._rows = np.argsort(self.product, kind="stable")
        self._place = np.empty_like(self._rows)  # of each row in the above
        self._place[self._rows] = np.arange(len(product))
        ordered = self.product[self._rows]
        self._start = np.searchsorted(ordered, self.product)
        self._count = np.searchsorted(ordered, self.product, "right") - self._start

    def other(self, row, rng):
        """Another row of the same product, drawn with ``rng``; ``row`` itself if there is none."""
        step = rng.integers(1, self._count[row]) if self._count[row] > 1 else 0
        place = (self._place[row] - self._start[row] + step) % self._count[row]
        return int(self._rows[self._start[row] + place])

    @property
    def shared(self):
        """How many rows have another one of their product."""
        return int((self._count > 1).sum())


def open_siblings(data_bin, split):
    """The :class:`Siblings` of a split's rows; without a column ``product`` each is alone."""
    items = Path(data_bin) / "items"
    tables = [read_table(items / f"{name}.tsv", ["id"]) for name in shard_names(data_bin, split)]
    return Siblings(Table.joined(tables).column("product"))
