"""What the quickstart takes and says before it trains: catalogues, exports, split options."""

import csv
import os
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from fairseq_item.data.catalog import read_catalog

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "examples" / "quickstart" / "run.sh"
# Those that come before training; item-bpe ends the script here with this status.
REAL = ("import", "fetch", "split", "queries", "relist", "pack")
END = 9

pytestmark = pytest.mark.slow


@pytest.fixture(name="quickstart", scope="module")
def fixture_quickstart(tmp_path_factory):
    """Function that runs the script up to the BPE with the given settings; the finished process."""
    venv = tmp_path_factory.mktemp("venv") / "bin"
    venv.mkdir()
    commands = {name: f'exec "{sys.executable}" -m fairseq_item.commands.{name}' for name in REAL}
    commands["import"] += "_"
    scripts = {f"item-{name}": f'{command} "$@"' for name, command in commands.items()}
    scripts["item-bpe"] = f"exit {END}"
    scripts["python"] = f'exec "{sys.executable}" "$@"'
    for name, command in scripts.items():
        path = venv / name
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(out, **settings):
        environment = {name: value for name, value in os.environ.items() if name != "IMAGES"}
        environment |= {"VENV": str(venv.parent), "OUT": str(out), "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [RUN], capture_output=True, text=True, env={**environment, **settings}, check=False
        )

    return run


@pytest.fixture(name="photos")
def fixture_photos(tmp_path):
    """A folder of 80 photos, each another one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(80):
        Image.new("RGB", (24, 24), (3 * i, 255 - 2 * i, 90)).save(folder / f"photo {i}.png")
    return folder


def write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, dict.fromkeys(name for row in rows for name in row))
        writer.writeheader()
        writer.writerows(rows)


def shopify(path, address="https://cdn.shop.example/files"):
    """An export of 40 handles with two photos each."""
    rows = []
    for i in range(40):
        first = {"Title": f"Product {i}", "Option1 Name": "Title", "Variant Price": "5"}
        for number, row in enumerate(({**first, "Option1 Value": "Default Title"}, {}), 1):
            image = f"{address}/photo%20{2 * i + number - 1}.png?v=1"
            rows.append({"Handle": f"h{i}", "Image Src": image, "Image Position": number} | row)
    write_csv(path, rows)


def test_an_export_and_a_folder_of_photos(quickstart, photos, tmp_path):
    shopify(tmp_path / "export.csv")
    out = tmp_path / "out"
    done = quickstart(out, CATALOG=str(tmp_path / "export.csv"), IMAGES=str(photos))
    assert done.returncode == END, done.stderr
    assert "80 rows of 40 listings (shopify); 80 rows name their product" in done.stdout
    rows = [row for split in ("train", "valid", "test")
            for _, row in read_catalog(out / "splits" / f"{split}.tsv")]  # fmt: skip
    assert sorted(row["image"] for row in rows) == sorted(path.name for path in photos.iterdir())
    # Photos under one title are no second listings; those that are made match them all.
    assert "Making second listings of the test products as queries" in done.stdout
    queries = (out / "queries" / "truth.tsv").read_text().splitlines()[1:]
    matches = Counter(line.split("\t")[0] for line in queries)
    assert set(matches.values()) == {2}


def test_a_catalogue_whose_splits_part_products(quickstart, photos, tmp_path):
    catalog = tmp_path / "catalog.csv"
    rows = [
        {"id": i, "name": f"Product {i // 2}, seller {i}", "image": f"photo {i}.png",
         "product": i // 2, "split": ("train", "test")[i % 2]} for i in range(80)
    ]  # fmt: skip
    write_csv(catalog, rows)
    settings = {"CATALOG": str(catalog), "IMAGES": str(photos)}
    done = quickstart(tmp_path / "out", SPLIT_OPTIONS="--title-column name", **settings)
    assert done.returncode == 2
    parted, mend = done.stderr.splitlines()
    assert "puts product '0' into test, an earlier row into train" in parted
    assert "SPLIT_OPTIONS=--ignore-split-column" in mend
    options = "--title-column name --ignore-split-column"
    done = quickstart(tmp_path / "out", SPLIT_OPTIONS=options, **settings)
    assert done.returncode == END, done.stderr
    assert "Taking one listing of each test product as a query" in done.stdout


def test_a_split_column_that_leaves_none_to_test(quickstart, photos, tmp_path):
    rows = [{"id": i, "title": "x", "image": f"photo {i}.png", "split": "train"} for i in range(9)]
    write_csv(tmp_path / "catalog.csv", rows)
    settings = {"CATALOG": str(tmp_path / "catalog.csv"), "IMAGES": str(photos)}
    done = quickstart(tmp_path / "out", **settings)
    assert done.returncode == 2
    assert "has no rows for valid; set SPLIT_OPTIONS" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("allowed", [False, True])
def test_addresses_are_downloaded(quickstart, photos, tmp_path, allowed):
    """From this machine, which item-fetch refuses unless it is allowed to ask it."""
    serve = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    server = subprocess.Popen(
        serve, cwd=photos, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        port = server.stdout.readline().split("port ")[1].split()[0]
        shopify(tmp_path / "export.csv", f"http://127.0.0.1:{port}")
        options = "--delay 0 --allow-private" if allowed else "--delay 0"
        settings = {"CATALOG": str(tmp_path / "export.csv"), "FETCH_OPTIONS": options}
        done = quickstart(tmp_path / "out", **settings)
    finally:
        server.kill()
        server.wait()
    if allowed:
        assert done.returncode == END, done.stderr
        assert "80 images fetched" in done.stdout
        assert len(list((tmp_path / "out" / "images").rglob("*.png"))) == 80
    else:
        assert done.returncode == 2
        assert "no image that could be had" in done.stderr


def one_line(done):
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_bad_input_is_one_line(quickstart, photos, tmp_path):
    catalog = tmp_path / "catalog.csv"
    write_csv(catalog, [{"id": 1, "title": "x", "image": "photo 1.png"}])
    out = tmp_path / "out"
    assert "set IMAGES to their folder or tar" in one_line(quickstart(out, CATALOG=str(catalog)))
    missing = quickstart(out, CATALOG=str(tmp_path / "x.tsv"), IMAGES=str(photos))
    assert "x.tsv is not there" in one_line(missing)
    write_csv(catalog, [{"a": 1, "b": 2}])
    unknown = one_line(quickstart(out, CATALOG=str(catalog), IMAGES=str(photos)))
    assert "none of the known layouts" in unknown
    assert "a catalogue has the columns id, title and image" in unknown
    write_csv(catalog, [{"id": 1, "title": "x", "image": "", "image_url": "https://i.example/1"}])
    both = quickstart(out, CATALOG=str(catalog), IMAGES=str(photos))
    assert "leave IMAGES out and they are downloaded" in one_line(both)
