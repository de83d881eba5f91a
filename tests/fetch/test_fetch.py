"""``item-fetch`` from a catalogue to a folder of images; killed and run again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fairseq_item.commands import fetch
from fairseq_item.data.catalog import read_catalog
from fairseq_item.data.image_root import ImageRoot
from fairseq_item.data.tsv import read_table
from fairseq_item.errors import InputError

ROOT = Path(__file__).parents[2]
QUICK = ["--allow-private", "--delay", "0", "--timeout", "1", "--attempts", "1"]


@pytest.fixture(name="catalog")
def fixture_catalog(tmp_path):
    def write(rows, header="id\ttitle\timage\timage_url\tcolor"):
        path = tmp_path / "catalog.tsv"
        path.write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n")
        return str(path)

    return write


def rows_of(path):
    return {row["id"]: row for _, row in read_catalog(path)}


def test_images_and_the_catalogue_that_names_them(catalog, server, tmp_path, capsys):
    out = tmp_path / "images"
    path = catalog([
        ("1", "Pan", "", f"{server.url}/image1.png", "red"),
        ("2", "Pot", "", f"{server.url}/image1.png?again", "blue"),
        ("3", "Lid", "", f"{server.url}/missing.png", ""),
        ("4", "Cup", "here/already.jpg", f"{server.url}/image4.png", ""),
        ("5", "Words alone", "", "", ""),
    ])  # fmt: skip
    server.pages["/image1.png?again"] = lambda page: page.send(server.png(1))
    fetch.main([path, "--out", str(out), *QUICK])
    rows = rows_of(out / "catalog.tsv")
    assert list(rows) == ["1", "2", "4", "5"]
    assert rows["1"]["image"] == rows["2"]["image"]  # the same bytes are kept once
    assert rows["1"]["color"] == "red"
    assert ImageRoot(out).read(rows["1"]["image"]) == server.png(1)
    assert rows["4"]["image"] == "here/already.jpg"
    assert server.times("/image4.png") == 0
    (rejected,) = read_table(out / "rejected.tsv").dicts()
    assert (rejected["id"], rejected["reason"]) == ("3", "answers 404")
    assert "2 images fetched, 0 were there already" in capsys.readouterr().out


def test_another_run_asks_for_what_is_missing_alone(catalog, server, tmp_path):
    out = tmp_path / "images"
    urls = [f"{server.url}/{name}" for name in ("image1.png", "gone.png", "trouble", "image2.png")]
    path = catalog([(str(i), "x", "", url, "") for i, url in enumerate(urls)])
    server.pages["/trouble"] = lambda page: page.send(b"", 503)
    fetch.main([path, "--out", str(out), *QUICK])
    (out / rows_of(out / "catalog.tsv")["3"]["image"]).unlink()  # lost since
    server.pages["/trouble"] = lambda page: page.send(server.png(9))
    server.asked.clear()
    fetch.main([path, "--out", str(out), *QUICK])
    assert sorted(server.asked) == ["/image2.png", "/trouble"]
    assert list(rows_of(out / "catalog.tsv")) == ["0", "2", "3"]
    server.pages["/gone.png"] = lambda page: page.send(server.png(8))
    fetch.main([path, "--out", str(out), *QUICK, "--try-rejected"])
    assert list(rows_of(out / "catalog.tsv")) == ["0", "1", "2", "3"]


@pytest.mark.slow
def test_killed_and_run_again(catalog, server, tmp_path):
    out = tmp_path / "images"
    path = catalog([(str(i), "x", "", f"{server.url}/image{i}.png", "") for i in range(200)])
    command = [sys.executable, "-m", "fairseq_item.commands.fetch", path, "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*command, "--allow-private", "--delay", "0.01"], env=environment)
    while len(server.asked) < 40 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(server.asked)
    assert 40 <= before < 200
    fetch.main([path, "--out", str(out), *QUICK])
    # At most what was on its way when the run was killed was asked for twice.
    assert len(server.asked) <= 200 + 16
    rows = rows_of(out / "catalog.tsv")
    root = ImageRoot(out)
    assert [root.read(rows[str(i)]["image"]) for i in range(200)] == list(
        map(server.png, range(200))
    )
    assert not list(out.rglob("*.tmp"))


def test_the_own_network_needs_to_be_allowed(catalog, server, tmp_path):
    path = catalog([("1", "Pan", "", f"{server.url}/image1.png", "")])
    with pytest.raises(InputError, match="no image that could be had"):
        fetch.main([path, "--out", str(tmp_path / "images"), "--delay", "0"])
    assert server.asked == []
    assert "no public address" in (tmp_path / "images" / "rejected.tsv").read_text()


def test_addresses_in_the_column_image(catalog, server, tmp_path):
    path = catalog([("1", "Pan", f"{server.url}/image1.png")], "id\ttitle\timage")
    fetch.main([path, "--out", str(tmp_path / "images"), *QUICK])
    assert rows_of(tmp_path / "images" / "catalog.tsv")["1"]["image"].endswith(".png")


def test_another_column_and_none(catalog, server, tmp_path):
    path = catalog([("1", "Pan", f"{server.url}/image1.png")], "id\ttitle\tphoto")
    with pytest.raises(InputError, match=r"no column 'image_url'.*--url-column"):
        fetch.main([path, "--out", str(tmp_path / "images"), *QUICK])
    fetch.main([path, "--out", str(tmp_path / "images"), *QUICK, "--url-column", "photo"])
    assert rows_of(tmp_path / "images" / "catalog.tsv")["1"]["image"].endswith(".png")


def test_a_journal_that_is_none(catalog, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "fetch.sqlite").write_text("something else, long enough to be read" * 9)
    path = catalog([("1", "Pan", "", "https://i.example/1.jpg", "")])
    with pytest.raises(InputError, match="cannot be used as a journal"):
        fetch.main([path, "--out", str(tmp_path / "images"), *QUICK])
