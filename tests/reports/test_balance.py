"""Who wins, who is right, and what is found without a title or a photo."""

import json
import sys
from collections import Counter

import numpy as np
import pytest

from fairseq_item.commands import balance as balance_command
from fairseq_item.commands import evaluate as evaluate_command
from fairseq_item.commands import search as search_command
from fairseq_item.commands.common import run
from fairseq_item.errors import InputError
from fairseq_item.evaluation.attribution import attribute, contributions, winners
from fairseq_item.evaluation.changed_queries import Change
from fairseq_item.reports import balance
from fairseq_item.reports.balance_page import markdown
from fairseq_item.reports.balance_plot import plot
from fairseq_item.reports.gallery import decided_by
from fairseq_item.search import search
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter
from fairseq_item.search.fusion import Fuser
from fairseq_item.search.hits import write_truth
from fairseq_item.search.index import ItemIndex

PAPER = {"transform": "none", "calibrate": "none", "fusion": "max", "weights": (1, 1, 1)}


def embeddings(path, ids, *parts):
    writer = EmbeddingWriter(path, [{"id": name, "title": ""} for name in ids], len(parts[0][0]))
    writer.write(0, *(np.array(part, np.float32) for part in parts))
    writer.finish()
    return Embeddings.load(path)


def at(*cosines):
    """Rows whose cosines with (1, 0) are given; None is an absent part."""
    return [(0, 0) if c is None else (c, np.sqrt(1 - c * c)) for c in cosines]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Three items, and queries that are (1, 0) in the parts that they have.

                global  title  image
        a          0.8    0.6    0.0
        b          0.6    0.8      -
        c          0.0    0.6    0.96

    ``all`` has all parts, ``words`` the title alone, ``none`` nothing. Of ``all``, the maximum is
    0.8 by global, 0.8 by title and 0.96 by image; with weights 1 2 0.5 the sum is
    0.8 + 1.2 + 0 = 2.0, 0.6 + 1.6 = 2.2 and 0 + 1.2 + 0.48 = 1.68: the title gives most to each.
    """
    base = tmp_path_factory.mktemp("tiny")
    items = at(0.8, 0.6, 0.0), at(0.6, 0.8, 0.6), at(0.0, None, 0.96)
    embeddings(base / "items", "abc", *items)
    build_index([base / "items"], base / "index", **{**PAPER, "fusion": "sum", "weights": W})
    queries = at(1, None, None), at(1, 1, None), at(1, None, None)
    queries = embeddings(base / "queries", ["all", "words", "none"], *queries)
    write_truth(base / "truth.tsv", TRUTH)
    return base, ItemIndex.load(base / "index"), queries


W = (1.0, 2.0, 0.5)
TRUTH = {"all": {"a"}, "words": {"b", "c"}, "none": {"a"}}


def won(wins, share, right):
    return {"wins": wins, "share": share, "right": right}


def test_attributions_of_the_tiny_index(tiny):
    _, index, queries = tiny
    found = balance.report(index, queries, TRUTH, k=3, bootstrap=0)
    paper, own = found["fusions"]["paper"], found["fusions"]["index"]
    assert (paper["fusion"], paper["weights"]) == ("max", [1, 1, 1])
    assert (own["fusion"], own["weights"]) == ("sum", [1, 2, 0.5])
    # all: c by image, wrong; words: b by title, right; none has no answer.
    assert paper["first"] == {
        "count": 2, "tied": 0, "right": 50.0, "global": won(0.0, 0.0, None),
        "title": won(1.0, 50.0, 100.0), "image": won(1.0, 50.0, 0.0),
        "lexical": won(0.0, 0.0, None),
    }  # fmt: skip
    # all: then a by global, right, and b by title, wrong; words: a wrong, c right, by title.
    assert paper["answers"] == {
        "count": 6, "tied": 0, "right": 50.0, "global": won(1.0, 16.67, 100.0),
        "title": won(4.0, 66.67, 50.0), "image": won(1.0, 16.67, 0.0),
        "lexical": won(0.0, 0.0, None),
    }  # fmt: skip
    # all: b, a, c by title, the second right.
    assert own["answers"] == {
        "count": 6, "tied": 0, "right": 50.0, "global": won(0.0, 0.0, None),
        "title": won(6.0, 100.0, 50.0), "image": won(0.0, 0.0, None),
        "lexical": won(0.0, 0.0, None),
    }  # fmt: skip
    assert own["first"]["title"] == won(2.0, 100.0, 50.0)


def test_scores_of_the_tiny_index(tiny):
    _, index, queries = tiny
    found = balance.report(index, queries, TRUTH, k=3, bootstrap=0)
    # Average precisions of "all", "words", "none"; the equal a and c rank as they are stored.
    words = (1 / 1 + 2 / 3) / 2
    expected = {
        "global": (1 / 1, 0, 0), "title": (1 / 2, words, 0), "image": (1 / 2, 0, 0),
        "index": (1 / 2, words, 0), "paper": (1 / 2, words, 0),
    }  # fmt: skip
    for name, precisions in expected.items():
        scores = found["alone"].get(name) or found["fusions"][name]["scores"]
        assert scores["MAP@3"] == round(100 * np.mean(precisions), 2), name
        assert scores["unanswered"] == (1 if name in ("title", "index", "paper") else 2)
    assert found["changes"] == {}


def test_similarities_that_tie_share_the_win():
    hits = {"q": [search.Hit("a", 0.5, (0.5, 0.5, 0.2)), search.Hit("b", 0.4, (0.4, 0.1, 0.2))]}
    result = attribute(hits, {"q": {"a"}}, 2, Fuser("max", (1, 1, 1), plain()))
    assert result == {
        "count": 2, "tied": 1, "right": 50.0, "global": won(1.5, 75.0, 33.33),
        "title": won(0.5, 25.0, 100.0), "image": won(0.0, 0.0, None),
    }  # fmt: skip


def plain():
    return {part: (lambda cosines: np.asarray(cosines)) for part in EMBEDDINGS}


def random_embeddings(path, count, seed, prefix):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(count, 5)) + 0.4 for _ in EMBEDDINGS]
    for part in parts:
        part[rng.random(count) < 0.2] = 0
    return embeddings(path, [f"{prefix}{i}" for i in range(count)], *parts)


@pytest.mark.parametrize("kind", ["max", "sum"])
@pytest.mark.parametrize("calibrate", ["none", "zscore"])
def test_winners_equal_brute_force(tmp_path, kind, calibrate):
    random_embeddings(tmp_path / "items", 60, 0, "i")
    queries = random_embeddings(tmp_path / "queries", 30, 1, "q")
    weights, rng = (0.7, 1.0, 1.3), np.random.default_rng(2)
    changes = {**PAPER, "calibrate": calibrate, "fusion": kind, "weights": weights}
    build_index([tmp_path / "items"], tmp_path / "index", **changes)
    index = ItemIndex.load(tmp_path / "index")
    truth = {q: {f"i{i}" for i in rng.choice(60, 15, replace=False)} for q in queries.ids}
    hits = search.search(index, {p: queries.rows(p) for p in EMBEDDINGS}, queries.ids, 7)

    wins, right, fuser = Counter(), Counter(), Fuser(kind, weights, index.calibrations)
    for query, answers in hits.items():
        for hit in answers:
            given = {
                part: weight * float(index.calibrations[part](cosine))
                for part, weight, cosine in zip(EMBEDDINGS, weights, hit.similarities)
                if not np.isnan(cosine)
            }
            (best,) = [part for part, value in given.items() if value == max(given.values())]
            assert hit.score == pytest.approx(
                max(given.values()) if kind == "max" else sum(given.values()), abs=1e-9
            )
            # The gallery, which marks winners as well, must not tell another story.
            assert decided_by(hit, fuser) in ([best], [])
            wins[best] += 1
            right[best] += hit.item_id in truth[query]
    result = attribute(hits, truth, 7, fuser)
    assert result["count"] == wins.total()
    assert set(wins) == set(EMBEDDINGS)
    for part in EMBEDDINGS:
        assert result[part]["wins"] == wins[part]
        assert result[part]["share"] == round(100 * wins[part] / wins.total(), 2)
        assert result[part]["right"] == round(100 * right[part] / wins[part], 2)


def test_a_similarity_without_weight_gives_nothing():
    fuser, nothing = Fuser("sum", (2, 0, 1), plain()), -np.inf
    rows = np.array([[0.1, 0.9, np.nan, np.nan], [np.nan, 0.9, np.nan, np.nan]])
    given = contributions(rows, fuser)
    assert given.tolist() == [[0.2, nothing, nothing, nothing], [nothing] * 4]
    assert winners(rows, fuser).tolist() == [[True, False, False, False], [False] * 4]


def test_report_of_changes(tiny):
    """The image alone is left; then "all" and "words" exchange all that they have."""
    _, index, queries = tiny
    whole = {part: queries.rows(part) for part in EMBEDDINGS}
    bare = {**whole, "global": np.zeros((3, 2)), "title": np.zeros((3, 2))}
    swapped = {part: rows[[1, 0, 2]] for part, rows in whole.items()}
    changes = [
        Change("title_removed", bare),
        Change("image_replaced", swapped, np.array([1, 0, 2])),
    ]
    found = balance.report(index, queries, TRUTH, k=3, changes=changes, bootstrap=200)
    removed, replaced = found["changes"]["title_removed"], found["changes"]["image_replaced"]
    assert removed["MAP@3"] == found["alone"]["image"]["MAP@3"]
    assert removed["unanswered"] == 2
    assert "others" not in removed
    # The sum answers b first to the words of both, which is right for "words" alone.
    assert replaced["hit@1"] == 33.33
    # "all" is answered b, a match of "words"; "words" b, none of "all"; "none" nothing.
    assert replaced["others"] == 33.33
    whole_map = found["fusions"]["index"]["scores"]["MAP@3"]
    for entry in (removed, replaced):
        assert entry["difference"] == pytest.approx(entry["MAP@3"] - whole_map, abs=0.011)
        low, high = entry["difference_ci95"]
        assert low <= entry["difference"] <= high
    # Under the maximum "all" as "words" is answered b, a, c, and "words" as "all" c, a, b.
    under_paper = replaced["under_paper"]
    assert under_paper["MAP@3"] == round(100 * np.mean([1 / 2, (1 + 2 / 3) / 2, 0]), 2)
    text = markdown(found)
    assert "| title removed |" in text
    assert "| image removed |" not in text


def test_command_without_a_checkpoint(tiny, tmp_path, capsys, caplog):
    base, _, _ = tiny
    command = [str(base / "index"), "--queries", str(base / "queries"), "-k", "3"]
    balance_command.main([*command, "--truth", str(base / "truth.tsv"), "--out", str(tmp_path)])
    assert "only the attribution is reported" in caplog.text
    assert "balance of 3 queries written" in capsys.readouterr().out
    found = json.loads((tmp_path / "balance.json").read_text())
    assert found["changes"] == found["left_out"] == {}
    text = (tmp_path / "balance.md").read_text()
    assert "| global | 33.3 | 33.3 [0.0, 100.0] |" in text
    assert "needs the checkpoint" in text
    assert (tmp_path / "balance.png").read_bytes().startswith(b"\x89PNG")
    # What item-evaluate says of item-search's answers.
    hits, truth = str(tmp_path / "hits.tsv"), str(base / "truth.tsv")
    search_command.main([*command, "--out", hits])
    capsys.readouterr()
    evaluate_command.main(["--hits", hits, "--truth", truth, "-k", "3"])
    scores = json.loads(capsys.readouterr().out)
    own = found["fusions"]["index"]["scores"]
    # A file of hits cannot hold a query without answers, yet the truth counts it in both.
    assert own == scores


def test_exclude_self_leaves_the_query_out(tiny, tmp_path):
    base, index, _ = tiny
    items = Embeddings.load(base / "items")
    truth = {"a": {"b"}, "b": {"a"}, "c": {"b"}}
    kept = balance.report(index, items, truth, k=1, bootstrap=0)
    left = balance.report(index, items, truth, k=1, exclude_self=True, bootstrap=0)
    assert kept["fusions"]["paper"]["first"]["right"] == 0
    assert left["fusions"]["paper"]["first"]["right"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"-k": "0"}, "argument -k: '0' is not a whole number of 1 or more"),
        ({"--truth": "none.tsv"}, "none.tsv is not there"),
        ({"--queries": "none"}, "none holds no whole embeddings"),
        ({"--queries": "other"}, "the queries have 3 dimensions"),
        ({"--truth": "partial.tsv"}, "query 'words' has hits but no true match"),
        ({"--batch-size": "0"}, "argument --batch-size: '0' is not"),
        ({"--query-splits": ","}, "argument --query-splits: ',' names no split"),
        ({"--checkpoint": "c", "--data": "d", "--device": "abacus"}, "no device 'abacus'"),
        ({"--checkpoint": "none.pt", "--data": "d"}, "none.pt is missing"),
        ({"--checkpoint": "c"}, "--checkpoint and --data go together"),
    ],
)
def test_bad_input_is_one_line(tiny, tmp_path, capsys, monkeypatch, change, message):
    base, _, _ = tiny
    monkeypatch.chdir(tmp_path)
    embeddings(tmp_path / "other", ["all"], *([[1, 0, 0]] for _ in EMBEDDINGS))
    write_truth(tmp_path / "partial.tsv", {"all": {"a"}})
    options = {"--queries": base / "queries", "--truth": base / "truth.tsv", "--out": "out"}
    argv = [str(base / "index")]
    for name, value in {**options, **change}.items():
        argv += [name, str(value)]
    with pytest.raises(SystemExit) as end:
        run(balance_command.main, argv)
    assert end.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert message in line
    assert not (tmp_path / "out").exists()


def test_without_matplotlib_the_rest_is_written(tiny, tmp_path, monkeypatch, caplog, capsys):
    base, _, _ = tiny
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    argv = [str(base / "index"), "--queries", str(base / "queries"), "--out", str(tmp_path)]
    balance_command.main([*argv, "--truth", str(base / "truth.tsv")])
    assert "matplotlib is missing" in caplog.text
    assert "png" not in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["balance.json", "balance.md"]


def test_images_show_the_figures(tiny, tmp_path):
    """An SVG names its texts in comments."""
    _, index, queries = tiny
    alone = balance.report(index, queries, TRUTH, k=3, bootstrap=50)
    plot(alone, tmp_path / "alone.svg")
    text = (tmp_path / "alone.svg").read_text()
    for expected in (
        "50%, 100% of it right", "100%, 50% of it right", "title alone", "44.4",
        "fusion: sum, weights 1 2 0.5", "fusion: max, weights 1 1 1",
    ):  # fmt: skip
        assert f"<!-- {expected} -->" in text, expected
    whole = {part: queries.rows(part) for part in EMBEDDINGS}
    changes = [Change("image_replaced", whole, np.array([1, 0, 0]))]
    changed = balance.report(index, queries, TRUTH, k=3, changes=changes, bootstrap=50)
    plot({"ITEm": changed, "CLIP": alone}, tmp_path / "both.svg")
    text = (tmp_path / "both.svg").read_text()
    for expected in ("ITEm", "CLIP", "whole query", "another product's image", "title removed"):
        assert f"<!-- {expected} -->" in text, expected
    assert "<!-- title alone -->" not in text
    with pytest.raises(InputError, match="run item-balance again"):
        plot({"ITEm": {"parts": {}}}, tmp_path / "none.svg")
    with pytest.raises(InputError, match="no report"):
        plot({}, tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()
