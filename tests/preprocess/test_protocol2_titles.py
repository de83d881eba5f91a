"""Titles of protocol 2: each operation alone, brands, and that the protocol stays what it is."""

import random
from dataclasses import replace

import pytest

from fairseq_item.preprocess.brands import Brands
from fairseq_item.preprocess.protocol2 import Protocol2, Strengths
from fairseq_item.preprocess.protocol2_titles import mistype, reword_title
from fairseq_item.preprocess.protocol2_units import convert_units
from fairseq_item.preprocess.protocol2_words import (
    ATTRIBUTES,
    BOILERPLATE,
    KEYBOARD,
    NO_BRANDS,
    SYNONYMS,
)

TITLES = ("units", "attribute", "synonym", "typo", "brand_moved", "brand_left_out", "boilerplate")
NONE = replace(Strengths(), **dict.fromkeys(TITLES, 0))
ACME = Brands({("acme",), ("peter", "england")})


def reworded(title, seed=1, brands=ACME, row=(), **changes):
    row = {"title": title, **dict(row)}
    return reword_title(row, replace(NONE, **changes), brands, random.Random(seed))


def all_of(title, seeds=60, **changes):
    return {reworded(title, seed, **changes) for seed in range(seeds)}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("TV stand 120 cm", "TV stand 47.2 inch"),
        ('Laptop 15.6" silver', "Laptop 39.6 cm silver"),
        ("Laptop 15.6-inch", "Laptop 39.6 cm"),
        ("Rug 120x180cm red", "Rug 47.2x70.9 inch red"),
        ("Box 30 x 20,5 x 10 mm", "Box 3 x 2.1 x 1 cm"),
        ("Perfume 50ml", "Perfume 1.7 fl oz"),
        ("Perfume 1.7 fl oz for her", "Perfume 50.3 ml for her"),
        ("Steak 12 oz", "Steak 340 g"),
        ("Rice 5kg", "Rice 11 lbs"),
        ("Cable 2 m", "Cable 6.6 ft"),
        ("Kettle 1.5L", "Kettle 1500 ml"),
    ],
)
def test_units_are_converted(title, expected):
    assert convert_units(title, random.Random(1)) == expected


@pytest.mark.parametrize(
    "title",
    ["iPhone 5G", "Shirt 4 M", "2 in 1 adapter", "FTM-663", "A12cmX", "SP-10cm3", "1.2.3 kg"],
)
def test_what_is_no_measure_stays(title):
    assert convert_units(title, random.Random(1)) == title


def test_storage_and_power_are_written_otherwise():
    written = {convert_units("USB stick 64GB", random.Random(seed)) for seed in range(30)}
    assert written == {f"USB stick 64{unit}" for unit in (" GB", "G", " gigabytes")}
    assert {convert_units("20 W", random.Random(seed)) for seed in range(9)} == {"20W", "20 watts"}


def test_no_strength_changes_nothing():
    for title in (
        "Acme Men 50 cm  Pack of 3\tBlack Shirts",
        "Peter England",
        "Über Größe",
        "靴 赤",
    ):
        assert reworded(title) == " ".join(title.split())
    assert reworded("", boilerplate=1, typo=1) == ""


def test_attributes_are_reworded():
    assert all_of("Acme Men's Shirt", attribute=1) == {"Acme Shirt for men", "Acme Shirt - men"}
    assert all_of("Socks Pack of 3", attribute=1) == {
        "Socks 3-pack", "Socks 3 pieces", "Socks lot of 3",
    }  # fmt: skip
    assert all_of("Boots EU 39", attribute=1) == {"Boots 39 (EU)", "Boots EU39"}
    # Of two audiences none can be moved without saying something else.
    assert reworded("Kids Girls Sandals", attribute=1) == "Kids Girls Sandals"
    assert reworded("Swithe Unmenned", attribute=1) == "Swithe Unmenned"


def test_synonyms_keep_capitals_and_other_words():
    assert all_of("Acme Watch X-1", synonym=1) == {"Acme Wristwatch X-1", "Acme Timepiece X-1"}
    assert all_of("MAROON watchman", synonym=1) == {"BURGUNDY watchman", "WINE RED watchman"}


def test_typos_are_neighbouring_keys_and_spare_model_numbers():
    slips = {mistype("Shoe", random.Random(seed)) for seed in range(200)}
    hit_instead = {"Shoe"[:i] + k + "Shoe"[i + 1 :] for i in (1, 2, 3) for k in KEYBOARD["shoe"[i]]}
    hit_as_well = {"Shoe"[:i] + k + "Shoe"[i:] for i in (1, 2, 3) for k in KEYBOARD["shoe"[i]]}
    assert slips <= hit_instead | hit_as_well
    assert slips & hit_instead
    assert slips - hit_instead
    assert reworded("WH1000XM4 Big T-20 Größe", typo=1) == "WH1000XM4 Big T-20 Größe"


def test_keyboard_is_symmetric():
    assert all(key in KEYBOARD[other] for key, others in KEYBOARD.items() for other in others)


def test_the_brand_is_moved_or_left_out():
    ends = {" by Acme", " - Acme", " (Acme)", ", Acme"}
    assert all_of("Acme Red Shoe", brand_moved=1) == {f"Red Shoe{end}" for end in ends}
    assert reworded("Peter England Red Shoe", brand_left_out=1) == "Red Shoe"
    assert reworded("Peter Pan", brand_left_out=1) == "Peter Pan"
    assert reworded("Acme", brand_left_out=1) == "Acme"  # nothing else would be left
    assert all_of("Acme Shoe", brand_left_out=0.5, brand_moved=0.5) == {
        "Shoe", *(f"Shoe{end}" for end in ends),
    }  # fmt: skip


def test_a_brand_column_wins():
    row = {"brand": "Zen  Or"}
    assert reworded("Red zen or Shoe", row=row, brand_left_out=1) == "Red Shoe"
    assert reworded("Acme Shoe", row=row, brand_left_out=1) == "Shoe"  # not in the title


def test_boilerplate_is_put_around():
    for title in all_of("Acme Shoe", boilerplate=1):
        assert title.replace("Acme Shoe. ", "").replace(" Acme Shoe", "") in BOILERPLATE


def test_brands_are_learnt_from_how_titles_begin():
    kinds = ("shoe", "hat", "mug", "pan", "belt", "scarf", "ring", "lamp")
    titles = [f"{brand} {kind}" for brand in ("Acme", "Peter England", "Men") for kind in kinds]
    titles += [f"Kito Men {kind}" for kind in kinds]
    titles += [f"Loop {kind}" for kind in kinds[:7]]  # too few
    titles += ["Solo lamp with cord"] * 9  # one title over and over
    titles += [f"Cotton {kind}" for kind in kinds] + [f"Varo cotton {n}" for n in range(9)]
    rows = [{"title": title} for title in titles]
    found = Brands.learn(rows, NO_BRANDS).prefixes
    assert found == {("acme",), ("peter", "england"), ("kito",), ("varo", "cotton")}
    assert Brands.learn(rows[::-1], NO_BRANDS).prefixes == found


def test_nothing_is_lost_between_the_tables():
    assert all(word == word.lower() for word in SYNONYMS)
    assert all(word not in ways for word, ways in SYNONYMS.items())
    assert len({pattern for pattern, _ in ATTRIBUTES}) == len(ATTRIBUTES)


def test_protocol_2_is_frozen():
    """A change here is another protocol: raise ``protocol2.VERSION`` and say so in the results."""
    protocol = Protocol2(ACME)
    title = "Acme Men's Solid Belt 120 cm Pack of 2"
    made = [protocol.title({"title": title}, random.Random(seed)) for seed in range(6)]
    assert protocol.version == 1
    assert made == GOLDEN


GOLDEN = [
    "Invoice with VAT available on request. Plain Bept 47.2 inch 2 pieces for men by Acme",
    "Acme Plain Belt 47.2 inch Pack of 2 - men. Item exactly as shown in the photos.",
    "Men's Solid Belt 47.2 inch 2 pieces by Acme. Stock clearance, last few left.",
    "Tracked delivery with signature. Men's Solid Belt 47.2 inch Pwck of 2 by Acme",
    "Men's Plain Belt 47.2 inch 2 pieces (Acme). Check out my other items!",
    "Solid Belt 47.2 inch 2-pack - men - Acme. Tracked delivery with signature.",
]
