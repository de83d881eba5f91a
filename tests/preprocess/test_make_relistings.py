"""Second listings are seeded, near their originals, and lose nothing without a line for it."""

import io
import json
import random
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fairseq_item.commands import relist as relist_command
from fairseq_item.data.tsv import read_table, write_tsv
from fairseq_item.errors import InputError
from fairseq_item.preprocess import relisting_images, relisting_titles
from fairseq_item.preprocess.relist import image_name

NONE = SimpleNamespace(
    drop=0, shuffle=0, filler=0, abbreviate=0, typo=0, crop_area=(1, 1), rotate=0, flip=0,
    light=0, tint=0, jpeg_quality=(95, 95),
)  # fmt: skip


def rows_of(path):
    return list(read_table(path).dicts())


def strengths(**changes):
    return SimpleNamespace(**{**vars(NONE), **changes})


def photo(colour=(200, 30, 30), background="white", size=(48, 64)):
    image = Image.new("RGB", size, background)
    ImageDraw.Draw(image).ellipse([12, 16, 30, 44], fill=colour)
    return image


def changed(image, seed=1, **changes):
    data = relisting_images.change_image(image, strengths(**changes), random.Random(seed))
    return Image.open(io.BytesIO(data))


def rewritten(title, seed=1, **changes):
    return relisting_titles.rewrite_title(title, strengths(**changes), random.Random(seed))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalog")
    (folder / "images").mkdir()
    rows = []
    for i in range(24):
        photo((10 * i, 30, 200 - 5 * i)).save(folder / "images" / f"{i}.png")
        rows.append(
            {"id": f"r/{i}", "title": f"Acme Women Black Shoes No {i}", "image": f"{i}.png",
             "leaf_category": "Shoes", "split": "test"}
        )  # fmt: skip
    (folder / "images" / "3.png").write_bytes(b"not an image")
    (folder / "images" / "4.png").unlink()
    rows[5]["title"] = ""
    write_tsv(folder / "catalog.tsv", list(rows[0]), rows)
    return folder


def make(catalog, out, *args, name="catalog.tsv"):
    relist_command.main(
        [str(catalog / name), "--image-root", str(catalog / "images"), "--out", str(out),
         "--workers", "1", *map(str, args)]
    )  # fmt: skip
    return {path.relative_to(out).as_posix(): path.read_bytes()
            for path in out.rglob("*") if path.is_file()}  # fmt: skip


def test_files_of_a_benchmark(catalog, tmp_path):
    files = make(catalog, tmp_path, "--products", 22, "--listings", 2)
    query, truth = rows_of(tmp_path / "query.tsv"), rows_of(tmp_path / "truth.tsv")
    assert list(query[0]) == ["id", "title", "image", "leaf_category", "source_id"]
    assert len(query) == 44
    assert {row["id"] for row in query} == {
        f"r/{i}-relisted-{n}" for i in range(24) if i not in (3, 4) for n in (1, 2)
    }
    assert [(row["query_id"], row["item_id"]) for row in truth] == [
        (row["id"], row["source_id"]) for row in query
    ]
    for row in query:
        image = Image.open(tmp_path / "images" / row["image"])
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert (row["title"] == "") == (row["source_id"] == "r/5")
    assert len({row["image"] for row in query}) == 44

    rejected = {row["id"]: row["reason"] for row in rows_of(tmp_path / "rejected.tsv")}
    assert rejected.keys() <= {"r/3", "r/4"}
    meta = json.loads(files["meta.json"])
    assert (meta["protocol"], meta["version"]) == ("relistings", 1)
    assert meta["strengths"]["drop"] == 0.35
    assert (meta["seed"], meta["queries"], meta["rejected"]) == (1, 44, len(rejected))


def test_unreadable_photos_are_rejected_and_others_drawn(catalog, tmp_path):
    make(catalog, tmp_path, "--products", 24)
    assert len(rows_of(tmp_path / "query.tsv")) == 22
    rejected = {row["id"]: row["reason"] for row in rows_of(tmp_path / "rejected.tsv")}
    assert rejected.keys() == {"r/3", "r/4"}
    assert rejected["r/4"] == "missing"
    assert "unreadable" in rejected["r/3"]


def test_same_seed_same_bytes(catalog, tmp_path):
    first = make(catalog, tmp_path / "a", "--products", 8)
    assert make(catalog, tmp_path / "b", "--products", 8, "--workers", 2) == first
    other = make(catalog, tmp_path / "c", "--products", 8, "--seed", 2)
    assert other["query.tsv"] != first["query.tsv"]


def test_a_listing_depends_on_its_row_alone(catalog, tmp_path):
    rows = rows_of(catalog / "catalog.tsv")
    write_tsv(catalog / "reversed.tsv", list(rows[0]), rows[::-1])
    first = make(catalog, tmp_path / "a", "--products", 5)
    shuffled = make(catalog, tmp_path / "b", "--products", 5, name="reversed.tsv")
    del first["meta.json"], shuffled["meta.json"]  # it names the catalogue
    assert shuffled == first
    more = make(catalog, tmp_path / "c", "--products", 20, "--listings", 2, "--drop", 0.35)
    images = {name: data for name, data in first.items() if name.startswith("images/")}
    assert len(images) == 5
    assert images.items() <= more.items()
    assert set(first["query.tsv"].splitlines()) <= set(more["query.tsv"].splitlines())


def test_truth_has_all_listings_of_a_known_product(catalog, tmp_path):
    rows = rows_of(catalog / "catalog.tsv")
    rows = [{**row, "product": f"p{i // 12}"} for i, row in enumerate(rows)]
    write_tsv(catalog / "products.tsv", list(rows[0]), rows)
    make(catalog, tmp_path, "--products", 3, name="products.tsv")
    truth = Counter(row["query_id"] for row in rows_of(tmp_path / "truth.tsv"))
    assert list(truth.values()) == [12, 12, 12]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--products", 25], "has 24 rows, of which 25"),
        (["--fraction", 0], "of which 0"),
        (["--listings", 0], "--listings"),
        (["--drop", 1.5], "--drop"),
        (["--fraction", "nan"], "--fraction"),
        (["--rotate", "nan"], "--rotate"),
        (["--num-workers", 0], "--num-workers"),
        (["--crop-area", 1, 0.5], "--crop-area"),
        (["--jpeg-quality", 0, 101], "--jpeg-quality"),
        (["--light", 1], "--light"),
    ],
)
def test_bad_arguments(catalog, tmp_path, args, expected):
    with pytest.raises(InputError, match=expected):
        make(catalog, tmp_path, *args)


def test_what_is_read_is_not_overwritten(catalog, tmp_path):
    (tmp_path / "query.tsv").write_bytes((catalog / "catalog.tsv").read_bytes())
    with pytest.raises(InputError, match=r"query\.tsv would overwrite"):
        relist_command.main(
            [str(tmp_path / "query.tsv"), "--image-root", str(catalog), "--out", str(tmp_path)]
        )
    assert (tmp_path / "query.tsv").read_bytes() == (catalog / "catalog.tsv").read_bytes()


def test_wrong_image_root(catalog, tmp_path):
    (tmp_path / "images").mkdir()
    write_tsv(tmp_path / "catalog.tsv", ["id", "title", "image"],
              [{"id": "1", "title": "x", "image": "1.jpg"}])  # fmt: skip
    with pytest.raises(InputError, match=r"none of the images .* \(1\.jpg: missing\)"):
        make(tmp_path, tmp_path / "out", "--products", 1)
    assert not (tmp_path / "out" / "query.tsv").exists()


def test_file_names_of_any_id():
    assert image_name("a b-relisted-1") == "a b-relisted-1.jpg"
    assert image_name("../a\\b") == "..%2Fa%5Cb.jpg"
    long = {image_name("长" * 100 + str(i)) for i in range(3)}
    assert len(long) == 3
    assert max(map(len, long)) < 100


def test_no_strength_changes_nothing():
    assert rewritten(" Acme\tWomen  Shoes ") == "Acme Women Shoes"
    original = photo()
    again = changed(original)
    assert again.size == original.size
    assert np.abs(np.asarray(again, int) - np.asarray(original, int)).mean() < 2
    assert not again.info.get("exif")


def test_words_are_dropped_but_never_all():
    words = [f"word{i}" for i in range(40)]
    kept = [rewritten(" ".join(words), seed, drop=0.35).split() for seed in range(30)]
    for title in kept:
        assert title == [word for word in words if word in title]  # in their order
    assert 0.6 < np.mean([len(title) for title in kept]) / 40 < 0.7
    assert rewritten("one two", drop=1) in ("one", "two")
    assert rewritten("", drop=0.5, filler=1) == ""


def test_words_are_shuffled():
    words = [f"word{i}" for i in range(20)]
    title = rewritten(" ".join(words), shuffle=1).split()
    assert title != words
    assert sorted(title) == sorted(words)


def test_filler_is_put_around():
    fillers = relisting_titles.FILLERS_BEFORE, relisting_titles.FILLERS_AFTER
    titles = [rewritten("Acme Shoe", seed, filler=1) for seed in range(60)]
    for title in titles:
        before, _, after = title.partition("Acme Shoe")
        assert before.strip() in ("", *fillers[0])
        assert after.strip() in ("", *fillers[1])
        assert title != "Acme Shoe"
    assert len(set(titles)) > 20


def test_abbreviations():
    titles = {rewritten("Women BLACK Acme", seed, abbreviate=1) for seed in range(40)}
    short = {"Wmns", "Womens", "Ladies"}
    assert titles == {f"{a} {b} Acme" for a in short for b in ("BLK", "BK")}


def test_words_that_computers_use_otherwise_are_plain_words_here():
    assert rewritten("3 pieces", abbreviate=1) == "3 pcs"
    assert rewritten("3 tokens", abbreviate=1) == "3 tokens"


def test_typos_are_one_slip_and_spare_model_numbers():
    slips = {rewritten("Shoe", seed, typo=1) for seed in range(80)}
    assert {"Sohe", "She", "Shhoe"} <= slips
    assert all(abs(len(slip) - 4) <= 1 and slip[0] == "S" for slip in slips)
    assert rewritten("WH1000XM4 Big T-20", typo=1) == "WH1000XM4 Big T-20"


def test_flip():
    flipped = np.asarray(changed(photo(), flip=1), int)
    assert np.abs(flipped - np.asarray(photo(), int)[:, ::-1]).mean() < 2


@pytest.mark.parametrize("seed", range(5))
def test_crop_keeps_its_part_of_the_area(seed):
    size = changed(photo(size=(300, 400)), seed, crop_area=(0.75, 0.8)).size
    assert 0.7 < size[0] * size[1] / (300 * 400) < 0.82
    assert size[0] <= 300
    assert size[1] <= 400


def test_rotation_fills_with_the_colour_of_the_border():
    turned = np.asarray(changed(photo(background=(240, 230, 220)), 3, rotate=30), int)
    corners = turned[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.abs(corners - (240, 230, 220)).max() < 12
    assert np.abs(turned - np.asarray(photo(background=(240, 230, 220)), int)).mean() > 1


def test_light_changes_the_colours():
    means = {round(np.asarray(changed(photo(), seed, light=0.3)).mean()) for seed in range(8)}
    assert len(means) > 3


def test_tint_recolours_a_plain_background_only():
    product = np.s_[25:35, 17:25]
    tinted, original = changed(photo(), tint=1), np.asarray(photo(), int)
    tinted = np.asarray(tinted, int)
    assert np.abs(tinted[product] - original[product]).mean() < 4
    assert np.abs(tinted[:8] - original[:8]).mean() > 10
    assert tinted[:8].std(axis=(0, 1)).max() < 3

    noise = np.random.default_rng(1).integers(0, 255, (64, 48, 3), np.uint8)
    plainless = Image.fromarray(noise)
    assert changed(plainless, tint=1).tobytes() == changed(plainless, tint=0).tobytes()


def test_white_within_the_product_is_not_background():
    image = photo(colour=(30, 30, 30))
    ImageDraw.Draw(image).ellipse([18, 26, 24, 34], fill="white")
    mask = relisting_images.background_mask(image, (255, 255, 255))
    assert mask.shape == (64, 48)
    assert mask[30, 21] == 0
    assert mask[2, 2] == 1


def test_tiny_images():
    full = {"crop_area": (0.1, 0.2), "rotate": 8, "flip": 1, "tint": 1, "light": 0.2}
    for size in ((1, 1), (1, 500), (3, 2)):
        assert min(changed(Image.new("RGB", size, "white"), **full).size) >= 1
