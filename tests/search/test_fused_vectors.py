"""Inner products of fused vectors are the scores of a search, and rank as it does."""

import numpy as np
import pytest

from fairseq_item.commands import fuse
from fairseq_item.digests import digests
from fairseq_item.errors import InputError
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter
from fairseq_item.search.exact import rough_error
from fairseq_item.search.fused_folder import FusedFolder
from fairseq_item.search.fused_vectors import masks, sharing, sum_fuser
from fairseq_item.search.fusion import Batch
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import fused_search
from fairseq_item.verify import verify

WORDS = ["red", "blue", "shoe", "FTM-663", "ftm663", "shirt", "靴下", "the", "a"]
DENSE, ALL = (0.5, 0.25, 2, 0), (0.5, 0, 2, 1.5)


def embeddings(path, count, seed):
    """Random embeddings in a cone, the image wider, a third of each absent; some products bare."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(count, d)).astype(np.float32) + 0.5 for d in (6, 6, 9)]
    for array in arrays:
        array[rng.random(count) < 0.33] = 0
    titles = [" ".join(rng.choice(WORDS, size=rng.integers(5))) for _ in range(count)]
    items = [{"id": f"{path.name}{i}", "title": title} for i, title in enumerate(titles)]
    with EmbeddingWriter(path, items, dict(zip(EMBEDDINGS, (6, 6, 9)))) as writer:
        writer.write(0, *arrays)
        writer.finish()
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of an index of 150 items, and of 40 queries."""
    folder = tmp_path_factory.mktemp("fused")
    embeddings(folder / "q", 40, 1)
    build_index([embeddings(folder / "i", 150, 0)], folder / "index", weights=DENSE)
    return folder


def fused(made, out, weights, *more):
    """Fused items and queries by the command."""
    args = [str(made / "index"), "--weights", *map(str, weights), *more]
    fuse.main([*args, "--out", str(out / "items")])
    fuse.main([*args, "--queries", str(made / "q"), "--out", str(out / "queries")])
    return FusedFolder.load(out / "items", True), FusedFolder.load(out / "queries", True)


def inner_products(items, queries):
    """All (q, n) products, by the simplest means; -inf for pairs that share nothing."""
    scores = np.array([[float(q @ i) for i in items.vectors] for q in queries.vectors])
    if items.lexical is not None:
        scores += (queries.lexical @ items.lexical.T).toarray()
    shared = queries.present.astype(int) @ items.present.T.astype(int) > 0
    return np.where(shared, scores, -np.inf)


@pytest.mark.parametrize("weights", [DENSE, ALL])
def test_products_are_scores_and_rank_alike(made, tmp_path, weights):
    items, queries = fused(made, tmp_path, weights)
    index, asked = ItemIndex.load(made / "index"), Embeddings.load(made / "q").queries()
    fuser = sum_fuser(index, weights=weights)
    products = inner_products(items, queries)
    results = fused_search(index, asked, len(index), "sum", weights)
    error = rough_error(Batch(index, fuser, asked, 1, np.full(len(queries), -1)))
    assert 0 < error.max() < 1e-3
    absent = 0
    for query, (rows, scores) in enumerate(zip(results.rows, results.scores)):
        found = rows[rows >= 0]
        assert set(found) == set(np.flatnonzero(products[query] > -np.inf))
        assert np.abs(products[query, found] - scores[: len(found)]).max(initial=0) <= error[query]
        # Where scores are further apart than the error the order is the same.
        apart = np.flatnonzero(-np.diff(scores[: len(found)]) > 2 * error[query])
        assert (-np.diff(products[query, found]) > 0)[apart].all()
        absent += len(index) - len(found)
    assert 0 < absent < products.size / 3


def test_first_ten_are_those_of_item_search(made, tmp_path):
    items, queries = fused(made, tmp_path, DENSE)
    asked = Embeddings.load(made / "q").queries()
    expected = fused_search(ItemIndex.load(made / "index"), asked, 10, "sum", DENSE).rows
    products = inner_products(items, queries)
    found = np.argsort(-products, axis=1, kind="stable")[:, :10]
    found[np.take_along_axis(products, found, axis=1) == -np.inf] = -1
    np.testing.assert_array_equal(found, expected)


def test_folder_says_what_is_folded(made, tmp_path):
    items, queries = fused(made, tmp_path, ALL)
    assert items.meta["similarities"] == ["global", "image", "lexical"]
    assert items.meta["dims"] == {"global": 6, "image": 9}
    assert items.vectors.shape == (150, items.meta["dim"]) == (150, 6 + 9 + 3)
    assert items.ids[:2] == ["i0", "i1"]
    assert queries.ids[:2] == ["q0", "q1"]
    assert [problem for _, problem in verify(tmp_path / "items")] == [None]
    items.check_queries(queries)
    transforms = digests(made / "index", ["global.transform.npz", "image.transform.npz"])
    assert list(items.meta["folded"]["transforms"].values()) == list(transforms.values())
    other, _ = fused(made, tmp_path / "other", DENSE)
    for wrong in (items, other):
        with pytest.raises(InputError, match="do not go with"):
            wrong.check_queries(queries if wrong is other else items)


def test_masks_that_share_a_similarity():
    present = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], bool)
    assert masks(present).tolist() == [0, 1, 2, 3]
    assert [sharing(mask, 2) for mask in range(4)] == [[], [1, 3], [2, 3], [1, 2, 3]]


def test_what_is_no_inner_product_is_refused(made, tmp_path):
    for more, message in (
        (["--fusion", "max"], "maximum of similarities is no inner product"),
        (["--weights", "0", "0", "0", "1"], "leave out all embeddings"),
    ):
        with pytest.raises(InputError, match=message):
            fuse.main([str(made / "index"), "--out", str(tmp_path / "out"), *more])
    assert not list(tmp_path.iterdir())
    build_index([made / "i"], made / "largest", fusion="max")
    with pytest.raises(InputError, match="give --fusion sum"):
        fuse.main([str(made / "largest"), "--out", str(tmp_path / "out")])


def test_damage_and_other_folders_are_refused(made, tmp_path):
    fused(made, tmp_path, ALL)
    with pytest.raises(InputError, match="holds index, not fused vectors"):
        FusedFolder.load(made / "index")
    with pytest.raises(InputError, match="holds fused vectors, not index"):
        ItemIndex.load(tmp_path / "items")
    with pytest.raises(InputError, match="holds other things"):
        fuse.main([str(made / "index"), "--out", str(made / "q")])
    for name in ("vectors.npy", "present.npy", "lexical.npz", "items.tsv", "meta.json"):
        path = tmp_path / "items" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        with pytest.raises(InputError, match="run item-fuse again"):
            FusedFolder.load(tmp_path / "items")
        path.write_bytes(whole)
    FusedFolder.load(tmp_path / "items")
