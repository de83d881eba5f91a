"""A folder is all old or all new, whoever looks when; what is not known is not thrown away."""

import os
import time

import pytest

from fairseq_item import folders
from fairseq_item.errors import InputError
from fairseq_item.folders import NewFolder, check_replaceable, stamp, steadily, work_path


def write(path, value, names=("a", "b")):
    with NewFolder(path, lambda name: name in ("a", "b", "meta.json")) as new:
        for name in (*names, "meta.json"):
            (new.work / name).write_text(value)
        new.put()


def read(path):
    return [(path / name).read_text() for name in ("a", "b")]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_new_folder_takes_the_place_of_the_old_one(tmp_path, exchange, monkeypatch):
    if not exchange:
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    path, link = tmp_path / "new" / "x", tmp_path / "link"
    write(path, "first")
    link.symlink_to(path)
    with open(path / "a") as opened:
        write(link, "second")
        assert opened.read() == "first"
    assert read(path) == ["second"] * 2
    assert link.is_symlink()
    assert os.listdir(path.parent) == ["x"]


def test_what_was_not_put_in_place_is_removed(tmp_path):
    write(tmp_path / "x", "first")
    with NewFolder(tmp_path / "x", lambda name: True) as new:
        (new.work / "a").touch()
    assert read(tmp_path / "x") == ["first"] * 2
    work_path(tmp_path / "x").mkdir()  # as a killed run leaves it
    (work_path(tmp_path / "x") / "half").touch()
    write(tmp_path / "x", "second")
    assert read(tmp_path / "x") == ["second"] * 2
    assert os.listdir(tmp_path) == ["x"]


def test_a_folder_that_was_closed_does_not_touch_the_next_run_of_another(tmp_path):
    first = NewFolder(tmp_path / "x", lambda name: True)
    first.put()
    first.close()
    with NewFolder(tmp_path / "x", lambda name: True) as second:
        first.close()
        assert second.work.is_dir()


def test_what_a_run_killed_between_two_names_left_is_put_back(tmp_path):
    write(tmp_path / "x", "first")
    (tmp_path / "x").rename(tmp_path / ".x.old")
    with NewFolder(tmp_path / "x", lambda name: True):
        pass
    assert read(tmp_path / "x") == ["first"] * 2
    assert os.listdir(tmp_path) == ["x"]


def test_only_what_is_known_is_replaced(tmp_path, monkeypatch):
    def refused(path, message):
        with pytest.raises(InputError, match=message):
            check_replaceable(path, lambda name: name == "a")

    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a").touch()
    check_replaceable(tmp_path / "x", lambda name: name == "a")
    check_replaceable(tmp_path / "none", lambda name: False)
    (tmp_path / "x" / "mine").touch()
    refused(tmp_path / "x", r"x holds other things \(mine\), which would be lost; name another")
    refused(tmp_path / "x" / "a", "a is a file; name another")
    refused(tmp_path / "x" / "a" / "y", "Not a directory")
    refused("/proc", "cannot be replaced as a whole; name a folder below")
    monkeypatch.chdir(tmp_path / "x")
    refused(".", "cannot be replaced as a whole; name a folder below")


def test_reading_starts_again_if_the_folder_is_replaced_meanwhile(tmp_path):
    path, values = tmp_path / "x", iter(["second", "third"])
    write(path, "first")

    def opened():
        first = (path / "a").read_text()
        for value in values:
            write(path, value)
            break
        return first, (path / "b").read_text()

    assert steadily(path, opened) == ("third", "third")


def test_an_error_of_a_folder_that_went_is_no_error(tmp_path):
    path = tmp_path / "x"
    write(path, "first")
    seen = []

    def opened():
        seen.append(stamp(path))
        if len(seen) == 1:
            write(path, "second")
            raise FileNotFoundError(path / "a")
        return read(path)

    assert steadily(path, opened) == ["second"] * 2
    assert len(set(seen)) == 2

    def damaged():
        raise InputError("is damaged")

    with pytest.raises(InputError, match="is damaged"):
        steadily(path, damaged)
    with pytest.raises(InputError, match="is replaced all the time"):
        steadily(path, lambda: write(path, "again"))


def test_a_copy_that_keeps_the_times_is_another_folder(tmp_path):
    write(tmp_path / "x", "first")
    meta = tmp_path / "x" / "meta.json"
    before, times = stamp(tmp_path / "x"), meta.stat()
    time.sleep(0.02)
    meta.write_text("other")  # in place: the same inode, as one that was removed leaves it
    os.utime(meta, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert meta.stat().st_mtime_ns == times.st_mtime_ns
    assert stamp(tmp_path / "x") != before
