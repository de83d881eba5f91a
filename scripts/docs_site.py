"""Hooks of mkdocs.yml: pages from outside docs/, and links between files of the repository.

The pages are written to be read in the repository as well, where a link names a file or a folder.
In the site, the README files of examples/ and some files of the root are pages too.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Files outside docs/ -> their pages. MkDocs would make a README.md the page index.html.
OUTSIDE = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
EXAMPLES = "*.md", "*.png", "results/*.png"
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def pages():
    """file in the repository -> page of the site, both as paths with slashes."""
    docs = ROOT / "docs"
    found = {_name(path): _name(path, docs) for path in docs.rglob("*") if path.is_file()}
    for path in (path for kind in EXAMPLES for path in ROOT.glob(f"examples/*/{kind}")):
        found[_name(path)] = _name(path).replace("README.md", "index.md")
    return found | {name: page for name, page in OUTSIDE.items() if (ROOT / name).exists()}


def _name(path, root=ROOT):
    return path.relative_to(root).as_posix()


def relink(text, source, known):
    """Markdown of a file with its links turned to pages of the site.

    A link to a folder goes to its README.md. One to a file that is no page becomes plain text, and
    one to nothing stays, so that a strict build fails.

    Args:
        text: Markdown.
        source: the file's path in the repository.
        known: what :func:`pages` gave.
    """

    def link(match):
        image, label, target, anchor = match.groups()
        if re.match(r"\w+:", target):
            return match[0]
        path = os.path.normpath(os.path.join(os.path.dirname(source), target))
        if (ROOT / path).is_dir() and f"{path}/README.md" in known:
            path += "/README.md"
        if path in known:
            here = os.path.dirname(known[source])
            return f"{image}[{label}]({os.path.relpath(known[path], here or '.')}{anchor or ''})"
        return label if (ROOT / path).exists() else match[0]

    return LINK.sub(link, text)


def on_files(files, config):
    """MkDocs' event: add the pages from outside docs/."""
    from mkdocs.structure.files import File

    for source, page in pages().items():
        if not source.startswith("docs/"):
            files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown, page, config, files):
    """MkDocs' event: turn the links of a page."""
    known = pages()
    source = {page: source for source, page in known.items()}[page.file.src_uri]
    return relink(markdown, source, known)
