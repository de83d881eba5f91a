"""Rows of one product, and equal listings, against a twin that compares every pair."""

import random

import pytest
from PIL import Image

from fairseq_item.commands import queries as queries_command
from fairseq_item.commands import relist as relist_command
from fairseq_item.data.images import ImageRoot
from fairseq_item.data.tsv import read_table, write_tsv
from fairseq_item.errors import InputError
from fairseq_item.preprocess.equal_listings import ListingKey, same_products


def twin(rows, content):
    """Ids of one product by closing the relation of pairs; ``content``: image name -> bytes."""

    def one(a, b):
        image = content.get(a["image"])
        equal = image is not None and image == content.get(b["image"])
        equal = equal and a["title"].split() == b["title"].split()
        return (a["product"] and a["product"] == b["product"]) or equal

    groups = [{i} for i in range(len(rows))]
    for i, a in enumerate(rows):
        for j, b in enumerate(rows[:i]):
            if one(a, b) and groups[i] is not groups[j]:
                groups[j] |= groups[i]
                for k in groups[i]:
                    groups[k] = groups[j]
    return {
        rows[i]["id"]: [rows[j]["id"] for j in sorted(group)]
        for i, group in enumerate(groups)
        if len(group) > 1
    }


def random_rows(seed, count=60):
    rng = random.Random(seed)
    return [
        {
            "id": str(i),
            "title": rng.choice(["a b", " a  b", "c", "d", "e", ""]),
            "image": f"{rng.randrange(12)}.jpg",
            "product": rng.choice(["", "", f"p{rng.randrange(20)}"]),
        }
        for i in range(count)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_groups_equal_the_twins(tmp_path, seed):
    rows = random_rows(seed)
    content = {f"{i}.jpg": bytes([i // 2]) for i in range(10)}  # two names a content, two missing
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    found, equal = same_products(rows, ListingKey(ImageRoot(tmp_path)))
    assert found == twin(rows, content)
    listings = [(" ".join(r["title"].split()), content.get(r["image"])) for r in rows]
    listings = [listing for listing in listings if listing[1] is not None]
    assert equal == len(listings) - len(set(listings)) > 0


def test_without_a_root_names_are_compared():
    rows = random_rows(7)
    content = {row["image"]: row["image"].encode() for row in rows}
    assert same_products(rows, ListingKey())[0] == twin(rows, content)


def test_without_a_key_products_alone_count():
    rows = random_rows(8)
    assert same_products(rows) == (twin(rows, {}), 0)


def test_images_are_read_only_where_titles_are_shared(tmp_path):
    rows = [{"id": i, "title": title, "image": f"{i}.jpg"} for i, title in enumerate("abcb")]
    read = []

    class Root:
        def read(self, name):
            read.append(name)
            return b"same"

    assert same_products(rows, ListingKey(Root())) == ({1: [1, 3], 3: [1, 3]}, 1)
    assert read == ["1.jpg", "3.jpg"]


@pytest.fixture
def doubled(tmp_path):
    """Four listings: a and b of product p, c equal to a, d with a's title alone."""
    for name, colour in (("a", "red"), ("b", "blue"), ("c", "red"), ("d", "green")):
        Image.new("RGB", (24, 24), colour).save(tmp_path / f"{name}.png")
    rows = [
        {"id": i, "title": title, "image": f"{i}.png", "product": product}
        for i, title, product in (("a", "A mug", "p"), ("b", "Mug", "p"), ("c", "A  mug", ""),
                                  ("d", "A mug", ""))
    ]  # fmt: skip
    write_tsv(tmp_path / "c.tsv", list(rows[0]), rows)
    return tmp_path


def truth_of(folder):
    truth = {}
    for row in read_table(folder / "truth.tsv").dicts():
        truth.setdefault(row["query_id"], []).append(row["item_id"])
    return truth


@pytest.mark.parametrize(
    ("more", "matches"), [([], ["a", "b", "c"]), (["--equal-apart"], ["a", "b"])]
)
def test_a_relistings_truth_has_the_equal_listings(doubled, capsys, more, matches):
    root = ["--image-root", str(doubled)]
    relist_command.main(
        [str(doubled / "c.tsv"), *root, "--out", str(doubled / "out"), "--products", "4",
         "--num-workers", "1", *more]
    )  # fmt: skip
    truth = truth_of(doubled / "out")
    assert truth["a-relisted-1"] == truth["b-relisted-1"] == matches
    assert truth["c-relisted-1"] == (["c"] if more else matches)
    assert truth["d-relisted-1"] == ["d"]
    assert ("1 rows repeat" in capsys.readouterr().out) == (not more)
    meta = (doubled / "out" / "meta.json").read_text()
    assert f'"equal_listings": {int(not more)}' in meta


@pytest.mark.parametrize(
    ("more", "matches"),
    [
        (["--image-root", "."], ["b", "c"]),
        ([], ["b"]),
        (["--image-root", ".", "--equal-apart"], ["b"]),
    ],
)
def test_a_querys_truth_has_the_equal_listings(doubled, monkeypatch, capsys, more, matches):
    monkeypatch.chdir(doubled)
    queries_command.main(["c.tsv", "--out", "out", "--leave-one-out", *more])
    assert truth_of(doubled / "out")["a"] == matches
    assert ("1 rows repeat" in capsys.readouterr().out) == (len(matches) == 2)


def split_off(folder):
    """Move the rows c and d of ``doubled`` into a file of their own."""
    rows = list(read_table(folder / "c.tsv").dicts())
    write_tsv(folder / "c.tsv", list(rows[0]), rows[:2])
    write_tsv(folder / "others.tsv", list(rows[0]), rows[2:])
    return str(folder / "others.tsv")


def test_further_catalogues_of_the_index_count(doubled):
    others = split_off(doubled)
    root = ["--image-root", str(doubled)]
    common = [str(doubled / "c.tsv"), *root, "--index", others, "--out"]
    relist_command.main([*common, str(doubled / "1"), "--products", "2", "--num-workers", "1"])
    matches = ["a", "b", "c"]
    assert truth_of(doubled / "1") == {"a-relisted-1": matches, "b-relisted-1": matches}
    queries_command.main([*common, str(doubled / "2"), "--leave-one-out"])
    assert truth_of(doubled / "2") == {"a": ["b", "c"], "b": ["a", "c"]}


def test_a_row_may_not_be_in_two_catalogues(doubled):
    split_off(doubled)
    again = [str(doubled / "c.tsv"), "--index", str(doubled / "c.tsv")]
    with pytest.raises(InputError, match=r"c\.tsv has the id 'a' of .*c\.tsv"):
        queries_command.main([*again, "--out", str(doubled / "out"), "--leave-one-out"])
