"""Scoring products where hits and truth name rows: the photos of a product count as one answer."""

from fairseq_item.data.tsv import read_table
from fairseq_item.search.hits import Hit


def read_products(path, column):
    """The product of each row of an items table; rows that leave it empty are products themselves.

    Args:
        path: TSV with a column ``id``, such as the index's ``items.tsv``.
        column: what is equal for rows of one product.

    Returns:
        dict: id -> product.

    Raises:
        InputError: a column is missing.
    """
    items = read_table(path, ["id", column])
    return {
        name: product or name for name, product in zip(items.values("id"), items.values(column))
    }


def by_product(hits, truth, products):
    """Hits and truth with products in place of rows; a product's first row is its answer.

    Args:
        hits: query id -> list of ``Hit``, best first.
        truth: query id -> set of row ids.
        products: row id -> product; a row that it does not know is a product itself.
    """
    found = {}
    for query, answers in hits.items():
        first = {}
        for hit in answers:
            product = products.get(hit.item_id, hit.item_id)
            first.setdefault(product, Hit(product, hit.score, hit.similarities))
        found[query] = list(first.values())
    return found, {query: {products.get(i, i) for i in items} for query, items in truth.items()}
