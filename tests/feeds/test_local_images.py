"""Photos at hand, found by the end of their addresses."""

import tarfile

import pytest

from fairseq_item.data.image_root import ImageRoot
from fairseq_item.feeds.local_images import LocalImages

FILES = ("red.jpg", "a/blue.jpg", "b/blue.jpg", "x/1/main.jpg", "y/1/main.jpg", "two words.jpg")


@pytest.fixture(name="root", params=["folder", "tar"])
def fixture_root(request, tmp_path):
    folder = tmp_path / "photos"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    if request.param == "folder":
        return ImageRoot(folder)
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(folder, ".")
    return ImageRoot(tmp_path / "photos.tar")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://cdn.example/files/red.jpg?v=17#top", "red.jpg"),
        ("//cdn.example/two%20words.jpg", "two words.jpg"),
        ("red.jpg", "red.jpg"),
        ("https://cdn.example/b/blue.jpg", "b/blue.jpg"),
        ("https://cdn.example/z/y/1/main.jpg", "y/1/main.jpg"),
        ("https://cdn.example/blue.jpg", None),  # either
        ("https://cdn.example/1/main.jpg", None),
        ("https://cdn.example/Red.jpg", None),
        ("https://cdn.example/", None),
    ],
)
def test_find(root, address, name):
    assert sorted(root.names()) == sorted(FILES)
    assert LocalImages(root.names()).find(address) == name
