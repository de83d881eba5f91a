"""Commands in the documentation: their parsers take them, and the list of options is up to date.

Those of the tutorial are run on a small export.
"""

import csv
import importlib
import importlib.util
import re
import shlex
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fairseq_item.commands import train
from fairseq_item.errors import InputError

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(?:sh|bash)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<!`)`(item-[a-z]+ [^`]*)`(?!`)")
# Whole commands in tables: | step | `command` | in README, the last column of comparison.md.
STEPS = {
    "README.md": re.compile(r"^\| [^|]* \| `(item-[^`]*)`", re.MULTILINE),
    "docs/comparison.md": re.compile(r"\| `(item-[^`]* [^`]*)` \|$", re.MULTILINE),
}


def script():
    """scripts/command_help.py as a module."""
    spec = importlib.util.spec_from_file_location("h", ROOT / "scripts" / "command_help.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HELP = script()


def fenced_commands(text):
    """The lines of code blocks that begin with a command of ours, as words."""
    for block in FENCED.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if re.match(r"(\.venv/bin/)?item-", line):
                yield shlex.split(line.removeprefix(".venv/bin/"), comments=True)


def check(command, *argv):
    """Raise what the command's parser does; of item-train, what fairseq-train's does, too."""
    if command == "item-train":
        train.main(["--print", *argv])
    else:
        HELP.parser_of(command).parse_args(argv)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_fenced_commands_are_taken(page, capsys):
    for words in fenced_commands(page.read_text()):
        try:
            check(*words)
        except (InputError, SystemExit) as error:
            pytest.fail(f"{shlex.join(words)}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_flags_named_in_the_text_are_there(page):
    """Of `item-search --verify` and the like: whatever else is left out, the flags exist."""
    for command, rest in (span.split(None, 1) for span in INLINE.findall(page.read_text())):
        if command == "item-train":  # fairseq-train's options follow
            continue
        known = HELP.parser_of(command)._option_string_actions
        for flag in re.findall(r"(?<![\w-])--?[a-z][\w-]*", rest):
            assert flag in known, f"{command} {rest}"


@pytest.mark.parametrize("page", STEPS)
def test_commands_in_tables_are_taken(page, capsys):
    steps = STEPS[page].findall((ROOT / page).read_text())
    assert len(steps) > 10
    for step in steps:
        check(*shlex.split(step))


def test_wrong_commands_are_found():
    with pytest.raises(InputError, match="--oops"):
        check("item-split", "a.tsv", "--out", "b", "--oops")
    with pytest.raises(InputError, match="--out"):
        check("item-split", "a.tsv")
    with pytest.raises(InputError, match="no option oops"):
        check("item-train", "laptop", "data-bin", "--oops")


def test_page_of_commands_is_what_the_parsers_say():
    """After a change of options run: python scripts/command_help.py."""
    assert HELP.PAGE.read_text() == HELP.page()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_images_are_there(page):
    for image in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text()):
        assert (page.parent / image).exists(), image


class Photos(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def export(tmp_path):
    """products_export.csv of a shop with 40 products, whose photos are served at its addresses."""
    catalog = ("--out", str(tmp_path / "shop"), "--products", "40", "--image-size", "80")
    importlib.import_module("fairseq_item.commands.demo").main(catalog)
    handler = partial(Photos, directory=tmp_path / "shop" / "images")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with (
        open(tmp_path / "shop" / "products.tsv", encoding="utf-8") as products,
        open(tmp_path / "products_export.csv", "w", encoding="utf-8", newline="") as table,
    ):
        writer = csv.writer(table)
        writer.writerow(("Handle", "Title", "Type", "Image Src", "Image Position"))
        for row in csv.DictReader(products, delimiter="\t"):
            url = f"http://127.0.0.1:{server.server_port}/{row['image']}"
            writer.writerow((row["id"], row["title"], row["leaf_category"], url, 1))
    yield tmp_path
    server.shutdown()
    server.server_close()


# The pretrained network takes longer than all the rest, a service does not end, and training goes
# on for 500 updates: that is done in 2.
LEFT_OUT = ("item-features", "item-serve", "item-train")
MORE = {"item-fetch": ["--allow-private", "--delay", "0"]}
BRIEFLY = ["--max-update", 2, "--total-num-update", 2, "--warmup-updates", 1, "--batch-size", 32]


def test_the_tutorial_runs(export, monkeypatch, commands):
    monkeypatch.chdir(export)
    run = []
    for command, *argv in fenced_commands((ROOT / "docs" / "tutorial.md").read_text()):
        if command == "item-embed":  # the model is there by now
            save_dir = ("--save-dir", export / "model")
            arguments = ("laptop", export / "data-bin", *save_dir, *BRIEFLY)
            commands.run("fairseq_item.commands.train", *arguments)
        if command not in LEFT_OUT:
            module = HELP.command_names()[command]
            module = importlib.import_module(f"fairseq_item.commands.{module}")
            module.main([*argv, *MORE.get(command, [])])
            run.append(command)
    assert len(run) > 15
    assert (export / "gallery.html").exists()
