"""``item-verify`` finds one changed bit anywhere in a folder, and nothing in a whole one."""

import shutil

import numpy as np
import pytest

from fairseq_item.commands import verify as verify_command
from fairseq_item.errors import InputError
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import EMBEDDINGS, EmbeddingWriter


def verify(folder):
    verify_command.main([str(folder)])


def test_a_whole_data_bin(data_bin, capsys):
    verify(data_bin)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * 4  # items, images, titles and labels of three splits
    assert all(line.endswith(": whole") for line in lines)


@pytest.mark.parametrize("kind", ["image", "title", "label", "items"])
@pytest.mark.parametrize("suffix", ["bin", "idx", "json", "tsv"])
def test_one_changed_bit_of_a_data_bin(data_bin, tmp_path, kind, suffix, capsys):
    shutil.copytree(data_bin, tmp_path / "data")
    path = tmp_path / "data" / kind / f"valid.{suffix}"
    if not path.exists():
        assert suffix == "tsv" or kind == "items"
        return
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 4
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"valid.* run item-(pack|binarize) again"):
        verify(tmp_path / "data")
    assert "valid" in capsys.readouterr().out


def test_a_folder_of_another_kind(tmp_path):
    with pytest.raises(InputError, match="no folder that can be verified; name a data-bin"):
        verify(tmp_path)


@pytest.fixture(scope="module")
def search_folders(tmp_path_factory):
    """Embeddings, and an index, whose arrays are too large to be read whole at every opening."""
    base, rng = tmp_path_factory.mktemp("folders"), np.random.default_rng(1)
    items = [{"id": f"p{i}", "title": f"red shoe {i}"} for i in range(3000)]
    writer = EmbeddingWriter(base / "embeddings", items, 100)
    writer.write(0, *(rng.normal(size=(3000, 100)) for _ in EMBEDDINGS))
    writer.finish()
    build_index([base / "embeddings"], base / "index")
    return base


@pytest.mark.parametrize("kind", ["embeddings", "index"])
def test_one_changed_bit_of_what_is_searched(search_folders, tmp_path, kind, capsys):
    verify(search_folders / kind)
    assert capsys.readouterr().out == f"{search_folders / kind}: whole\n"
    for path in sorted((search_folders / kind).iterdir()):
        data = bytearray(path.read_bytes())
        data[len(data) * 2 // 3 + 50] ^= 4
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(search_folders / kind, tmp_path / "copy")
        (tmp_path / "copy" / path.name).write_bytes(data)
        with pytest.raises(InputError, match=r"run item-(embed|index) again"):
            verify(tmp_path / "copy")


def test_old_embeddings_are_read_for_what_is_no_number(search_folders, tmp_path, change_meta):
    shutil.copytree(search_folders / "embeddings", tmp_path / "copy")
    array = np.load(tmp_path / "copy" / "image.npy", mmap_mode="r+")
    array[2000, 3] = np.nan
    array.flush()
    change_meta(tmp_path / "copy")
    with pytest.raises(InputError, match=r"image\.npy row 2000 \(item 'p2000'\) is not finite"):
        verify(tmp_path / "copy")
