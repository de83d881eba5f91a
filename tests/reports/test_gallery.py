import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from fairseq_item.commands import gallery as gallery_command
from fairseq_item.commands.common import run
from fairseq_item.data.image_store import ImageStoreWriter
from fairseq_item.data.tsv import Table, write_table
from fairseq_item.reports import gallery
from fairseq_item.reports.gallery import decided_by, pick_queries
from fairseq_item.search.build import build_index
from fairseq_item.search.calibration import ZScore
from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter
from fairseq_item.search.fusion import Fuser
from fairseq_item.search.hits import Hit, write_hits, write_truth
from fairseq_item.search.index import ItemIndex

NASTY = '<script>alert("x")</script> & "quoted" $title'
ABSENT = float("nan")


class Reader(HTMLParser):
    """Collects tags with their attributes and fails on tags that do not match."""

    VOID = {"meta", "img", "br", "link"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def with_class(self, name):
        return [a for _, a in self.tags if name in (a.get("class") or "").split()]


def write_split(folder, name, rows):
    write_table(folder / "items" / f"{name}.tsv", Table(["id", "title", "image"], rows))
    rng = np.random.default_rng(len(name))
    with ImageStoreWriter(folder / "image" / name, image_size=32, patch_size=16) as writer:
        for _ in rows:
            writer.add(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8))


@pytest.fixture
def data_bin(tmp_path):
    items = [[f"i{i}", f"item {i}", f"{i}.png"] for i in range(6)]
    items[2][1] = NASTY
    items[5][1] = ""
    write_split(tmp_path, "train", items[:3])
    write_split(tmp_path, "train1", items[3:])
    write_split(tmp_path, "query", [["q0", NASTY, "0.png"], ["q1", "second", "1.png"]])
    hits = {
        "q0": [Hit("i2", 0.9, (0.5, 0.9, -0.2)), Hit("i5", 0.8, (0.8, 0.1, 0.2)), Hit("i0", 0.1)],
        "q1": [Hit("i1", 0.7, (0.1, 0.2, 0.7)), Hit("i3", 0.5, (ABSENT, 0.5, ABSENT))],
    }
    write_hits(tmp_path / "hits.tsv", hits)
    write_truth(tmp_path / "truth.tsv", {"q0": ["i2", "i0"], "q1": ["i4"]})
    return tmp_path


def make(folder, *more, truth=True):
    out = folder / "gallery.html"
    command = ["--hits", folder / "hits.tsv", "--data", folder, "--index-splits", "train"]
    command += ["--truth", folder / "truth.tsv"] if truth else []
    gallery_command.main([str(a) for a in [*command, "-k", 2, "--out", out, *more]])
    return out.read_text(encoding="utf-8")


def test_page_is_self_contained_and_well_formed(data_bin):
    page = make(data_bin)
    reader = Reader(page)
    images = [attrs for tag, attrs in reader.tags if tag == "img"]
    assert len(images) == 2 + 4 + 2  # queries, answers, missed matches
    assert all(attrs["src"].startswith("data:image/webp;base64,") for attrs in images)
    assert not [tag for tag, _ in reader.tags if tag in ("link", "iframe")]
    without_images = re.sub(r'src="data:[^"]*"', "", page)
    assert not re.search(r"https?:|//|@import|url\(|src=", without_images)


def test_titles_are_escaped(data_bin):
    page = make(data_bin, "--title", NASTY, "--name", "<b>mine</b>")
    assert "<script>alert" not in page
    assert "<b>mine</b>" not in page
    assert page.count("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp;") >= 4
    assert "<em>no title</em>" in page


def test_true_matches_are_framed_and_missed_ones_shown(data_bin):
    page = make(data_bin)
    reader = Reader(page)
    assert len(reader.with_class("tile")) == 4
    assert len(reader.with_class("true")) == 1
    assert len(reader.with_class("missed")) == 2
    assert "at rank 3" in page  # i0, the other true match of q0
    assert "not in the first 2" in page  # i4, of q1
    assert "1 of 2 found" in page
    assert [a["data-missed"] for a in reader.with_class("card")] == ["1", "1"]
    assert [a["data-won"] for a in reader.with_class("card")] == ["title", "image"]
    assert re.search(r"MAR@10.*MAP@10.*<td>50\.00</td><td>41\.67</td>", page, re.S)


def test_without_truth_nothing_is_framed(data_bin):
    reader = Reader(make(data_bin, truth=False))
    assert not reader.with_class("true") + reader.with_class("missed") + reader.with_class("scores")


def test_compared_methods_get_a_row_each(data_bin):
    write_hits(data_bin / "other.tsv", {"q0": [Hit("i4", 3.5, (ABSENT, 3.5, ABSENT))]})
    page = make(data_bin, "--compare", f"words={data_bin / 'other.tsv'}")
    reader = Reader(page)
    assert len(reader.with_class("row")) == 4
    assert page.count("<h3>words") == 2
    assert "<b>3.500</b>" in page


def test_original_images(data_bin, tmp_path):
    root = tmp_path / "originals"
    root.mkdir()
    for i in range(6):
        Image.new("RGB", (500, 250), (40 * i, 0, 0)).save(root / f"{i}.png")
    (root / "1.png").write_bytes(b"broken")
    reader = Reader(make(data_bin, "--image-root", root, "--query-image-root", root))
    # 1.png is the image of the second query and of its first answer.
    assert len(reader.with_class("none")) == 2


def test_what_decided_needs_no_index_where_scores_are_cosines():
    assert decided_by(Hit("a", 0.9, (0.5, 0.9, 0.1))) == ["title"]
    assert decided_by(Hit("a", 1.5, (0.5, 0.9, 0.1))) == []  # a sum: none of them alone
    assert decided_by(Hit("a", 0.9, (ABSENT, 0.9, ABSENT))) == []  # nothing to win against
    assert decided_by(Hit("a", ABSENT, (0.5, 0.9, 0.1))) == []


def test_what_decided_under_calibration():
    fitted = {"global": ZScore(0.5, 0.1), "title": ZScore(0.8, 0.2), "image": ZScore(0.9, 0.01)}
    # global 1.0, title 0.5, image 5.0: the lowest of the three scales decides
    hit = Hit("a", 5.0, (0.6, 0.9, 0.95))
    assert decided_by(hit, Fuser("max", (1, 1, 1), fitted)) == ["image"]
    assert decided_by(hit._replace(score=1.0), Fuser("max", (1, 1, 0), fitted)) == ["global"]
    assert decided_by(Hit("a", 1.0, (ABSENT, 0.2, 0.2)), Fuser("sum", (1, 0, 0), fitted)) == []


def test_similarities_that_tie_share_the_win(data_bin):
    hit = Hit("i1", 0.7, (0.7, 0.2, 0.7))
    assert decided_by(hit) == ["global", "image"]
    write_hits(data_bin / "hits.tsv", {"q1": [hit]})
    page = make(data_bin, truth=False)
    reader = Reader(page)
    assert [a["data-won"] for a in reader.with_class("card")] == ["global image"]
    assert len(reader.with_class("of-tie")) == 1
    assert ">tie</span>" in page
    assert len([a for a in reader.with_class("bar") if "won" in a["class"].split()]) == 2


def test_a_fourth_similarity_has_a_bar_where_it_is_there(data_bin):
    assert not Reader(make(data_bin)).with_class("of-lexical")
    similarities = (0.1, 0.2, 0.7)
    hits = [Hit("i1", 0.7, (*similarities, 30.0)), Hit("i2", 0.6, (*similarities, 12.0))]
    hits.append(Hit("i3", 0.5, similarities))
    write_hits(data_bin / "hits.tsv", {"q1": hits})
    page = make(data_bin, truth=False)
    assert len(Reader(page).with_class("of-lexical")) == 2
    for width, text in (("100%", "30.0"), ("40%", "12.0")):  # beside the best of the query
        assert f'<u style="width:{width}"></u></i><b>{text}</b>' in page


@pytest.mark.parametrize("fusion", ["max", "sum"])
def test_index_tells_which_similarity_won(data_bin, fusion):
    rows = np.random.default_rng(0).normal(size=(6, 4))
    writer = EmbeddingWriter(data_bin / "e", [{"id": f"i{i}"} for i in range(6)], 4)
    writer.write(0, rows, rows + 1, rows - 1)
    writer.finish()
    build_index([data_bin / "e"], data_bin / "x", fusion=fusion, weights=(1, 1, 1))
    index = ItemIndex.load(data_bin / "x")
    scores = [float(index.calibrations[p](s)) for p, s in zip(EMBEDDINGS, (0.1, 0.2, 0.99))]
    won = EMBEDDINGS[int(np.argmax(scores))]
    score = max(scores) if fusion == "max" else sum(scores)
    write_hits(data_bin / "hits.tsv", {"q1": [Hit("i1", score, (0.1, 0.2, 0.99))]})
    page = make(data_bin, "--index", data_bin / "x", truth=False)
    assert [a["data-won"] for a in Reader(page).with_class("card")] == [won]


def test_the_old_name_of_a_flag(data_bin):
    for name in ("--num-queries", "--queries"):
        assert len(Reader(make(data_bin, name, 1)).with_class("card")) == 1


@pytest.mark.parametrize("how", gallery.PICKS)
def test_picks(how):
    queries = [f"q{i}" for i in range(50)]
    precision = np.random.default_rng(0).random(50)
    chosen = pick_queries(queries, how, 11, seed=3, precision=precision)
    assert len(set(chosen)) == 11
    assert chosen == pick_queries(queries, how, 11, seed=3, precision=precision)
    got = np.array([precision[queries.index(q)] for q in chosen])
    ranked = np.sort(precision)[::-1]
    if how == "best":
        np.testing.assert_array_equal(got, ranked[:11])
    elif how == "worst":
        np.testing.assert_array_equal(got, ranked[::-1][:11])
    elif how == "mixed":
        assert got[0] == ranked[0]
        assert got[-1] == ranked[-1]
        assert np.all(np.diff(got) <= 0)
    else:
        assert chosen != pick_queries(queries, how, 11, seed=4)
    assert sorted(pick_queries(queries, how, 99, precision=precision)) == sorted(queries)


def test_bad_input_ends_with_one_line(data_bin, capsys):
    write_hits(data_bin / "strange.tsv", {"q0": [Hit("i9", 1.0)]})
    write_hits(data_bin / "unknown.tsv", {"q9": [Hit("i1", 1.0)]})
    for more, message in [
        (["--hits", data_bin / "strange.tsv"], "has the item 'i9'"),
        (["--hits", data_bin / "unknown.tsv"], "has the query 'q9'"),
        (["--index-splits", "nope"], "nope.tsv is missing"),
        (["--compare", "words"], "NAME=hits.tsv"),
        (["--image-root", data_bin / "none"], "none is missing"),
        (["--index", data_bin], "holds no whole index"),
        (["-k", 0], "argument -k: '0' is not a whole number of 1 or more"),
        (["--num-queries", 0], "argument --num-queries: '0' is not"),
        (["--queries", "many"], "argument --queries: 'many' is not"),
    ]:
        with pytest.raises(SystemExit) as stop:
            run(lambda argv: make(data_bin, *argv), more)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        run(lambda argv: make(data_bin, *argv, truth=False), ["--pick", "worst"])
    assert "needs --truth" in capsys.readouterr().err
    assert not (data_bin / "gallery.html").exists()
