"""Writes docs/commands.md, the options of every item-* command, from the commands' parsers.

tests/docs/test_commands.py fails where the page is not what this would write.
"""

import argparse
import importlib
import re
import textwrap
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "commands.md"
HEAD = """\
# Commands

What `--help` says, written by `python scripts/command_help.py` from the parsers themselves. Every
command has `--help`, `--version` and `--quiet` (results, warnings and errors only) besides. Bad
input ends in one line with exit status 2.
"""
# In every parser, and told in HEAD.
EVERYWHERE = ("--help", "--version", "--quiet")


def command_names():
    """item-NAME -> name of its module in ``fairseq_item.commands``, in the order of setup.py."""
    listed = re.search(r"^COMMANDS = \((.*?)^\)", (ROOT / "setup.py").read_text(), re.S | re.M)[1]
    return {f"item-{name.rstrip('_')}": name for name in re.findall(r'"(\w+)"', listed)}


def parser_of(command):
    """The ``ArgumentParser`` of a command, such as "item-search"."""
    module = importlib.import_module(f"fairseq_item.commands.{command_names()[command]}")
    parser = module.parser()
    parser.prog = command
    return parser


def page():
    """The whole page as Markdown, the same on every machine and Python."""
    # A default of one process a core is said in words.
    with mock.patch("os.cpu_count", return_value="one a core"):
        return "\n".join([HEAD, *(section(command) for command in command_names())])


def section(command):
    """What ``command --help`` says, as Markdown."""
    parser = parser_of(command)
    lines = [f"## {command}", "", description(parser.description), "", f"`{usage(parser)}`", ""]
    first, second, *others = parser._action_groups  # positional arguments and options: one table
    titled = [("", first._group_actions + second._group_actions)]
    titled += [(f"**{cell(g.title[:1].upper() + g.title[1:])}**", g._group_actions) for g in others]
    for title, actions in titled:
        rows = [row(parser, action) for action in actions if told(action)]
        if rows:
            lines += [title, ""] if title else []
            lines += ["| argument | what | default |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def told(action):
    """Whether an argument has a line of its own."""
    return action.help != argparse.SUPPRESS and not set(EVERYWHERE) & set(action.option_strings)


def description(text):
    """A docstring as Markdown; indented paragraphs are commands to copy."""
    paragraphs = []
    for paragraph in text.strip().split("\n\n"):
        if paragraph.startswith("    "):
            paragraphs.append("```\n" + textwrap.dedent(paragraph) + "\n```")
        else:
            paragraphs.append(re.sub(r"``([^`]*)``", r"`\1`", paragraph))
    return "\n\n".join(paragraphs)


def usage(parser):
    """The shortest call: what has to be given."""
    needed = [a for a in parser._actions if a.required and a.help != argparse.SUPPRESS]
    needed.sort(key=lambda action: bool(action.option_strings))  # what has no flag goes first
    return " ".join([parser.prog, *map(written, needed), "[options]"])


def written(action):
    """An argument as it is written on a command line, with a name for its value."""
    flags = action.option_strings  # a long one, where there is one; old names stand behind it
    flag = [f for f in flags if f.startswith("--")][:1] or flags[:1]
    if action.nargs == 0:
        return flag[0]
    names = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}"
        if action.choices
        else (action.dest.upper() if flag else action.dest)
    )
    if isinstance(names, tuple):
        return " ".join([*flag, *names])
    more = {"+": f"{names} ...", argparse.REMAINDER: "..."}.get(action.nargs, names)
    if isinstance(action.nargs, int):
        more = " ".join([names] * action.nargs)
    return " ".join([*flag, more])


def row(parser, action):
    """The table row of an argument: how it is written, what it does, its default."""
    default = action.default
    if default is None or default is False or default in ([], "", argparse.SUPPRESS):
        default = "required" if action.required and action.option_strings else ""
    elif isinstance(default, (list, tuple)):
        default = " ".join(map(str, default))
    what = (action.help or "") % {"prog": parser.prog}
    return f"| `{cell(written(action))}` | {cell(what)} | {cell(str(default))} |"


def cell(text):
    """Text that stays within a cell of a table, and is no markup."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
