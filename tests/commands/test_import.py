"""``item-import``: what it recognises, refuses and counts."""

import pytest

from fairseq_item.commands import import_
from fairseq_item.errors import InputError
from fairseq_item.feeds.registry import LAYOUTS

FEED = "id\ttitle\timage_link\n1\tPan\thttps://i.example/1.jpg\n"
SHOPEE = "posting_id,image,image_phash,title\nt1,a.jpg,0,Bag\n"


@pytest.fixture(name="write")
def fixture_write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def test_unknown_files_list_what_was_looked_for(write, tmp_path):
    path = write("x.csv", "a,b\n1,2\n")
    with pytest.raises(InputError) as error:
        import_.main([path, "--out", str(tmp_path / "out.tsv")])
    message = str(error.value)
    assert "\n" not in message
    assert path in message
    assert all(layout.LOOKS_FOR in message for layout in LAYOUTS.values())
    assert not (tmp_path / "out.tsv").exists()


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff\xe0,\x00\n" * 9, b"\x00" * 300_000, b"{" + b"x," * 200_000, b"<a"]
)
def test_files_that_are_no_text_of_products(data, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"none of the known layouts|not well-formed"):
        import_.main([str(path), "--out", str(tmp_path / "out.tsv")])


def test_a_named_layout_must_be_there(write, tmp_path):
    path = write("x.tsv", FEED)
    with pytest.raises(InputError, match="not of the layout shopify: it lacks Handle"):
        import_.main([path, "--out", str(tmp_path / "out.tsv"), "--layout", "shopify"])
    import_.main([path, "--out", str(tmp_path / "out.tsv"), "--layout", "google"])


def test_two_layouts_are_two_catalogues(write, tmp_path):
    paths = [write("x.tsv", FEED), write("y.csv", SHOPEE)]
    with pytest.raises(InputError, match="is google and .* is shopee"):
        import_.main([*paths, "--out", str(tmp_path / "out.tsv")])


def test_it_does_not_write_over_what_it_reads(write):
    path = write("x.tsv", FEED)
    with pytest.raises(InputError, match="would overwrite"):
        import_.main([path, "--out", path])


def test_nothing_of_use_is_an_error(write, tmp_path):
    path = write("x.tsv", "id\ttitle\timage_link\n1\t\t\n")
    with pytest.raises(InputError, match="no row that can be used"):
        import_.main([path, "--out", str(tmp_path / "out.tsv")])
    assert "neither a title nor an image" in (tmp_path / "out.rejected.tsv").read_text()


def test_it_tells_what_it_did(write, tmp_path, capsys):
    import_.main([write("x.tsv", FEED), "--out", str(tmp_path / "out.tsv")])
    told = capsys.readouterr().out
    assert "1 rows of 1 listings (google); 0 rows name their product" in told
    assert "item-fetch" in told


def test_other_schemes_are_rejected(write, tmp_path):
    text = FEED + "2\tPot\tfile:///etc/passwd\n3\tLid\t//i.example/3.jpg\n"
    import_.main([write("x.tsv", text), "--out", str(tmp_path / "out.tsv")])
    assert "neither http nor https" in (tmp_path / "out.rejected.tsv").read_text()
    rows = (tmp_path / "out.tsv").read_text()
    assert "passwd" not in rows
    assert "https://i.example/3.jpg" in rows
