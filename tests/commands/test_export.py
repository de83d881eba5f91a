"""``item-export``: what it writes is loaded, and options that do not go together are refused."""

import pytest

import fairseq_item
from fairseq_item.commands import export
from fairseq_item.errors import InputError


def run(*args):
    export.main([str(arg) for arg in args])


def test_safetensors(model_folder, tmp_path, capsys):
    pytest.importorskip("safetensors")
    run(model_folder, "--out", tmp_path / "out", "--dtype", "bfloat16")
    assert "MB of bfloat16 weights" in capsys.readouterr().out
    assert fairseq_item.ItemModel.from_pretrained(tmp_path / "out").dim == 32
    # A checkpoint file will do, and an export of one is replaced by the next.
    run(model_folder / "checkpoint_last.pt", "--out", tmp_path / "out")
    assert "of float32 weights" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--int8"], "--int8 goes with --format onnx alone"),
        (["--format", "onnx", "--dtype", "bfloat16"], "--dtype goes with --format safetensors or"),
        (["--format", "onnx", "--weights", 1, 1, 1], "--weights goes with"),
        (["--format", "sentence-transformers", "--weights", 0, 0, 0], "are all 0"),
        (["--format", "pickle"], "invalid choice"),
    ],
)
def test_options_that_do_not_go_together(model_folder, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run(model_folder, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_a_package_that_is_missing(model_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install 'fairseq-item\[export\]'"):
        run(model_folder, "--out", tmp_path / "out", "--format", "onnx")
    assert not (tmp_path / "out").exists()
