"""Packing keeps order and bytes whatever the workers, loses no row, and survives being killed."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairseq_item.commands import pack as pack_command
from fairseq_item.data import image_store
from fairseq_item.data.image_store import ImageStore, ImageStoreWriter
from fairseq_item.data.images import decode_image, fit_square
from fairseq_item.errors import InputError
from fairseq_item.preprocess import pack as pack_images
from fairseq_item.preprocess.pack_journal import Chunk, PackJournal, journal_path

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "preprocess" / "pack_images.py"

SIZES = ["--image-size", "32", "--patch-size", "8"]


@pytest.fixture
def catalog(tmp_path):
    """70 rows (more than two chunks), of which 4 cannot be packed."""
    rng = np.random.default_rng(0)
    images = tmp_path / "images"
    images.mkdir()
    for i in range(10):
        pixels = rng.integers(0, 256, (40, 30 + i, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{i}.png")
    whole = (images / "0.png").read_bytes()
    (images / "cut.png").write_bytes(whole[: len(whole) // 2])
    (images / "empty.png").write_bytes(b"")
    names = [f"{i % 10}.png" for i in range(70)]
    names[3], names[33], names[34], names[69] = "cut.png", "empty.png", "../0.png", "none.png"
    return write_catalog(tmp_path / "train.tsv", names)


def write_catalog(path, names):
    rows = [f"id{i}\ttitle {i}\t{name}\tshop{i}\n" for i, name in enumerate(names)]
    path.write_text("id\ttitle\timage\tseller\n" + "".join(rows), encoding="utf-8")
    return path


def pack(catalog, out, *options, images=None):
    images = images or catalog.parent / "images"
    argv = [str(catalog), "--image-root", str(images), "--out", str(out), "--split", "train"]
    pack_command.main([*argv, *SIZES, "--num-workers", "1", *options])
    return out


def contents(out):
    """Every file under a data-bin, hidden ones too, by name."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def test_nothing_is_lost(catalog, tmp_path):
    out = pack(catalog, tmp_path / "bin")
    items = [line.split("\t") for line in (out / "items/train.tsv").read_text().splitlines()]
    assert items[0] == ["id", "title", "image", "seller"]
    kept = [f"id{i}" for i in range(70) if i not in (3, 33, 34, 69)]
    assert [row[0] for row in items[1:]] == kept
    rejected = [line.split("\t") for line in (out / "rejected/train.tsv").read_text().splitlines()]
    assert rejected[0] == ["id", "image", "reason"]
    found = {row[0]: (row[1], row[2].split(":")[0]) for row in rejected[1:]}
    assert found["id33"] == ("empty.png", "empty file")
    assert found["id34"] == ("../0.png", "missing")
    assert found["id69"] == ("none.png", "missing")
    assert found["id3"][1] in ("truncated", "damaged")
    assert sorted(contents(out)) == sorted(
        ["items/train.tsv", "rejected/train.tsv"]
        + [f"image/train.{suffix}" for suffix in ("bin", "idx", "json")]
    )


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_row_i_is_image_i(catalog, tmp_path, fit):
    out = pack(catalog, tmp_path / "bin", "--fit", fit)
    store = ImageStore(out / "image" / "train")
    lines = (out / "items/train.tsv").read_text().splitlines()[1:]
    assert len(store) == len(lines) == 66
    for i in (0, 3, 31, 65):
        data = (catalog.parent / "images" / lines[i].split("\t")[2]).read_bytes()
        expected = fit_square(decode_image(data), 32, fit)
        np.testing.assert_array_equal(store.image(i), np.asarray(expected))
    store.verify()
    assert store.meta.fit == fit


@pytest.mark.parametrize("codec", ["patches", "jpeg"])
def test_bytes_do_not_depend_on_workers_or_root(catalog, tmp_path, codec, capfd):
    one = contents(pack(catalog, tmp_path / "one", "--codec", codec))
    two = contents(pack(catalog, tmp_path / "two", "--codec", codec, "--workers", "2"))
    assert one == two
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        tar.add(catalog.parent / "images", ".")
    options = ("--codec", codec, "--workers", "2")
    three = contents(pack(catalog, tmp_path / "three", *options, images=tmp_path / "images.tar"))
    one, three = ({k: v for k, v in c.items() if not k.endswith("json")} for c in (one, three))
    assert one == three
    ImageStore(tmp_path / "two" / "image" / "train").verify()


def test_fairseq_reads_what_was_packed(catalog, tmp_path):
    indexed_dataset = pytest.importorskip("fairseq.data.indexed_dataset")
    prefix = str(pack(catalog, tmp_path / "bin") / "image" / "train")
    theirs, ours = indexed_dataset.MMapIndexedDataset(prefix), ImageStore(prefix)
    assert len(theirs) == len(ours) == 66
    for i in (0, 65):
        np.testing.assert_array_equal(theirs[i].numpy(), ours.raw(i))


def test_a_finished_split_is_left_alone(catalog, tmp_path, capsys, monkeypatch):
    out = pack(catalog, tmp_path / "bin")
    before = contents(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    pack(catalog, out)
    assert "packed before" in capsys.readouterr().out
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    pack(catalog, out, "--overwrite")
    assert contents(out) == before
    assert times[out / "image" / "train.bin"] != (out / "image" / "train.bin").stat().st_mtime_ns


@pytest.mark.parametrize("options", [["--codec", "jpeg"], ["--fit", "crop"], ["--patch-size", "4"]])
def test_other_settings_pack_anew(catalog, tmp_path, options):
    out = pack(catalog, tmp_path / "bin")
    assert contents(pack(catalog, out, *options)) == contents(
        pack(catalog, tmp_path / "fresh", *options)
    )


def test_a_changed_catalogue_packs_anew(catalog, tmp_path):
    out = pack(catalog, tmp_path / "bin")
    write_catalog(catalog, ["1.png", "2.png"])
    pack(catalog, out)
    assert len(ImageStore(out / "image" / "train")) == 2


# --- killed ----------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for a kill: nothing between here and the test handles it."""


def interrupt(monkeypatch, owner, name, after=0):
    """Make ``owner.name`` raise ``Killed`` once it was called ``after`` times."""
    original, calls = getattr(owner, name), []

    def stop(*args, **kwargs):
        if len(calls) >= after:
            raise Killed
        calls.append(name)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, stop)


@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        (PackJournal, "append", 0),
        (PackJournal, "append", 2),
        (pack_images, "write_tsv", 0),
        (pack_images, "write_tsv", 1),
        (image_store, "write_idx", 0),
        (image_store, "write_meta", 0),
        (PackJournal, "discard", 0),
    ],
)
@pytest.mark.parametrize("codec", ["patches", "jpeg"])
def test_stopped_anywhere_it_goes_on(catalog, tmp_path, monkeypatch, owner, name, after, codec):
    whole = contents(pack(catalog, tmp_path / "whole", "--codec", codec))
    with monkeypatch.context() as patch:
        interrupt(patch, owner, name, after)
        with pytest.raises(Killed):
            pack(catalog, tmp_path / "bin", "--codec", codec)
    if name != "discard":
        assert not (tmp_path / "bin" / "image" / "train.json").exists()
    out = pack(catalog, tmp_path / "bin", "--codec", codec)
    assert contents(out) == whole


def test_an_older_store_stays_whole_until_the_new_one_is(catalog, tmp_path, monkeypatch):
    out = pack(catalog, tmp_path / "bin")
    with monkeypatch.context() as patch:
        interrupt(patch, PackJournal, "append", 1)
        with pytest.raises(Killed):
            pack(catalog, out, "--fit", "crop")
    ImageStore(out / "image" / "train").verify()


@pytest.mark.parametrize("damage", ["data cut", "data changed", "journal cut", "data gone", "more"])
def test_only_what_is_provably_whole_is_kept(catalog, tmp_path, monkeypatch, damage):
    whole = contents(pack(catalog, tmp_path / "whole"))
    with monkeypatch.context() as patch:
        interrupt(patch, PackJournal, "append", 2)
        with pytest.raises(Killed):
            pack(catalog, tmp_path / "bin")
    data = tmp_path / "bin" / "image" / ".train.unfinished"
    journal = journal_path(tmp_path / "bin" / "image" / "train")
    if damage == "data cut":
        os.truncate(data, data.stat().st_size - 1)
    elif damage == "data changed":
        content = bytearray(data.read_bytes())
        content[-5] ^= 1
        data.write_bytes(content)
    elif damage == "journal cut":
        os.truncate(journal, journal.stat().st_size - 1)
    elif damage == "data gone":
        data.unlink()
    else:
        data.write_bytes(data.read_bytes() + b"x" * 1000)
        journal.write_bytes(journal.read_bytes() + b'{"rows": 32, "sizes": [1')
    assert contents(pack(catalog, tmp_path / "bin")) == whole


def test_journal_of_other_settings_is_not_continued(tmp_path):
    def journal(fingerprint):
        return PackJournal(ImageStoreWriter(tmp_path / "store", resume=True), fingerprint)

    first = journal("first")
    first.append(Chunk(1, [1], [], hashlib.sha256(b"x").hexdigest()), b"x")
    first.close()
    assert journal("first").rows == 1
    assert journal("second").rows == 0
    assert journal("first").rows == 0


def start(catalog, out):
    argv = [sys.executable, str(SCRIPT), str(catalog), "--image-root", str(catalog.parent / "big")]
    argv += ["--out", str(out), "--split", "train", "--workers", "2", *SIZES]
    return subprocess.Popen(
        argv, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def group_is_gone(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_killed_and_run_again(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "big").mkdir()
    for i in range(3):
        pixels = rng.integers(0, 256, (400, 400, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "big" / f"{i}.png", compress_level=1)
    catalog = write_catalog(tmp_path / "train.tsv", [f"{i % 3}.png" for i in range(256)])
    out, fresh = tmp_path / "bin", tmp_path / "fresh"
    journal = out / "image" / ".train.unfinished.journal"
    for _ in range(2):
        size = journal.stat().st_size if journal.exists() else 200
        process = start(catalog, out)
        wait_until(lambda: journal.exists() and journal.stat().st_size > size)  # noqa: B023
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (out / "image" / "train.json").exists()
        # The workers end too, though nobody told them.
        wait_until(lambda: group_is_gone(process.pid))  # noqa: B023
    for folder in (out, fresh):
        process = start(catalog, folder)
        assert process.wait() == 0
        log = process.stderr.read().decode()
        assert ("going on from there" in log) == (folder == out)
    assert contents(out) == contents(fresh)


# --- others at work on the same files --------------------------------------------------------


def wait_for_first_chunk(out):
    journal = journal_path(out / "image" / "train")
    wait_until(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 1)


@pytest.fixture
def packing(tmp_path):
    """(catalogue, data-bin, process) while a long packing goes on."""
    (tmp_path / "big").mkdir()
    Image.fromarray(np.zeros((900, 900, 3), np.uint8)).save(tmp_path / "big" / "0.png")
    catalog = write_catalog(tmp_path / "train.tsv", ["0.png"] * 4000)
    process = start(catalog, tmp_path / "bin")
    try:
        wait_for_first_chunk(tmp_path / "bin")
        yield catalog, tmp_path / "bin", process
    finally:
        process.kill()
        process.communicate()


def ends_with_one_line(process):
    _, log = process.communicate(timeout=60)
    lines = [line for line in log.decode().splitlines() if line.startswith("error: ")]
    assert (process.returncode, len(lines)) == (2, 1), log
    assert b"Traceback" not in log
    return lines[0]


def test_a_second_packer_is_refused(packing):
    catalog, out, process = packing
    with pytest.raises(InputError, match=rf"\.train\.lock is held by process {process.pid}, start"):
        pack(catalog, out, images=catalog.parent / "big")
    assert process.poll() is None
    process.kill()
    process.wait()
    (catalog.parent / "images").mkdir()
    Image.new("RGB", (40, 40)).save(catalog.parent / "images" / "0.png")
    write_catalog(catalog, ["0.png"] * 3)
    pack(catalog, out)  # what was killed holds nothing
    assert len(ImageStore(out / "image" / "train")) == 3
    assert not (out / "image" / ".train.lock").exists()


def test_images_that_go_away_are_not_missing(packing):
    catalog, out, process = packing
    (catalog.parent / "big").rename(catalog.parent / "moved")
    assert "big went away while images were read from it" in ends_with_one_line(process)
    assert not list((out / "rejected").glob("*"))
    assert not list((out / "image").glob("train.*"))
    (catalog.parent / "moved").rename(catalog.parent / "big")
    decisions = journal_path(out / "image" / "train").read_text().splitlines()[1:]
    assert all(json.loads(line)["rejected"] == [] for line in decisions)


def test_a_catalogue_changed_meanwhile_is_refused(catalog, tmp_path, monkeypatch):
    lines = catalog.read_text().splitlines(keepends=True)

    def append(journal, *args, append=PackJournal.append):
        append(journal, *args)
        (tmp_path / "new").write_text("".join([lines[0], *reversed(lines[1:])]))
        os.replace(tmp_path / "new", catalog)

    monkeypatch.setattr(PackJournal, "append", append)
    with pytest.raises(InputError, match=r"train\.tsv was changed while it was being read"):
        pack(catalog, tmp_path / "bin")
    assert not list((tmp_path / "bin" / "items").glob("*"))
    monkeypatch.undo()
    assert contents(pack(catalog, tmp_path / "bin")) == contents(pack(catalog, tmp_path / "two"))


def test_the_rows_that_are_read_are_not_overwritten(catalog, tmp_path):
    out = pack(catalog, tmp_path / "bin")
    before = contents(out)
    with pytest.raises(InputError, match=r"items/train\.tsv would overwrite what is read"):
        pack(out / "items" / "train.tsv", out, images=catalog.parent / "images")
    assert contents(out) == before


# --- bad input -------------------------------------------------------------------------------


def test_all_rejected_is_an_error(tmp_path):
    (tmp_path / "images").mkdir()
    catalog = write_catalog(tmp_path / "train.tsv", ["a.png", "b.png"])
    with pytest.raises(InputError, match="none of its 2 images"):
        pack(catalog, tmp_path / "bin")
    assert len((tmp_path / "bin/rejected/train.tsv").read_text().splitlines()) == 3
    assert not list((tmp_path / "bin/image").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image-size", "100", "--patch-size", "16"], "multiple"),
        (["--patch-size", "0"], "patch-size"),
        (["--jpeg-quality", "0"], "jpeg-quality"),
        (["--num-workers", "0"], "workers"),
        (["--split", "../train"], "split"),
        (["--split", "x" * 300], "split"),
        (["--id-column", "sku"], "sku"),
        (["--image-root", "/nowhere"], "missing"),
    ],
)
def test_bad_settings(catalog, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        pack(catalog, tmp_path / "bin", *options)


def test_a_bad_row_is_found_before_anything_is_packed(catalog, tmp_path):
    with open(catalog, "a") as file:
        file.write("id0\ttitle\t0.png\tshop\n")
    with pytest.raises(InputError, match="line 72 repeats"):
        pack(catalog, tmp_path / "bin")
    assert not (tmp_path / "bin").exists()


def test_command_line_prints_one_line_and_no_traceback(tmp_path):
    argv = [sys.executable, str(SCRIPT), "none.tsv", "--image-root", str(tmp_path)]
    argv += ["--out", str(tmp_path / "bin"), "--split", "train"]
    result = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_real_catalogue(tmp_path):
    data = REPOSITORY.parent / "shared" / "data" / "fashion-60x80"
    if not data.exists():
        pytest.skip("the shared catalogues are not here")
    lines = (data / "products.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    catalog = tmp_path / "products.tsv"
    catalog.write_text("".join(lines[:41]), encoding="utf-8")
    out = pack(catalog, tmp_path / "bin", images=data / "images.tar")
    meta = json.loads((out / "image/train.json").read_text())
    assert meta["count"] == 40
    assert meta["image_size"] == 32
    assert (out / "items/train.tsv").read_text(encoding="utf-8").count("\n") == 41
