import csv
import json
import shutil

import numpy as np
import pytest

from fairseq_item.commands import duplicates
from fairseq_item.commands.common import run
from fairseq_item.data.image_store import ImageStoreWriter
from fairseq_item.data.tsv import Table, write_table
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import EmbeddingWriter

FIT = {"weights": [2, 0, 2, 2], "intercept": -15.0}


@pytest.fixture
def shop(tmp_path):
    """60 products, the first 12 twice: a data-bin and a fitted index."""
    rng = np.random.default_rng(2)
    known = rng.normal(size=(60, 8))
    rows, vectors = [], []
    for i in range(72):
        product = i % 60
        title = f"<b>thing {product} brand{product}" + (" again" if i >= 60 else "")
        rows.append([f"i{i}", title, f"{i}.png", f"p{product}"])
        vectors.append(known[product] + 0.05 * rng.normal(size=8))
    items = Table(["id", "title", "image", "product"], rows)
    data = tmp_path / "data-bin"
    write_table(data / "items" / "train.tsv", items)
    with ImageStoreWriter(data / "image" / "train", image_size=32, patch_size=16) as store:
        for _ in rows:
            store.add(np.zeros((32, 32, 3), np.uint8))
    meta = {"data": str(data), "splits": "train"}
    writer = EmbeddingWriter(tmp_path / "embeddings", items, 8, meta=meta)
    writer.write(0, *[np.array(vectors, np.float32)] * 3)
    writer.finish()
    build_index([tmp_path / "embeddings"], tmp_path / "index", fit=lambda index: FIT)
    return tmp_path


def call(shop, *options):
    argv = [str(shop / "index"), "--out", str(shop / "groups.csv"), *map(str, options)]
    duplicates.main(argv)
    with open(shop / "groups.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_groups(shop, capsys):
    rows = call(shop, "--truth-column", "product", "--gallery", shop / "page.html")
    assert len(rows) == 24
    groups = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    assert len(groups) == 12
    for items in groups.values():
        assert len({row["product"] for row in items}) == 1
        assert len({row["probability"] for row in items}) == 1
        assert 0.5 <= float(items[0]["probability"]) <= 1
    told, scores, shown = capsys.readouterr().out.splitlines()
    assert "12 groups with 24 items" in told
    assert "expected to be wrong" in told
    found = json.loads(scores)
    assert (found["pairs"], found["true_pairs"]) == (12, 12)
    assert (found["precision"], found["recall"]) == (100, 100)
    page = (shop / "page.html").read_text()
    assert "12 groups shown" in shown
    assert page.count('<article class="card"') == 12
    assert "&lt;b&gt;thing" in page
    assert "<b>thing" not in page


def test_truth_of_pairs_and_fewer_groups(shop, capsys):
    truth = "".join(f"i{i}\ti{i + 60}\n" for i in range(6))
    (shop / "truth.tsv").write_text("query_id\titem_id\n" + truth)
    call(
        shop, "--truth", shop / "truth.tsv", "--gallery", shop / "page.html", "--num-groups", 4,
        "--probability", 0.6,
    )  # fmt: skip
    found = json.loads(capsys.readouterr().out.splitlines()[1])
    assert (found["true_pairs"], found["precision"], found["recall"]) == (6, 50, 100)
    assert (shop / "page.html").read_text().count('<article class="card"') == 4


def test_near_items_alone(shop):
    every = call(shop)
    assert call(shop, "--compare", "near", "--num-workers", 2) == every
    assert not (shop / "groups.csv.parts").exists()
    parts = shop / "parts"
    assert call(shop, "--compare", "near", "--parts", parts, "--num-workers", 1) == every
    files = {path.name for path in parts.iterdir()}
    assert {"plan.json", "visits.npy", "lists-000000.npy", "words-000000.npy"} <= files
    assert call(shop, "--compare", "near", "--parts", parts, "--error", 0.1)


def test_nothing_likely_enough(shop, capsys):
    assert call(shop, "--error", 0) == []
    assert "no pair is likely enough" in capsys.readouterr().out


def refused(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        run(duplicates.main, [str(word) for word in argv])
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_wrong_options(shop, capsys):
    given = [shop / "index", "--out", shop / "groups.csv"]
    assert "0.5 or more" in refused([*given, "--probability", 0.3], capsys)
    mine = [*given, "--compare", "near", "--parts", shop / "embeddings"]
    assert "other things than the parts" in refused(mine, capsys)
    assert "less than 1" in refused([*given, "--probability", 1], capsys)
    assert "no column 'brand'" in refused([*given, "--truth-column", "brand"], capsys)
    shutil.rmtree(shop / "embeddings")
    assert "--data" in refused([*given, "--gallery", shop / "page.html"], capsys)
    build_index([shop_copy(shop)], shop / "index")
    assert "--fit" in refused(given, capsys)


def shop_copy(shop):
    """Embeddings once more, for an index that is not fitted."""
    items = [{"id": f"i{i}", "title": "a", "image": "x"} for i in range(5)]
    writer = EmbeddingWriter(shop / "more", items, 4)
    writer.write(0, *[np.eye(5, 4, dtype=np.float32)] * 3)
    writer.finish()
    return shop / "more"
