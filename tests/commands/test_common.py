"""What all console commands share, read off setup.py's list of them; and what they print where."""

import ast
import importlib
import json
import os
import pty
import re
import subprocess
import sys
import termios
from argparse import SUPPRESS
from pathlib import Path

import pytest

import fairseq_item
from fairseq_item import progress
from fairseq_item.commands import common
from fairseq_item.commands.common import Parser, run, say, show
from fairseq_item.errors import InputError

ROOT = Path(__file__).parents[2]


def console_commands():
    """``COMMANDS`` of setup.py."""
    for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "COMMANDS":
            return ast.literal_eval(node.value)
    raise AssertionError("setup.py has no COMMANDS")


COMMANDS = console_commands()


@pytest.fixture(autouse=True)
def _not_quiet(monkeypatch):
    monkeypatch.setattr(progress, "_quiet", False)


class Stop(Exception):
    """Carries a command's parser out of its ``main``."""


@pytest.fixture
def parser_of(monkeypatch):
    """A function from a command's name to its parser."""

    def stop(self, argv=None):
        raise Stop(self)

    def get(name):
        with monkeypatch.context() as patch:
            patch.setattr(Parser, "parse_args", stop)
            try:
                importlib.import_module(f"fairseq_item.commands.{name}").main([])
            except Stop as end:
                return end.args[0]
        raise AssertionError(f"item-{name} has no common.Parser")

    return get


def ends(name, argv, monkeypatch):
    """Run console script ``item-NAME``; returns its exit status."""
    monkeypatch.setattr(sys, "argv", [f"item-{name}", *argv])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(f"fairseq_item.commands.{name}").cli()
    return end.value.code


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_every_default(name, parser_of, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100000")
    assert ends(name, ["--help"], monkeypatch) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"usage: item-{name}" in text
    for action in parser_of(name)._actions:
        if action.help == SUPPRESS:
            continue
        assert action.help, f"{action.dest} has no help"
        about, default = " ".join(action.help.replace("%%", "%").split()), action.default
        if default in (None, SUPPRESS, []) or default is False:
            assert about in text
            continue
        if isinstance(default, (list, tuple)):
            default = " ".join(map(str, default))
        assert f"{about} (default: {default})" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_version(name, monkeypatch, capsys):
    assert ends(name, ["--version"], monkeypatch) == 0
    assert capsys.readouterr().out == f"fairseq-item {fairseq_item.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_bad_options_end_in_one_line(name, monkeypatch, capsys):
    """Of required arguments and of options that are not there."""
    for argv in (["--no-such-option"], ["a", "b", "--no-such-option", "c"]):
        assert ends(name, argv, monkeypatch) == 2
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith("error: ")


# Flags that mean the same wherever they are, and the types that they may have.
SHARED = {
    "-k": {"positive"},
    "--seed": {"not_negative"},
    "--batch-size": {"positive"},
    # By itself, or beside the process that computes.
    "--num-workers": {"workers", "workers_or_none"},
    "--bootstrap": {"not_negative"},
    "--splits": {"splits"},
    "--query-splits": {"splits"},
    "--index-splits": {"splits"},
    "--device": {None},
}
OLD = {"--workers": "--num-workers", "--split": "--splits"}


@pytest.mark.parametrize("name", COMMANDS)
def test_shared_flags_mean_the_same(name, parser_of):
    for action in parser_of(name)._actions:
        for flag in action.option_strings:
            if flag in SHARED:
                assert getattr(action.type, "__name__", None) in SHARED[flag], flag
                # item-binarize has always taken several lists as well.
                assert action.nargs is None or (name, flag) == ("binarize", "--splits"), flag


@pytest.mark.parametrize("name", COMMANDS)
def test_old_names_are_taken_but_not_shown(name, parser_of):
    parser = parser_of(name)
    flags = parser._option_string_actions
    for old, new in OLD.items():
        if new in flags:
            # argparse takes the beginning of a flag for the whole.
            assert old in flags or new.startswith(old), f"item-{name} has no {old}"
            assert f"{old} " not in parser.format_help()


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (common.positive, {"1": 1, "12": 12}, ("0", "-1", "1.5", "many", "", "nan", "9" * 20)),
        (common.not_negative, {"0": 0, "7": 7}, ("-1", "0.5", "x")),
        (common.fraction, {"0": 0, "0.25": 0.25, "1": 1}, ("-0.1", "1.1", "nan", "inf", "half")),
        (common.amount, {"0": 0, "1e3": 1000}, ("-1", "inf", "nan", "much", "1e308")),
        (common.splits, {"a": ["a"], "a, b,": ["a", "b"]}, ("", ",", " , ")),
        (common.words, {" a": " a", "靴": "靴", "!": "!"}, ("", " ", "\u3000", "\xa0")),
    ],
)
def test_types(kind, good, bad):
    parser = Parser("d")
    parser.add_argument("--x", type=kind)
    for text, value in good.items():
        assert parser.parse_args(["--x", text]).x == value
    for text in bad:
        with pytest.raises(InputError, match=f"argument --x: {re.escape(repr(text))}"):
            parser.parse_args([f"--x={text}"])


def test_shared_arguments_and_their_old_names():
    parser = Parser("d")
    common.add_computing(parser)
    common.add_splits(parser, "test,valid", "splits")
    given = vars(parser.parse_args(["--workers", "3", "--split", "a,b"]))
    assert given["num_workers"] == 3
    assert given["splits"] == ["a", "b"]
    given = vars(parser.parse_args([]))
    assert given["num_workers"] == 0
    assert given["splits"] == ["test", "valid"]
    assert given["batch_size"] == 128
    parser = Parser("d")
    common.add_workers(parser)
    assert parser.parse_args([]).num_workers == os.cpu_count()
    with pytest.raises(InputError, match="argument --workers: '0'"):
        parser.parse_args(["--workers", "0"])


def test_what_is_asked_for_is_printed_and_all_else_may_be_silenced(capsys):
    for argv in ([], ["--quiet"]):
        Parser("d").parse_args(argv)
        say("done")
        show({"score": 1.5})
        show("a table\n")
        printed = capsys.readouterr().out.splitlines()
        expected = ['{"score": 1.5}', "a table"]
        assert printed == (expected if argv else ["done", *expected])
    assert json.loads(printed[0]) == {"score": 1.5}


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("no such file"), 2, "error: no such file\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_how_a_command_ends(error, status, said, capsys):
    def main(argv):
        raise error

    with pytest.raises(SystemExit) as end:
        run(main, [])
    assert end.value.code == status
    assert capsys.readouterr().err == said


# What a person sees at a terminal, and what a log gets.

LONG_WORK = """
import logging, time
from fairseq_item import progress
from fairseq_item.commands.common import Parser, run, say, show

def main(argv):
    Parser("Long work.").parse_args(argv)
    logging.getLogger("work").info("begins")
    logging.getLogger("work").warning("beware")
    for _ in progress.progress(range(12), "packing", unit="image"):
        time.sleep(0.05)
    say("12 images packed")
    show({"images": 12})

progress.LOG_DELAY, progress.LOG_INTERVAL = DELAYS
run(main)
"""


def long_work(delays=(0.05, 0.1)):
    return [sys.executable, "-c", LONG_WORK.replace("DELAYS", str(delays))]


def at_terminal(command, size=(24, 80)):
    """Everything that a command writes to a terminal of its own, of so many lines and columns."""
    here, there = pty.openpty()
    termios.tcsetwinsize(there, size)
    process = subprocess.Popen(command, cwd=ROOT, stdin=there, stdout=there, stderr=there)
    os.close(there)
    written = b""
    try:
        while more := os.read(here, 4096):
            written += more
    except OSError:  # Linux: the other end is closed
        pass
    os.close(here)
    assert process.wait() == 0, written
    return written.decode()


def piped(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("size", [(24, 80), (0, 0)])
def test_a_terminal_shows_a_bar(size):
    """On terminals, too, that do not say how large they are."""
    written = at_terminal(long_work(), size)
    bars = [text for text in written.split("\r") if "packing:" in text]
    assert len(bars) > 2  # one drawn over the other
    assert "100%" in bars[-1]
    assert "12/12" in bars[-1]
    assert "12 images packed" in written


def test_a_log_gets_plain_lines():
    out, err = piped(long_work())
    assert out == '12 images packed\n{"images": 12}\n'
    assert "\r" not in err
    assert "\x1b" not in err
    lines = err.splitlines()
    assert sum("begins" in line for line in lines) == 1
    assert err.isascii()
    reports = [line for line in lines if line.startswith("packing:")]
    assert 2 <= len(reports) <= 8
    assert "12/12" in reports[-1]


def test_short_work_is_not_worth_a_line_in_a_log():
    _, err = piped(long_work((progress.LOG_DELAY, progress.LOG_INTERVAL)))
    assert "packing" not in err


def test_quiet_leaves_results_and_warnings():
    command = [*long_work(), "--quiet"]
    out, err = piped(command)
    assert out == '{"images": 12}\n'
    (line,) = err.splitlines()
    assert line.endswith("beware")
    written = at_terminal(command)
    assert "packing" not in written
    assert "images packed" not in written
    assert '{"images": 12}' in written


@pytest.mark.parametrize(("default", "least"), [(None, 1), (0, 0)])
def test_no_more_workers_than_any_machine_has(default, least):
    parser = Parser("x")
    common.add_workers(parser, default)
    assert parser.parse_args(["--num-workers", "1024"]).num_workers == 1024
    assert parser.parse_args([]).num_workers == (os.cpu_count() if least else 0)
    for flag, value in (("--num-workers", "100000"), ("--workers", str(least - 1))):
        with pytest.raises(InputError, match=f"number of {least} to 1,024"):
            parser.parse_args([f"{flag}={value}"])
