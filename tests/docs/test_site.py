"""The site: the pages of its menu are there, and links in the repository lead to pages."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!\w+:|#)([^)#\s]+)")


def script():
    """scripts/docs_site.py as a module."""
    spec = importlib.util.spec_from_file_location("d", ROOT / "scripts" / "docs_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SITE = script()


def menu(entries):
    """The pages of mkdocs.yml's nav."""
    for entry in entries:
        for where in entry.values():
            yield from menu(where) if isinstance(where, list) else (where,)


def test_what_the_menu_names_is_there():
    """The other way round, pages that it leaves out, `make docs` refuses."""
    named = list(menu(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert set(named) <= set(SITE.pages().values())
    assert len(named) == len(set(named))


@pytest.mark.parametrize("source", [s for s in SITE.pages() if s.endswith(".md")])
def test_links_lead_somewhere(source):
    """In the repository; the strict build of the site tries its own."""
    for target in LINK.findall((ROOT / source).read_text()):
        assert (ROOT / source).parent.joinpath(target).exists(), target


def test_links_are_turned():
    known = {
        "docs/a.md": "a.md",
        "README.md": "readme.md",
        "examples/quickstart/README.md": "examples/quickstart/index.md",
    }

    def relink(text, source="docs/a.md"):
        return SITE.relink(text, source, known)

    assert relink("[x](../examples/quickstart)") == "[x](examples/quickstart/index.md)"
    assert relink("[x](../README.md#results)") == "[x](readme.md#results)"
    assert relink("[x](../../docs/a.md)", "examples/quickstart/README.md") == "[x](../../a.md)"
    assert relink("[x](../setup.py)") == "x"  # a file that is no page
    for as_it_is in ("[x](nowhere.md)", "[x](https://example.org/a.md)", "[x](#here)"):
        assert relink(as_it_is) == as_it_is
