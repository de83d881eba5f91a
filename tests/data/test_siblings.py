"""Rows of one product: which they are, and that each of the others is drawn equally often."""

from collections import Counter

import numpy as np

from fairseq_item.data.siblings import Siblings, open_siblings

PRODUCTS = ["b", "", "a", "b", "", "b", "c"]


def test_rows_of_one_product_share_a_number_and_nameless_ones_are_alone():
    product = Siblings(PRODUCTS).product
    equal = [[a == b for b in product] for a in product]
    by_hand = [[i == j or (a == b and a != "") for j, b in enumerate(PRODUCTS)]
               for i, a in enumerate(PRODUCTS)]  # fmt: skip
    assert equal == by_hand
    assert Siblings(PRODUCTS).shared == 3


def test_another_row_of_the_product_is_drawn_evenly():
    siblings, rng = Siblings(PRODUCTS), np.random.default_rng(0)
    for row, others in {0: {3, 5}, 3: {0, 5}, 5: {0, 3}, 1: {1}, 2: {2}, 4: {4}, 6: {6}}.items():
        drawn = Counter(siblings.other(row, rng) for _ in range(400))
        assert set(drawn) == others
        assert min(drawn.values()) > 320 / len(others)


def test_shards_are_read_as_one_split_and_a_column_may_be_missing(tmp_path):
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "train.tsv").write_text("id\tproduct\n1\tx\n2\ty\n")
    (tmp_path / "items" / "train1.tsv").write_text("id\tproduct\n3\tx\n")
    siblings = open_siblings(tmp_path, "train")
    assert siblings.product[0] == siblings.product[2] != siblings.product[1]
    (tmp_path / "items" / "valid.tsv").write_text("id\n1\n2\n")
    assert open_siblings(tmp_path, "valid").shared == 0
