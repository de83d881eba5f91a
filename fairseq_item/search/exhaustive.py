"""Exact search: every item is compared, a stretch of the index at a time.

Fast inner products give bounds of the scores (``products``, ``screens``). A pair is dropped only
when its upper bound is below the lower bounds of k others of its query; what is left in the end is
scored exactly. Neither the roughness of the products nor the cutting into stretches can thus change
an answer, and memory is in proportion to queries times k and to a stretch.
"""

import numpy as np

from fairseq_item.search.pairs import Pool, rank
from fairseq_item.search.products import Float32
from fairseq_item.search.screens import screen

ROWS_A_TIME = 4096
# Pairs held by their bounds; beyond, as among very many equal items, they are scored on the way.
MOST_PAIRS = 1 << 20
# Rough products are given up where more than one pair in so many passes the screen.
CROWD = 8


def exhaustive(block, products):
    """The best of a block of queries.

    Args:
        block: ``fusion.Block``.
        products: class of the products to screen with.

    Returns:
        Pairs: at most ``block.width`` a query, ordered by query and rank.
    """
    pool = Pool(block.count, block.width)
    look = screen(block, products)
    for start, stop in stretches(len(block.index), block.width):
        if look.floor is not pool.floor:
            look.aim(pool.floor)
        found = look(start, stop)
        pool.add(*found)
        if start < ROWS_A_TIME or len(pool) > 1.5 * pool.settled:
            pool.prune()
        if len(pool) > max(MOST_PAIRS, 4 * block.count * block.width):
            best = block.score(pool.query, pool.row).best(block.width)
            pool.put(best.query, best.row, best.score, best.score)
        crowd = len(found[0]) * CROWD > block.count * (stop - start)
        if crowd and start > 128 * block.width and products is not Float32:
            products = Float32
            look = screen(block, products)
    return _settle(block, pool)


def stretches(count, width):
    """Yield ``(start, stop)``, doubling at first: while floors are low most pairs would pass."""
    start, size = 0, min(max(64, 2 * width), ROWS_A_TIME)
    while start < count:
        yield start, min(start + size, count)
        start, size = start + size, min(2 * size, ROWS_A_TIME)


def _settle(block, pool):
    """Score exactly: first those likely to be the best, then who may still reach the last of them.

    Exact floors leave half as many to be scored as bounds do.
    """
    pool.prune()
    pool.take(np.lexsort((-pool.low - pool.high, pool.query)))
    first = rank(pool.query) < block.width
    best = block.score(pool.query[first], pool.row[first]).best(block.width)
    full = rank(best.query) == block.width - 1
    pool.floor[best.query[full]] = best.score[full]
    rest = ~first & (pool.high >= pool.floor[pool.query])
    return best.join(block.score(pool.query[rest], pool.row[rest])).best(block.width)
