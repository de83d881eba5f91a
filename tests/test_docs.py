"""Commands in the docs: options that there are."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("export.md", "watching.md")


def commands(page):
    """The lines of a page's code blocks that begin with one of our commands, as words."""
    for block in re.findall(r"```\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("item-"):
                yield shlex.split(line)


@pytest.mark.parametrize("page", PAGES)
def test_commands_take_these_options(page):
    found = list(commands(page))
    assert found
    for name, *argv in found:
        module = importlib.import_module(f"fairseq_item.commands.{name.removeprefix('item-')}")
        module.parser().parse_args(argv)


@pytest.mark.parametrize("page", PAGES)
def test_images_are_there(page):
    for image in re.findall(r"!\[.*?\]\((.*?)\)", (DOCS / page).read_text()):
        assert (DOCS / image).exists(), image
