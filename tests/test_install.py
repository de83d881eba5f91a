"""What ``pip install .`` gives: every step of the README as a command, from any folder."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# As the README has it.
USER_DIR = """--user-dir "$(python -c 'import fairseq_item; print(fairseq_item.__path__[0])')\""""


def run(command, **kwargs):
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module", name="installed")
def fixture_installed(tmp_path_factory):
    """The folder of the commands of an environment that has the wheel and, apart, its needs."""
    folder = tmp_path_factory.mktemp("install")
    source = folder / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "fairseq_item", source / "fairseq_item", ignore=ignore)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    quick = ["--no-deps", "--no-index"]
    run([*pip, "wheel", *quick, "--no-build-isolation", "-w", folder, source], cwd=folder)
    (wheel,) = folder.glob("*.whl")

    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    run([*pip, "--python", python, "install", *quick, wheel], cwd=folder)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    # Below the wheel's own folder; a checkout installed for editing does not come with it.
    (site / "needs.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python.parent


def test_the_whole_way_from_another_folder(installed, tmp_path):
    # No PYTHONPATH, which would lead to the checkout.
    environment = {
        "PATH": f"{installed}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }

    def sh(command):
        return run(["sh", "-ec", command], cwd=tmp_path, env=environment)

    package = sh('python -c "import fairseq_item; print(fairseq_item.__path__[0])"').strip()
    assert Path(package).is_relative_to(installed.parent)

    sh("item-demo --out demo --products 15 --image-size 48 --num-workers 1")
    sh("item-split demo/products.tsv --out splits --ratios 60 20 20")
    sh("item-bpe splits/train.tsv --out data-bin/title --vocab-size 330")
    sh("item-relist splits/test.tsv --image-root demo/images --out relisted --products 4")
    sh("item-queries demo/products.tsv --out queries --products 5")
    for split in ("train", "valid", "test"):
        sh(
            f"item-pack splits/{split}.tsv --image-root demo/images --out data-bin --split {split}"
            " --image-size 40 --patch-size 8 --num-workers 1"
        )
    sh(
        "item-pack relisted/query.tsv --image-root relisted/images --out data-bin --split query"
        " --image-size 40 --patch-size 8 --num-workers 1"
    )
    assert "titles" in sh("item-binarize data-bin")
    sh(
        "python -m fairseq_cli.train data-bin"
        f" {USER_DIR}"
        " --task item_pretraining --criterion item_pretraining --arch item_tiny"
        " --encoder-layers 1 --image-size 32 --patch-size 8 --optimizer adam --lr 1e-3"
        " --batch-size 8 --max-update 2 --save-dir model --cpu --num-workers 0"
    )
    embed = "item-embed --checkpoint model --data data-bin"
    sh(f"{embed} --split test --out test & {embed} --split query --out query && wait $!")
    sh("item-index test --out index")
    sh("item-search index --queries query --out hits.tsv -k 5")
    scores = sh("item-evaluate --hits hits.tsv --truth relisted/truth.tsv")
    assert "MAP" in scores.upper()
    sh("item-gallery --hits hits.tsv --data data-bin --out gallery.html")
    assert "<html" in (tmp_path / "gallery.html").read_text(encoding="utf-8")
