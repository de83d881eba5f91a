"""scripts/setup_venv.sh with a Python that only notes what it is asked to do."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A Python of the version VERSION, whose venv is itself.
PYTHON = """#!/bin/sh
echo "$@" >> "$NOTES"
case "$*" in
    "-c import sys"*) exit "$REFUSES" ;;
    --version) echo "Python 2.7.18" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *check_venv.py) exit "$BROKEN" ;;
esac
"""


@pytest.fixture(name="setup")
def fixture_setup(tmp_path):
    """``setup(*extras, **environment)``: the finished process, and the lines that pip was given."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)

    def run(*extras, **environment):
        notes = tmp_path / "notes"
        notes.write_text("")
        kept = {name: os.environ[name] for name in ("PATH",)}
        done = subprocess.run(
            [tmp_path / "scripts" / "setup_venv.sh", "env", *extras],
            env={**kept, "PYTHON": str(python), "NOTES": str(notes), "REFUSES": "0", "BROKEN": "0"}
            | environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        lines = notes.read_text().splitlines()
        return done, [line for line in lines if " pip " in line]

    return run


def test_torchaudio_is_left_out_at_the_end(setup, tmp_path):
    done, pip = setup()
    assert done.returncode == 0, done.stderr
    assert "uninstall -q -y torchaudio" in pip[-1]
    assert not any("--index-url" in line for line in pip)
    assert (tmp_path / "env" / ".ready").exists()


def test_torch_comes_from_the_index_that_is_named(setup):
    done, pip = setup(TORCH_INDEX="https://packages.example/cpu")
    assert "torch from https://packages.example/cpu" in done.stdout
    (own,) = [line for line in pip if "--index-url https://packages.example/cpu" in line]
    assert own.endswith("install -q --index-url https://packages.example/cpu torch torchvision")
    # What torch needs is there before, and nothing but torch is looked for in that index.
    assert "sympy" in pip[pip.index(own) - 1]


def test_more_extras(setup):
    assert any(line.endswith(",benchmark]") for line in setup("benchmark")[1])


def test_another_python_is_refused(setup, tmp_path):
    done, pip = setup(REFUSES="1")
    assert done.returncode == 2
    assert "is Python 2.7.18; set PYTHON to a Python 3.11, 3.12 or 3.13" in done.stderr
    assert not pip
    assert not (tmp_path / "env").exists()


def test_what_cannot_be_imported_is_no_finished_setup(setup, tmp_path):
    done, _ = setup(BROKEN="1")
    assert done.returncode == 1
    assert not (tmp_path / "env" / ".ready").exists()


def test_the_check_names_what_cannot_be_imported(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("check_venv", ROOT / "scripts" / "check_venv.py")
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    (tmp_path / "another_cuda.py").write_text("raise RuntimeError('compiled with\\nanother CUDA')")
    monkeypatch.syspath_prepend(tmp_path)
    assert check.failures(["json"], ["another_cuda", "not_there"]) == [
        "another_cuda: compiled with another CUDA"
    ]
