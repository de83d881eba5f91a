"""What is said of the package in several places is the same everywhere."""

import re
from pathlib import Path

import pytest
import yaml

import fairseq_item

ROOT = Path(__file__).parents[1]
SETUP = (ROOT / "setup.py").read_text()
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile.*"))
EXTRA = re.compile(r"^        \"([a-z-]+)\": \[", re.MULTILINE)


def test_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert f'version="{fairseq_item.__version__}"' in SETUP
    assert citation["version"] == fairseq_item.__version__
    assert (
        f"\n## {fairseq_item.__version__} - {citation['date-released']}\n"
        in (ROOT / "CHANGELOG.md").read_text()
    )


def test_the_set_up_names_extras_that_there_are():
    line = re.search(r"^extras=(.*)$", (ROOT / "scripts" / "setup_venv.sh").read_text(), re.M)[1]
    assert set(line.split(",")) <= set(EXTRA.findall(SETUP))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_docker_copies_what_there_is(path):
    text = path.read_text()
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources), line
    (extras,) = re.findall(r'pip install "\.\[(.*)\]"', text)
    assert set(extras.split(",")) <= set(EXTRA.findall(SETUP))
    assert "uninstall -y torchaudio" in text
    assert "-f docker/" + path.name in text  # how to build it


def test_the_wheel_would_hold_every_file_of_the_package():
    """By the patterns that setup.py gives; tests/test_install.py builds one."""
    patterns = re.search(r'package_data=\{"fairseq_item": \[(.*?)\]', SETUP, re.DOTALL)[1]
    package, covered = ROOT / "fairseq_item", set()
    for pattern in re.findall(r'"(.*?)"', patterns):
        covered.update(package.glob(pattern))
    others = {p for p in package.rglob("*.*") if p.suffix not in (".py", ".pyc") and p.is_file()}
    assert others <= covered
    assert others
