"""The synthetic catalogue: the same bytes for a seed, true groups, and neighbours that are hard."""

import io
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from fairseq_item.commands import demo as demo_command
from fairseq_item.data.catalog import read_catalog
from fairseq_item.demo.canvas import Canvas
from fairseq_item.demo.leaves import LEAVES
from fairseq_item.demo.patterns import EMBLEMS, PATTERNS
from fairseq_item.demo.products import BRANDS, FAMILY, _look, product
from fairseq_item.demo.scene import photograph
from fairseq_item.demo.titles import listing_title
from fairseq_item.demo.views import DEPTHS, OTHERS, choose_views, cut_out, nearest_part
from fairseq_item.errors import InputError

SCRIPT = Path(__file__).parents[2] / "preprocess" / "make_demo_catalog.py"

SIZE = 64


def make(out, *options):
    argv = ["--out", str(out), "--products", "6", "--image-size", str(SIZE), "--num-workers", "1"]
    demo_command.main([*argv, *options])
    return out


def contents(out):
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def rows(out):
    return [row for _, row in read_catalog(out / "products.tsv")]


def draw(number, seed=1, size=SIZE):
    """A product's image without background, as signed integers."""
    item = product(seed, number)
    canvas = Canvas(2 * size)
    item.leaf.draw(canvas, item.look)
    return np.asarray(canvas.cutout(size)[0]).astype(int)


def changed(first, second):
    """Share of the pixels that clearly differ."""
    return (np.abs(first - second).max(axis=2) > 24).mean()


def test_what_is_written(tmp_path):
    out = make(tmp_path / "demo", "--listings", "2", "4")
    table = rows(out)
    names = ["id", "title", "image", "leaf_category", "product", "meta_category", "view"]
    assert list(table[0]) == names
    groups = defaultdict(list)
    for row in table:
        groups[row["product"]].append(row)
        image = Image.open(out / "images" / row["image"])
        assert (image.size, image.mode, image.format) == ((SIZE, SIZE), "RGB", "JPEG")
    assert len(groups) == 6
    assert {len(group) for group in groups.values()} <= {2, 3, 4}
    assert len({row["id"] for row in table}) == len(table)
    for group in groups.values():
        assert len({row["leaf_category"] for row in group}) == 1
        images = {(out / "images" / row["image"]).read_bytes() for row in group}
        assert len(images) == len(group)
        assert len({row["view"] for row in group}) == len(group)


def test_same_seed_same_bytes_whatever_the_workers(tmp_path):
    one = contents(make(tmp_path / "one"))
    assert one == contents(make(tmp_path / "two", "--workers", "2"))
    assert one == contents(make(tmp_path / "one"))
    assert one != contents(make(tmp_path / "three", "--seed", "2"))


def test_images_of_others_are_not_removed(tmp_path):
    own = tmp_path / "images" / "holiday.jpg"
    own.parent.mkdir()
    own.touch()
    (tmp_path / "products.tsv").write_text("mine")
    with pytest.raises(InputError, match=r"holiday\.jpg was not drawn by item-demo; name another"):
        make(tmp_path)
    assert own.exists()
    assert (tmp_path / "products.tsv").read_text() == "mine"


def test_more_products_keep_the_earlier_ones(tmp_path):
    few = contents(make(tmp_path / "few"))
    many = contents(make(tmp_path / "many", "--products", "8"))
    assert many.pop("products.tsv").startswith(few.pop("products.tsv"))
    assert few.items() <= many.items()
    assert len(many) > len(few)


def test_a_smaller_catalogue_leaves_no_old_images(tmp_path):
    make(tmp_path / "demo")
    out = make(tmp_path / "demo", "--products", "2")
    assert {f"images/{row['image']}" for row in rows(out)} == set(contents(out)) - {"products.tsv"}


def test_tar_holds_what_the_folder_does(tmp_path):
    folder, packed = make(tmp_path / "folder"), make(tmp_path / "tar", "--tar")
    again = make(tmp_path / "again", "--tar")
    assert (packed / "images.tar").read_bytes() == (again / "images.tar").read_bytes()
    with tarfile.open(packed / "images.tar", "r:") as tar:
        members = {f"images/{name}": tar.extractfile(name).read() for name in tar.getnames()}
    files = contents(folder)
    assert files.pop("products.tsv") == (packed / "products.tsv").read_bytes()
    assert members == files


def test_leaves():
    assert len(LEAVES) >= 16
    assert len({leaf.name for leaf in LEAVES}) == len(LEAVES)
    assert len({leaf.meta for leaf in LEAVES}) >= 4
    # Every leaf gets a family before any leaf gets two.
    names = [product(1, FAMILY * family).leaf.name for family in range(2 * len(LEAVES))]
    assert sorted(names[: len(LEAVES)]) == sorted(names[len(LEAVES) :])
    assert set(names) == {leaf.name for leaf in LEAVES}
    assert {leaf.meta for leaf in LEAVES} == set(BRANDS)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
def test_every_drawing_is_a_whole_product(leaf):
    """Every shape is large enough to see, and is not cut off at the layer's edge."""
    rng = Random(leaf.name)
    for shape in range(4):
        look = replace(_look(rng, leaf), shape=shape)
        canvas = Canvas(64)
        leaf.draw(canvas, look)
        assert 0.08 < np.asarray(canvas.alpha).mean() / 255 < 0.9
        assert max(high for _, high in canvas.image.getextrema()) > 100
        assert np.asarray(canvas.alpha)[[0, -1]].mean() < 128
    assert set(leaf.prints) <= set(PATTERNS)


def seen(item, view, size=SIZE):
    """A product's cutout and its alpha, as signed integers."""
    return [np.asarray(part).astype(int) for part in cut_out(item, view, size, Random(1))]


def test_one_listing_shows_the_front_and_each_other_something_else():
    chosen = [choose_views(Random(i), 2 + i % 3) for i in range(900)]
    assert all(len(set(views)) == len(views) and "front" in views for views in chosen)
    assert {views.index("front") for views in chosen} == {0, 1, 2, 3}
    counts = Counter(view for views in chosen for view in views)
    assert counts["front"] * 3 == counts.total()
    assert min(counts["side"], counts["back"]) > max(counts["detail"], counts["staged"])
    assert min(counts[view] for view in OTHERS) > 0.1 * counts.total()
    assert Counter(choose_views(Random(1), 10)) == dict.fromkeys(["front", *OTHERS], 2)


@pytest.mark.parametrize("family", range(len(LEAVES)), ids=lambda f: product(1, 5 * f).leaf.name)
def test_every_view_shows_the_same_product_otherwise(family):
    item, recoloured = (product(1, FAMILY * family + member) for member in (0, 1))
    for shape in range(4):
        one, other = (replace(p, look=replace(p.look, shape=shape)) for p in (item, recoloured))
        front, _ = seen(one, "front")
        for view in ("side", "back", "detail", "staged"):
            image, alpha = seen(one, view)
            assert 0.05 < alpha.mean() / 255 < 0.9
            assert changed(image, seen(other, view)[0]) > 0.006  # colours stay
            # A plain round product looks alike from all sides.
            round_one = item.leaf.name not in DEPTHS or item.leaf.name == "Speakers"
            if view == "staged" or (view != "detail" and not round_one):
                assert min(changed(image, front), changed(image[:, ::-1], front)) > 0.003


def test_a_back_has_no_emblem_and_a_side_keeps_it():
    """All leaves whose emblems tell products apart."""
    for family in range(len(LEAVES)):
        item = product(1, FAMILY * family)
        if not item.leaf.emblem or item.leaf.name == "Smartphones":
            continue
        marked = [replace(item, look=replace(item.look, emblem=e)) for e in ("none", "cross")]
        backs, sides = ([seen(one, view)[0] for one in marked] for view in ("back", "side"))
        np.testing.assert_array_equal(*backs)
        assert changed(*sides) > 0.001


def test_a_round_product_keeps_its_width_in_a_side_view():
    ball = product(1, 0)
    ball = replace(ball, leaf=next(leaf for leaf in LEAVES if leaf.name == "Speakers"))
    widths = {}
    for shape in (2, 3):  # a cube, a ball
        shaped = replace(ball, look=replace(ball.look, shape=shape))
        views = [seen(shaped, view)[1].max(0) > 0 for view in ("front", "side")]
        widths[shape] = [view.sum() for view in views]
    assert widths[2][1] < widths[2][0]
    assert widths[3][0] == widths[3][1]


def test_a_detail_is_taken_from_near_by():
    item = product(1, 5)
    image, alpha = cut_out(item, "detail", SIZE, Random(1))
    assert image.size == alpha.size == (2 * SIZE, 2 * SIZE)
    aim = nearest_part(alpha, Random(1))
    x, y = (int((value + 0.5) * 2 * SIZE) for value in aim)
    assert np.asarray(alpha)[y - 6 : y + 6, x - 6 : x + 6].mean() > 200
    white = Image.new("L", alpha.size, 255)
    marked = Image.new("RGB", alpha.size)
    marked.paste((255, 0, 0), (x - 8, y - 8, x + 8, y + 8))
    near, far = (
        np.asarray(photograph(Random(3), (marked, white), SIZE, False, aim=a)).astype(int)
        for a in (aim, None)
    )
    near, far = ((p[..., 0] - p[..., 1:].max(-1) > 90).sum() for p in (near, far))
    assert near > 2.5 * far > 0  # about twice as near


def test_families_differ_in_one_thing_at_a_time():
    for family in range(2 * len(LEAVES)):
        base, recoloured, reprinted, renumbered, other = (
            product(1, FAMILY * family + member) for member in range(FAMILY)
        )
        assert recoloured.wording == reprinted.wording == base.wording
        assert recoloured.look.names[0] != base.look.names[0]
        assert reprinted.look.names == base.look.names
        printed = (reprinted.look.pattern, reprinted.look.emblem)
        assert printed != (base.look.pattern, base.look.emblem)
        assert renumbered.look == base.look
        numbers = (renumbered.wording.model, renumbered.wording.specs)
        assert numbers != (base.wording.model, base.wording.specs)
        assert renumbered.wording.brand == other.wording.brand == base.wording.brand
        assert other.look != base.look
        assert other.wording != base.wording


def test_image_tells_what_the_title_does_not():
    """Another colour is far away in the image; another number changes nothing there."""
    for family in range(len(LEAVES)):
        base, recoloured, renumbered = (draw(FAMILY * family + member) for member in (0, 1, 3))
        np.testing.assert_array_equal(base, renumbered)
        assert changed(base, recoloured) > 0.015


def test_another_print_can_be_seen():
    for family in range(2 * len(LEAVES)):
        base, reprinted = draw(FAMILY * family), draw(FAMILY * family + 2)
        assert changed(base, reprinted) > 0.0025


def test_titles_vary_and_keep_what_tells_products_apart():
    item = product(1, 0)
    titles = [listing_title(item, Random(i)) for i in range(300)]
    assert len(set(titles)) > 200
    assert all(title.strip() == title and title for title in titles)
    letters, digits = item.wording.model.split("-")
    kept = [digits in title and letters.lower() in title.lower() for title in titles]
    assert 0.85 < np.mean(kept) < 1
    assert any(title.isupper() for title in titles)
    assert any("NEW!!" in title for title in titles)


def test_colour_is_named_in_some_families_only():
    named = [product(1, FAMILY * family).wording.names_colour for family in range(100)]
    assert 20 < sum(named) < 60
    silent = product(1, FAMILY * named.index(False))
    assert silent.look.names[0] not in " ".join(listing_title(silent, Random(i)) for i in range(50))


def test_emblems_are_all_used():
    used = {product(1, number).look.emblem for number in range(1500)}
    assert used == {*EMBLEMS, "none"}


def test_contact_sheet(tmp_path):
    sheet = tmp_path / "sheet.png"
    options = ["--products", "8", "--image-size", "32", "--contact-sheet", str(sheet)]
    demo_command.main(options)
    assert Image.open(io.BytesIO(sheet.read_bytes())).size[1] == 2 * (128 + 6)
    assert list(tmp_path.iterdir()) == [sheet]


@pytest.mark.parametrize(
    "options",
    [["--products", "0"], ["--listings", "3", "2"], ["--listings", "0", "2"],
     ["--num-workers", "0"], ["--image-size", "4"]],
)  # fmt: skip
def test_bad_settings(tmp_path, options):
    with pytest.raises(InputError, match=options[0]):
        make(tmp_path / "demo", *options)


def test_nothing_to_write():
    with pytest.raises(InputError, match="--out"):
        demo_command.main([])


def test_help_is_fast_and_names_the_defaults():
    result = subprocess.run([sys.executable, str(SCRIPT), "--help"], capture_output=True, text=True)
    assert result.returncode == 0
    assert "default: 1500" in result.stdout
