import numpy as np
import pytest
from scipy import sparse

from fairseq_item.evaluation import ranking


@pytest.mark.parametrize("k", [1, 3, 7, 20])
def test_top_k_breaks_ties_by_position(k):
    values = np.array([0.5, 0.9, 0.5, 0.9, 0.1, 0.5, 0.5])
    assert ranking.top_k(values, k).tolist() == [1, 3, 0, 2, 5, 6, 4][:k]


@pytest.mark.parametrize("block", [1, 100, 2**24])
def test_ranked_as_by_sorting_all_products(monkeypatch, block):
    monkeypatch.setattr(ranking, "BLOCK", block)
    rng = np.random.default_rng(block)
    queries, items = (rng.integers(0, 3, (n, 6)) * (rng.random((n, 6)) < 0.3) for n in (9, 30))
    products = (queries @ items.T).astype(float)
    by_rank = [sorted(range(30), key=lambda i: (-row[i], i)) for row in products]
    for row, order, (rows, scores) in zip(products, by_rank, ranking.rank_dense(queries, items, 8)):
        assert rows.tolist() == order[:8]
        assert scores.tolist() == row[order[:8]].tolist()
    pair = (sparse.csr_matrix(matrix.astype(float)) for matrix in (queries, items))
    for row, order, (rows, scores) in zip(products, by_rank, ranking.rank_sparse(*pair, 8)):
        expected = [i for i in order if row[i] > 0][:8]
        assert rows.tolist() == expected
        assert scores.tolist() == row[expected].tolist()
