"""``item-verify`` finds one changed bit anywhere in a folder, and nothing in a whole one."""

import shutil

import pytest

from fairseq_item.commands import verify as verify_command
from fairseq_item.errors import InputError


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
