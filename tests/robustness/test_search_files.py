"""Hits, truth, TREC files and arguments that are odd or wrong: read right, or one line."""

import importlib
import os

import numpy as np
import pytest

from fairseq_item.evaluation.trec import read_any_hits, read_any_truth
from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter
from fairseq_item.search.hits import HITS_COLUMNS, Hit, write_hits, write_truth

HEADER = "\t".join(HITS_COLUMNS[:7]) + "\n"
GOOD = "q\t1\ta\t0.5\t0.1\t0.2\t0.3\n"
BAD_HITS = {
    "empty": "",
    "only-a-newline": "\n",
    "no-header": GOOD,
    "another-header": "query_id\titem_id\nq\ta\n",
    "unknown-column": HEADER.strip() + "\tprice\n",
    "column-twice": HEADER.strip() + "\trank\n",
    "columns-by-commas": HEADER.replace("\t", ",") + GOOD.replace("\t", ","),
    "row-too-short": HEADER + "q\t1\ta\n",
    "row-too-long": HEADER + GOOD.strip() + "\t0.4\t7\n",
    "cut-in-a-row": HEADER + GOOD + "q\t2\tb\t0.",
    "blank-line": HEADER + GOOD + "\n" + GOOD,
    "rank-0": HEADER + GOOD.replace("\t1\t", "\t0\t"),
    "rank-2-first": HEADER + GOOD.replace("\t1\t", "\t2\t"),
    "rank-1.0": HEADER + GOOD.replace("\t1\t", "\t1.0\t"),
    "rank-words": HEADER + GOOD.replace("\t1\t", "\tfirst\t"),
    "rank-blank": HEADER + GOOD.replace("\t1\t", "\t\t"),
    "rank-twice": HEADER + GOOD + GOOD.replace("\ta\t", "\tb\t"),
    "item-twice": HEADER + GOOD + GOOD.replace("\t1\t", "\t2\t"),
    "no-query": HEADER + GOOD[1:],
    "no-item": HEADER + GOOD.replace("a", ""),
    "score-words": HEADER + GOOD.replace("0.5", "high"),
    "score-nan": HEADER + GOOD.replace("0.5", "nan"),
    "score-inf": HEADER + GOOD.replace("0.5", "inf"),
    "score-minus-inf": HEADER + GOOD.replace("0.3", "-inf"),
    "score-1e999": HEADER + GOOD.replace("0.5", "1e999"),
    "score-comma": HEADER + GOOD.replace("0.5", "0,5"),
    "latin-1": (HEADER + GOOD.replace("a", "ä")).encode("latin-1"),
    "utf-16": (HEADER + GOOD).encode("utf-16"),
    "zeros": bytes(100),
    "a-picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
}
BAD_TRUTH = {
    "empty": "",
    "header-only": "query_id\titem_id\n",
    "no-header": "q\ta\n",
    "further-column": "query_id\titem_id\tgrade\nq\ta\t1\n",
    "no-query": "query_id\titem_id\n\ta\n",
    "no-item": "query_id\titem_id\nq\t\n",
    "one-value": "query_id\titem_id\nq\n",
    "three-values": "query_id\titem_id\nq\ta\tb\n",
    "blanks-for-tabs": "query_id item_id\nq a\n",
    "latin-1": "query_id\titem_id\nq\tä\n".encode("latin-1"),
    "zeros": bytes(50),
}
BAD_RUNS = {
    "five-fields": "q Q0 a 1 0.5\n",
    "seven-fields": "q Q0 a 1 0.5 t more\n",
    "blank-in-an-id": "q Q0 a b 1 0.5 t\n",
    "score-words": "q Q0 a 1 high t\n",
    "score-nan": "q Q0 a 1 nan t\n",
    "score-inf": "q Q0 a 1 inf t\n",
    "rank-words": "q Q0 a first 0.5 t\n",
    "item-twice": "q Q0 a 1 0.5 t\nq Q0 a 2 0.4 t\n",
    "latin-1": "q Q0 ä 1 0.5 t\n".encode("latin-1"),
    "zeros": bytes(50),
}
BAD_QRELS = {
    "empty": "",
    "none-relevant": "q 0 a 0\n",
    "three-fields": "q 0 a\n",
    "five-fields": "q 0 a 1 1\n",
    "grade-words": "q 0 a yes\n",
    "grade-nan": "q 0 a nan\n",
    "latin-1": "q 0 ä 1\n".encode("latin-1"),
}
FILES = [
    *((read_any_hits, "hits.tsv", name, BAD_HITS[name]) for name in BAD_HITS),
    *((read_any_truth, "truth.tsv", name, BAD_TRUTH[name]) for name in BAD_TRUTH),
    *((read_any_hits, "hits.run", name, BAD_RUNS[name]) for name in BAD_RUNS),
    *((read_any_truth, "truth.qrels", name, BAD_QRELS[name]) for name in BAD_QRELS),
]


@pytest.mark.parametrize(
    ("read", "name", "content"),
    [pytest.param(read, file, text, id=f"{file}-{case}") for read, file, case, text in FILES],
)
def test_bad_files_are_refused_by_name(trial, tmp_path, read, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = trial("hits and truth", lambda: read(path), None, "refused")
    assert said.startswith(f"{path} ")


@pytest.mark.parametrize("name", ["hits.tsv", "hits.run"])
@pytest.mark.parametrize("kind", ["missing", "folder", "below-a-file", "loop"])
def test_what_is_no_file(trial, tmp_path, name, kind):
    path = tmp_path / name
    if kind == "folder":
        path.mkdir()
    if kind == "below-a-file":
        path.touch()
        path = path / "x.tsv"
    if kind == "loop":
        path.symlink_to(path)
    assert name in trial("hits and truth", lambda: read_any_hits(path), None, "refused")


ODD = {
    "windows-lines": (HEADER + GOOD).replace("\n", "\r\n"),
    "byte-order-mark": "\ufeff" + HEADER + GOOD,
    "no-last-newline": (HEADER + GOOD).rstrip(),
    "all-columns": "\t".join(HITS_COLUMNS) + "\n" + GOOD.strip() + "\t1.5\n",
    "columns-in-another-order": "rank\tquery_id\titem_id\tscore_image\tscore_title\tscore_global\t"
    "score\n1\tq\ta\t0.3\t0.2\t0.1\t0.5\n",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_hits_are_read_right(trial, tmp_path, name):
    def right(hits):
        ((query, (hit,)),) = hits.items()
        assert (query, hit.item_id, hit.score) == ("q", "a", 0.5)
        assert hit.similarities[:3] == (0.1, 0.2, 0.3)

    path = tmp_path / "h.tsv"
    path.write_bytes(ODD[name].encode())
    trial("hits and truth", lambda: read_any_hits(path), right, "kept")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("base")
    rng = np.random.default_rng(1)
    for name, count in (("items", 12), ("queries", 3)):
        items = [{"id": f"{name[0]}{i}", "title": f"red shoe {i}"} for i in range(count)]
        writer = EmbeddingWriter(base / name, items, 4)
        writer.write(0, *(rng.normal(size=(count, 4)) for _ in EMBEDDINGS))
        writer.finish()
    call("index", [base / "items", "--out", base / "index"])
    write_hits(base / "hits.tsv", {"q0": [Hit("i1", 0.5)]})
    write_truth(base / "truth.tsv", {"q0": {"i1"}})
    return base


def call(command, argv):
    main = importlib.import_module(f"fairseq_item.commands.{command}").main
    main([str(value) for value in argv])


NUMBERS = ("0", "-1", "1.5", "nan", "inf", "many", "", "1e400", "9" * 30)
SEARCH = ["search", "{b}/index", "--queries", "{b}/queries"]
DIRECT = ["search", "{b}/index", "--checkpoint", "{b}/none.pt"]
INDEX = ["index", "{b}/items", "--out", "{t}/x"]
EVALUATE = ["evaluate", "--hits", "{b}/hits.tsv", "--truth", "{b}/truth.tsv"]
TABLES = ["--queries", "{b}/queries/items.tsv", "--index", "{b}/items/items.tsv"]
BASELINE = ["baseline", "bm25", *TABLES, "--out", "{t}/h.tsv"]
EMBED = ["embed", "--checkpoint", "{b}/none", "--data", "{b}", "--out", "{t}/x"]
PREDICT = ["predict", "--checkpoint", "{b}/none", "--data", "{b}", "--out", "{t}/x"]
GALLERY = ["gallery", "--hits", "{b}/hits.tsv", "--data", "{b}", "--out", "{t}/x"]
BALANCE = [
    "balance", "{b}/index", "--queries", "{b}/queries", "--truth", "{b}/truth.tsv", "--out", "{t}/x"
]  # fmt: skip
ARGUMENTS = [
    *([*SEARCH, f"-k={value}"] for value in NUMBERS),
    *([*SEARCH, f"--nprobe={value}"] for value in (*NUMBERS, "4")),
    *([*SEARCH, "--weights", *value.split()] for value in (
        "0 0 0", "1", "1 1", "1 1 1 1 1", "-1 1 1", "nan 1 1", "inf 1 1", "1e308 1e308 1e308",
        "1e-300 0 0", "a b c", "0 0 0 0",
    )),
    *([*SEARCH, *value.split()] for value in (
        "--fusion mean", "--similarity text", "--device abacus", "--device cuda:99",
        "--title shoe", "--out {t}", "--out {b}/hits.tsv/x", "--out /proc/x/y",
        "--out /dev/null/x",
    )),
    *([*DIRECT, "--title", value] for value in ("", " ", "\t\n", "\u200b", "\u00a0\u3000", "shoe")),
    *([*DIRECT, "--image", value] for value in ("", "{b}", "{b}/none.jpg", "\n")),
    ["search", "{b}/index"], ["search", "{b}/items", "--queries", "{b}/queries"],
    ["search", "{b}/index", "--queries", "{b}/index"], ["search", "", "--queries", "{b}/queries"],
    ["search", "{b}/index", "--queries", ""], ["search", "{b}/hits.tsv", "--queries", "{b}/items"],
    *([*INDEX, *value.split()] for value in (
        "--transform turn", "--calibration rank", "--fusion mean", "--dtype float64",
        "--whiten-shrinkage nan", "--whiten-shrinkage 1.5", "--whiten-shrinkage=-1",
        "--weights 0 0 0", "--weights 1e308 1 1", "--weights nan 1 1", "--factory Nope",
        "--factory IVF5000,Flat", "--factory PQ3", "--seed=-1", "--seed nan", "--seed 1e9",
        "--fit {b}/truth.tsv", "--fit-queries {b}/queries", "--fit-groups nothing",
        "--fit {b}/none --fit-queries {b}/queries", "--fit {b}/truth.tsv --fit-queries {b}/index",
        "--fit {b}/hits.tsv --fit-queries {b}/queries", "--out {b}", "--out {b}/items",
        "--out {b}/queries", "--out {b}/hits.tsv", "--out {b}/hits.tsv/x", "--out /proc/x",
        "--out .", "--out /", "{b}/items", "{b}/index", "{b}/none",
    )),
    *([*INDEX, "--factory", value] for value in (
        "", " ", "IVF0,Flat", "IVF-3,Flat", "IVF2,PQ0", "HNSW0",
    )),
    *([*EVALUATE, *value.split()] for value in (
        "-k 0", "-k=-3", "-k nan", "--bootstrap=-1", "--bootstrap 1.5", "--seed=-1",
        "--split-seed x", "--queries both", "--compare {b}/none.tsv", "--compare {b}/truth.tsv",
        "--hits {b}/truth.tsv", "--truth {b}/hits.tsv", "--truth {b}", "--hits {b}",
        "--per-query {t}", "--write-run {b}/hits.tsv/x", "--write-qrels /proc/x",
        "--reliability {t}",
    )),
    *([*BASELINE, *value.split()] for value in (
        "-k 0", "--k1 nan", "--k1 1e308", "--b 2", "--b nan", "--out {t}", "--out /proc/x/y",
        "--queries {b}/none.tsv", "--index {b}/truth.tsv", "--data {b}",
    )),
    ["baseline", "features", *TABLES, "--out", "{t}/h.tsv", "--weights", "0", "0"],
    ["baseline", "features", *TABLES, "--out", "{t}/h.tsv", "--weights", "nan", "1"],
    *([*EMBED, *value.split()] for value in (
        "--batch-size 0", "--batch-size nan", "--num-workers=-1", "--num-workers 100000",
        "--splits ,", "--dtype int8", "--also x", "--also train={t}/x", "--out {b}",
        "--out {b}/hits.tsv", "--out {b}/index", "--seed=-1", "--compute-dtype half",
    )),
    *([*PREDICT, *value.split()] for value in ("-k 0", "--out {t}", "--batch-size 0")),
    *([*GALLERY, *value.split()] for value in (
        "-k 0", "--num-queries 0", "--pick best", "--at 0", "--compare x", "--out {t}",
        "--index {b}/items", "--index {b}/none",
    )),
    *([*BALANCE, *value.split()] for value in (
        "-k 0", "--bootstrap=-1", "--out {b}/hits.tsv", "--checkpoint {b}/none", "--data {b}",
        "--queries {b}/index", "--truth {b}/hits.tsv",
    )),
]  # fmt: skip


@pytest.mark.parametrize("argv", ARGUMENTS, ids=lambda argv: " ".join(map(ascii, argv))[:100])
def test_bad_arguments_end_in_one_line(trial, base, tmp_path, argv, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(os.walk(base))
    command, *rest = [value.format(b=base, t=tmp_path) for value in argv]
    trial("arguments of search", lambda: call(command, rest), None, "refused")
    assert os.listdir(tmp_path) == []
    assert sorted(os.walk(base)) == before
