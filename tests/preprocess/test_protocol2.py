"""item-relist --protocol 2 as a command: seeded, frozen, written to meta.json."""

import json
from dataclasses import asdict

import pytest
from PIL import Image, ImageDraw

from fairseq_item.commands import relist as relist_command
from fairseq_item.data.tsv import read_table, write_tsv
from fairseq_item.errors import InputError
from fairseq_item.preprocess.protocol2 import Strengths

BRANDS = ("Acme", "Zenor")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalog")
    rows = []
    for i in range(16):
        image = Image.new("RGB", (48, 64), "white")
        ImageDraw.Draw(image).ellipse([12, 16, 36, 48], fill=(15 * i, 30, 120))
        image.save(folder / f"{i}.png")
        title = f"{BRANDS[i % 2]} Women Black Shoes Size {i} 12 cm"
        rows.append({"id": f"r{i}", "title": title, "image": f"{i}.png"})
    write_tsv(folder / "catalog.tsv", list(rows[0]), rows)
    write_tsv(folder / "reversed.tsv", list(rows[0]), rows[::-1])
    return folder


def make(catalog, out, *args, name="catalog.tsv"):
    relist_command.main(
        [str(catalog / name), "--image-root", str(catalog), "--out", str(out), "--protocol", "2",
         "--num-workers", "1", "--products", "6", *map(str, args)]
    )  # fmt: skip
    return {path.relative_to(out).as_posix(): path.read_bytes()
            for path in out.rglob("*") if path.is_file()}  # fmt: skip


def test_meta_has_the_protocol_and_its_strengths(catalog, tmp_path):
    files = make(catalog, tmp_path)
    meta = json.loads(files["meta.json"])
    assert (meta["protocol"], meta["version"], meta["queries"]) == ("relistings-2", 1, 6)
    assert meta["strengths"] == json.loads(json.dumps(asdict(Strengths())))


def test_same_seed_same_bytes_in_any_order(catalog, tmp_path):
    first = make(catalog, tmp_path / "a")
    assert make(catalog, tmp_path / "b", "--num-workers", 2) == first
    shuffled = make(catalog, tmp_path / "c", name="reversed.tsv")
    del first["meta.json"], shuffled["meta.json"]  # it names the catalogue
    assert shuffled == first
    assert make(catalog, tmp_path / "d", "--seed", 2)["query.tsv"] != first["query.tsv"]


def test_products_are_those_of_protocol_1(catalog, tmp_path):
    make(catalog, tmp_path / "2")
    make(catalog, tmp_path / "1", "--protocol", 1)
    one, two = (read_table(tmp_path / n / "query.tsv").column("source_id") for n in "12")
    assert one == two


def test_brands_of_the_catalogue_are_moved_and_left_out(catalog, tmp_path):
    make(catalog, tmp_path, "--products", 16)
    titles = read_table(tmp_path / "query.tsv").column("title")
    begins = sum(title.startswith(BRANDS) for title in titles)
    without = sum(not any(brand in title for brand in BRANDS) for title in titles)
    assert 0 < begins < 16
    assert 0 < without < 16


@pytest.mark.parametrize("flag", [["--drop", 0.1], ["--jpeg-quality", 10, 20], ["--tint", 0]])
def test_strengths_cannot_be_changed(catalog, tmp_path, flag):
    with pytest.raises(InputError, match="strengths of --protocol 2 are frozen"):
        make(catalog, tmp_path, *flag)
