"""Fitted weights: known ones are found, and fitted search is what the formula says."""

import numpy as np
import pytest
from scipy.special import expit

from fairseq_item.commands import index as index_command
from fairseq_item.commands import search as search_command
from fairseq_item.commands.common import run
from fairseq_item.evaluation.reliability import calibration_error
from fairseq_item.reports import balance
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter
from fairseq_item.search.fit import TOP, Candidates, candidates, fit, fit_index
from fairseq_item.search.fit_queries import FitQueries
from fairseq_item.search.fusion import DECIMALS, own_settings
from fairseq_item.search.hits import SIMILARITIES, read_hits, write_truth
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import fused_search, search

DIM, PRODUCTS = 12, 60
UNFITTED = np.array([0.5, 0.0, 0.5, 1.0])


def draw_candidates(weights, intercept=None, queries=400, each=30, seed=0):
    """Normal similarities; one match drawn by their softmax, or each on its own by the sigmoid."""
    rng = np.random.default_rng(seed)
    similarities = rng.normal(size=(queries, each, len(SIMILARITIES)))
    scores = similarities @ np.array(weights)
    if intercept is None:
        chosen = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
        true = np.arange(each) == chosen[:, None]
    else:
        true = rng.random(scores.shape) < expit(scores + intercept)
    query, row = np.divmod(np.arange(queries * each), each)
    return Candidates(query, row, similarities.reshape(-1, len(SIMILARITIES)), true.ravel())


def test_right_weights_are_found():
    right = np.array([2.0, 0.0, 1.0, 0.5])
    weights, _ = fit(draw_candidates(right, queries=2000), UNFITTED)
    np.testing.assert_allclose(weights / weights[0], right / right[0], atol=0.07)
    # What tells against a match counts for nothing rather than negatively.
    weights, _ = fit(draw_candidates([2.0, -1.0, 1.0, 0.5], queries=2000), UNFITTED)
    assert weights[1] == 0
    assert (weights[[0, 2, 3]] > 0).all()


def test_few_queries_leave_the_order_as_it_was():
    right = np.array([1.0, 1.5, 1.0, 2.0])
    for seed in range(5):
        few, _ = fit(draw_candidates(right, queries=2, seed=seed), UNFITTED)
        assert few @ UNFITTED / np.linalg.norm(few) / np.linalg.norm(UNFITTED) > 0.9
        enough, _ = fit(draw_candidates(right, queries=2000, seed=seed), UNFITTED)
        np.testing.assert_allclose(enough / enough[3], right / right[3], atol=0.07)


def test_probabilities_are_those_that_were_drawn_from():
    right, intercept = np.array([1.0, 0.5, 1.5, 0.5]), -2.0
    # As many candidates as are calibrated on: the first ten are all.
    weights, found = fit(draw_candidates(right, intercept, queries=3000, each=TOP), UNFITTED)
    np.testing.assert_allclose(weights, right, atol=0.15)
    assert found == pytest.approx(intercept, abs=0.15)
    fresh = draw_candidates(right, intercept, queries=3000, each=TOP, seed=1)
    assert calibration_error(expit(fresh.similarities @ weights + found), fresh.true) < 0.015


def test_matches_told_without_error_still_have_finite_weights():
    pairs = draw_candidates([1.0, 1.0, 1.0, 1.0], queries=20)
    pairs.similarities[pairs.true, 2] = 50
    weights, intercept = fit(pairs, UNFITTED)
    assert np.isfinite([*weights, intercept]).all()
    first = pairs.best(weights, 1)
    assert first.true.all()
    assert expit(first.similarities @ weights + intercept).min() > 0.9


def test_similarities_that_tell_nothing_leave_the_order_as_it_was():
    pairs = draw_candidates(-UNFITTED, queries=300)
    weights, _ = fit(pairs, UNFITTED)
    assert (weights >= 0).all()
    assert weights.any()


def write_listings(path, seed, each, prefix):
    """``each`` noisy listings of the same products; some lack a title or an image."""
    means = np.random.default_rng(0).normal(size=(PRODUCTS, DIM))
    rng = np.random.default_rng(seed)
    product = np.repeat(np.arange(PRODUCTS), each)
    # The image says more of the product than the title does.
    noise = dict(zip(EMBEDDINGS, (1.5, 3.0, 0.7)))
    rows = {
        name: means[product] + s * rng.normal(size=(len(product), DIM)) for name, s in noise.items()
    }
    rows["title"][rng.random(len(product)) < 0.2] = 0
    rows["image"][rng.random(len(product)) < 0.2] = 0
    items = []
    for number, p in enumerate(product):
        title = f"word{p % 7} brand{p % 5} thing{rng.integers(9)}"
        items.append({"id": f"{prefix}{number}", "title": title, "product": f"p{p}"})
    writer = EmbeddingWriter(path, items, DIM)
    writer.write(0, *rows.values())
    writer.finish()
    return Embeddings.load(path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("listings")
    items = write_listings(base / "items", 1, 3, "i")
    queries = write_listings(base / "queries", 2, 1, "q")
    group = items.items.column("product")
    truth = {
        f"q{p}": [items.ids[i] for i, g in enumerate(group) if g == f"p{p}"] for p in range(40)
    }
    write_truth(base / "truth.tsv", truth)
    return {"items": items, "queries": queries, "truth": base / "truth.tsv"}


def fitted(folders, out, **settings):
    asked = FitQueries.from_truth(folders["queries"].path, folders["truth"])
    build_index([folders["items"].path], out, fit=lambda index: fit_index(index, asked), **settings)
    return ItemIndex.load(out)


def brute_force(index, queries, weights, intercept):
    """(q, n) probabilities, from the vectors as they are stored."""
    logits = np.full((len(queries["global"]), len(index)), intercept)
    lexical = fused_search(index, queries, len(index), similarity="lexical")
    for name, weight in zip(SIMILARITIES, weights):
        if name == "lexical":
            similarities = np.full(logits.shape, np.nan)
            for q, rows in enumerate(lexical.rows):
                similarities[q, rows[rows >= 0]] = lexical.scores[q][rows >= 0]
        else:
            ours = index.transforms[name](queries[name]).astype(np.float64)
            theirs = np.asarray(index.vectors[name], np.float64)
            both = ours.any(axis=1)[:, None] & theirs.any(axis=1)
            similarities = np.where(both, ours @ theirs.T, np.nan)
        logits += weight * np.nan_to_num(index.calibrations[name](similarities.round(DECIMALS)))
    return expit(logits)


@pytest.mark.parametrize("factory", ["Flat", "IVF4,Flat"])
def test_fitted_search_equals_brute_force(tmp_path, folders, factory):
    index, queries = fitted(folders, tmp_path / "x", factory=factory), folders["queries"].queries()
    if factory != "Flat":
        index.set_nprobe(4)
    fit = index.meta["fit"]
    assert own_settings(index.meta)["weights"] == tuple(fit["weights"])
    assert fit["weights"][2] > fit["weights"][1]
    found = fused_search(index, queries, 7)
    expected = brute_force(index, queries, fit["weights"], fit["intercept"])
    order = np.argsort(-expected, axis=1, kind="stable")[:, :7]
    np.testing.assert_array_equal(found.rows, order)
    np.testing.assert_allclose(found.scores, np.take_along_axis(expected, order, axis=1), atol=1e-9)


def balance_report(index, folders):
    truth = {name: {"i1"} for name in folders["queries"].ids}
    found = balance.report(index, folders["queries"], truth, bootstrap=0)
    return found["fusions"]["index"]


def test_overrides_leave_the_score_as_it_was(tmp_path, folders):
    index, queries = fitted(folders, tmp_path / "x"), folders["queries"].queries()
    build_index([folders["items"].path], tmp_path / "plain")
    plain = ItemIndex.load(tmp_path / "plain")
    assert "fit" not in plain.meta
    expected = fused_search(plain, queries, 5)
    for override in ({"fusion": "sum"}, {"weights": plain.meta["weights"]}):
        found = fused_search(index, queries, 5, **override)
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_array_equal(found.scores, expected.scores)
    assert balance_report(index, folders)["weights"] == index.meta["fit"]["weights"]
    alone = fused_search(index, queries, 5, similarity="image")
    np.testing.assert_array_equal(
        alone.scores, fused_search(plain, queries, 5, similarity="image").scores
    )


def test_nothing_shared_is_no_answer_rather_than_a_probability(tmp_path, folders):
    index = fitted(folders, tmp_path / "x")
    none = {name: np.zeros((1, DIM), np.float32) for name in EMBEDDINGS}
    found = fused_search(index, none, 3)
    assert (found.rows == -1).all()
    assert (found.scores == -np.inf).all()


def test_groups_leave_each_query_out(tmp_path, folders):
    items = folders["items"]
    asked = FitQueries.from_groups([items.path], "product", seed=1, most=50)
    assert len(asked.ids) == 50
    assert asked.ids == FitQueries.from_groups([items.path], "product", seed=1, most=50).ids
    assert all(name not in asked.truth[name] and len(asked.truth[name]) == 2 for name in asked.ids)
    row = items.ids.index(asked.ids[7])
    np.testing.assert_array_equal(asked.rows["image"][7], items.rows("image", row, row + 1)[0])
    build_index([items.path], tmp_path / "x")
    index = ItemIndex.load(tmp_path / "x")
    pairs = candidates(index, asked)
    itself = np.array([index.ids.index(name) for name in asked.ids])
    assert not (pairs.row == itself[pairs.query]).any()
    matches = [
        index.ids[row] in asked.truth[asked.ids[q]] for q, row in zip(pairs.query, pairs.row)
    ]
    assert pairs.true.tolist() == matches
    # Rows of another folder: the index has their groups.
    others = FitQueries.from_groups([items.path], "product", folders["queries"].path)
    assert len(others.ids) == PRODUCTS
    assert all(len(found) == 3 for found in others.truth.values())


def test_held_out_queries_are_as_calibrated_as_fresh_ones(tmp_path, folders):
    index = fitted(folders, tmp_path / "x")
    held_out = index.meta["fit"]["held_out"]
    assert held_out["fitted MAP@10"] > held_out["unfitted MAP@10"]
    assert index.meta["fit"]["reweighted"]
    fresh = write_listings(tmp_path / "fresh", 3, 2, "f")
    group = index.items.column("product")
    hits = search(index, fresh.queries(), fresh.ids, 10)
    pairs = [
        (hit.score, group[index.ids.index(hit.item_id)] == fresh.items[row]["product"])
        for row, name in enumerate(fresh.ids)
        for hit in hits[name]
    ]
    probability, true = map(np.array, zip(*pairs))
    assert abs(100 * calibration_error(probability, true) - held_out["ece"]) < 3


def test_weights_that_do_no_better_are_not_taken(tmp_path, folders):
    """Fitted anew from fitted ones there is nothing to gain: only the probability is fitted."""
    fitted_weights = np.array(fitted(folders, tmp_path / "x").meta["fit"]["weights"])
    again = fitted(folders, tmp_path / "y", weights=tuple(3 * fitted_weights)).meta["fit"]
    assert not again["reweighted"]
    scale = np.array(again["weights"]) / np.maximum(fitted_weights, 1e-9)
    np.testing.assert_allclose(scale[fitted_weights > 0], scale[2], rtol=1e-6)


def test_one_query_gives_a_probability_only(tmp_path, folders):
    write_truth(tmp_path / "t", {"q1": ["i3", "i4"]})
    asked = FitQueries.from_truth(folders["queries"].path, tmp_path / "t")
    meta = build_index(
        [folders["items"].path],
        tmp_path / "x",
        weights=(1, 2, 3),
        fit=lambda i: fit_index(i, asked),
    )
    assert np.round(np.array(meta["fit"]["weights"]) / meta["fit"]["weights"][0], 6).tolist() == [
        1, 2, 3, 0,
    ]  # fmt: skip
    assert meta["fit"]["held_out"] is None
    assert not meta["fit"]["reweighted"]


def test_commands(tmp_path, folders, capsys):
    items, queries = str(folders["items"].path), str(folders["queries"].path)
    build = [items, "--out", str(tmp_path / "x")]
    index_command.main([*build, "--fit", str(folders["truth"]), "--fit-queries", queries])
    assert "fitted on 40 queries: weights" in capsys.readouterr().out
    hits = str(tmp_path / "hits.tsv")
    search_command.main([str(tmp_path / "x"), "--queries", queries, "--out", hits])
    scores = [hit.score for answers in read_hits(hits).values() for hit in answers]
    assert 0 < min(scores) < 0.2 < max(scores) < 1
    index_command.main([*build, "--fit-groups", "product"])
    meta = ItemIndex.load(tmp_path / "x").meta
    assert meta["fit"]["queries"] == 3 * PRODUCTS
    assert meta["fit"]["source"].keys() == {"queries", "groups", "digest"}


def test_bad_input_ends_with_one_line(tmp_path, folders, capsys, change_meta):
    items, queries, truth = folders["items"].path, folders["queries"].path, folders["truth"]

    def refused(*argv):
        with pytest.raises(SystemExit) as stop:
            run(index_command.main, [str(items), "--out", str(tmp_path / "x"), *map(str, argv)])
        assert stop.value.code == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
        assert not (tmp_path / "x" / "meta.json").exists()
        return line

    assert "--fit needs --fit-queries" in refused("--fit", truth)
    assert "--fit-queries needs" in refused("--fit-queries", queries)
    both = ("--fit", truth, "--fit-groups", "product", "--fit-queries", queries)
    assert "either --fit or" in refused(*both)
    assert "has no column brand; it has id" in refused("--fit-groups", "brand")
    assert "no two listings share a id" in refused("--fit-groups", "id")
    fine = ("--fit", truth, "--fit-queries", queries)
    assert "--fusion sum, not max" in refused(*fine, "--fusion", "max")
    write_truth(tmp_path / "t", {"nobody": ["i1"]})
    wrong = ("--fit", tmp_path / "t", "--fit-queries", queries)
    assert "'nobody'" in refused(*wrong)
    write_truth(tmp_path / "t", {"q1": ["nothing"]})
    assert "'nothing', which is not in the index" in refused(*wrong)
    # A true match that shares nothing with its query is no candidate.
    bare = np.zeros((1, DIM), np.float32)
    writer = EmbeddingWriter(tmp_path / "bare", [{"id": "q1", "title": ""}], DIM)
    writer.write(0, bare, bare, bare)
    writer.finish()
    write_truth(tmp_path / "t", {"q1": ["i1"]})
    bare = ("--fit", tmp_path / "t", "--fit-queries", tmp_path / "bare")
    assert "no fit query has a true match among" in refused(*bare)
    rows = np.ones((1, DIM), np.float32)
    writer = EmbeddingWriter(tmp_path / "nan", [{"id": "q1", "title": "a"}], DIM)
    writer.write(0, rows, rows, rows)
    writer.finish()
    array = np.load(tmp_path / "nan" / "image.npy")
    array[0, 0] = np.nan
    np.save(tmp_path / "nan" / "image.npy", array)
    change_meta(tmp_path / "nan")
    assert "not finite" in refused("--fit", tmp_path / "t", "--fit-queries", tmp_path / "nan")
