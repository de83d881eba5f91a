from itertools import combinations

import numpy as np
import pytest

from fairseq_item.errors import InputError
from fairseq_item.evaluation.duplicate_pairs import labels_of, score_groups
from fairseq_item.search.build import build_index
from fairseq_item.search.duplicates import (
    LikelyPairs,
    group,
    likely_pairs,
    pair_hits,
    within_error,
)
from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter
from fairseq_item.search.exact import ROWS_A_TIME
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.item_queries import as_queries
from fairseq_item.search.search import fused_search

COUNT, DIM = 300, 8
FIT = {"weights": [0.4, 0.1, 0.5, 0.3], "intercept": -1.5}
WORDS = [
    "red",
    "blue",
    "green",
    "mug",
    "pan",
    "hat",
    "acme",
    "zenor",
    "loop",
    "big",
    "small",
    "old",
    "new",
]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Items around common centres, some without title or image, of a fitted index."""
    folder, rng = tmp_path_factory.mktemp("duplicates"), np.random.default_rng(4)
    centres = rng.normal(size=(60, DIM))
    items = []
    for i in range(COUNT):
        drawn = np.random.default_rng(i % 60).choice(WORDS, 4)
        title = "" if i % 17 == 0 else " ".join(rng.permutation(drawn)[: 4 - i % 2])
        items.append({"id": f"i{i}", "title": title, "image": "x", "product": f"p{i % 60}"})
    writer = EmbeddingWriter(folder / "embeddings", items, DIM)
    parts = [centres[np.arange(COUNT) % 60] + 0.5 * rng.normal(size=(COUNT, DIM)) for _ in range(3)]
    parts[1][::17] = 0
    parts[2][::23] = 0
    writer.write(0, *(part.astype(np.float32) for part in parts))
    writer.finish()
    build_index([folder / "embeddings"], folder / "index", fit=lambda index: FIT)
    return ItemIndex.load(folder / "index")


def every_pair(index):
    """The plain twin: both directions of all pairs by searches, the smaller probability."""
    found = {}
    for row in range(len(index)):
        plain, asked = as_queries(index, [row])
        results = fused_search(plain, asked, len(index), exclude=[row])
        for other, p in zip(results.rows[0].tolist(), results.scores[0].tolist()):
            if other >= 0:
                key = min(row, other), max(row, other)
                found[key] = min(p, found.get(key, 1.0))
    return found


def test_every_pair_is_found(index, monkeypatch):
    plain = every_pair(index)
    for least in (0.5, 0.8):
        pairs = likely_pairs(index, least)
        wanted = {key: p for key, p in plain.items() if p >= least}
        assert {tuple(rows) for rows in pairs.rows.tolist()} == set(wanted)
        assert [wanted[tuple(rows)] for rows in pairs.rows.tolist()] == pytest.approx(
            pairs.probability.tolist()
        )
        assert (np.diff(pairs.probability) <= 0).all()
        assert len(wanted) > 50
    # Blocks change nothing.
    monkeypatch.setattr("fairseq_item.search.duplicates.QUERIES_A_TIME", 37)
    monkeypatch.setitem(ROWS_A_TIME, "cpu", 41)
    cut = likely_pairs(index, 0.8)
    assert cut.rows.tolist() == pairs.rows.tolist()
    assert cut.probability.tolist() == pairs.probability.tolist()


def test_pairs_need_probabilities(index):
    unfitted = ItemIndex(**{**vars(index), "meta": {**index.meta, "fit": None}})
    with pytest.raises(InputError, match="--fit"):
        likely_pairs(unfitted)


def test_expected_error_by_hand():
    pairs = LikelyPairs(np.arange(8).reshape(4, 2), np.array([1.0, 0.9, 0.8, 0.5]))
    # Mean of 1 - p over the first 1, 2, 3, 4: 0, 0.05, 0.1, 0.2.
    for error, count in ((0, 1), (0.049, 1), (0.06, 2), (0.11, 3), (0.21, 4)):
        assert len(within_error(pairs, error)) == count
    assert within_error(pairs, 0.06).probability.tolist() == [1.0, 0.9]
    assert len(within_error(pairs.first(0), 0.5)) == 0


def pairs_of(*rows):
    """Pairs in falling order of probability."""
    return LikelyPairs(np.array(rows).reshape(-1, 2), np.linspace(0.99, 0.6, len(rows)))


def test_chains_are_no_groups():
    assert group(pairs_of((0, 1), (1, 2))) == [[0, 1]]
    assert group(pairs_of((0, 1), (1, 2), (0, 2))) == [[0, 1, 2]]
    assert group(pairs_of((0, 1), (2, 3), (1, 2))) == [[0, 1], [2, 3]]
    all_but_one = [(0, 1), (2, 3), (0, 2), (0, 3), (1, 2)]
    assert group(pairs_of(*all_but_one)) == [[0, 1], [2, 3]]
    assert group(pairs_of(*all_but_one, (1, 3))) == [[0, 1, 2, 3]]
    assert group(pairs_of()) == []


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_those_of_complete_linkage(seed):
    """Beside a plain twin: of all groups that may join, the two with the best worst pair do."""
    rng = np.random.default_rng(seed)
    count = 14
    likeness = {pair: rng.random() for pair in combinations(range(count), 2)}
    kept = sorted((pair for pair, p in likeness.items() if p > 0.5), key=lambda q: -likeness[q])
    pairs = LikelyPairs(np.array(kept), np.array([likeness[pair] for pair in kept]))
    plain = [[i] for i in range(count)]
    while True:
        worst = {
            (i, j): min(likeness.get((min(a, b), max(a, b)), 0) for a in plain[i] for b in plain[j])
            for i, j in combinations(range(len(plain)), 2)
        }
        best = max(worst, key=worst.get)
        if worst[best] <= 0.5:
            break
        i, j = best
        plain[i] += plain.pop(j)
    expected = sorted(
        (sorted(items) for items in plain if len(items) > 1), key=lambda g: (-len(g), g)
    )
    assert group(pairs) == expected


def test_hits_of_a_group(index):
    hits = pair_hits(index, [0, 60, 120])
    plain, asked = as_queries(index, [0])
    found = fused_search(plain, asked, len(index))
    score = dict(zip(found.rows[0].tolist(), found.scores[0].tolist()))
    assert {hit.item_id: hit.score for hit in hits} == pytest.approx(
        {"i60": score[60], "i120": score[120]}
    )
    assert hits[0].score >= hits[1].score
    assert len(hits[0].similarities) == len(EMBEDDINGS) + 1


def test_scores_by_hand():
    labels = ["a", "a", "a", "b", "b", "", "c"]
    # Pairs with labels: 0-1 right, 0-3 and 1-3 wrong; 4-5 has none. True: three of a, one of b.
    found = score_groups([[0, 1, 3], [4, 5]], labels)
    assert found == {"pairs": 3, "true_pairs": 4, "precision": 100 / 3, "recall": 25.0}
    empty = score_groups([], ["a", "b"])
    assert (empty["precision"], empty["recall"]) == (None, None)


def test_labels_of_matches():
    labels = labels_of({"q": {"x"}, "r": {"x", "y"}, "s": {"elsewhere"}}, list("qrsxyz"))
    assert len({labels[i] for i in (0, 1, 3, 4)}) == 1
    assert len(set(labels)) == 3
