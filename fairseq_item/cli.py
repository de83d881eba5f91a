"""What all commands share: help with defaults, progress, logging, and one-line errors."""

import argparse
import logging
import sys

from tqdm import tqdm

from fairseq_item.errors import InputError


def arguments(description):
    """An argument parser whose ``--help`` shows every default and keeps paragraphs apart."""
    return argparse.ArgumentParser(description=description, formatter_class=_Help)


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):
        return action.help if action.default is None else super()._get_help_string(action)

    def _fill_text(self, text, width, indent):
        fill = super()._fill_text
        paragraphs = text.strip().split("\n\n")
        # Indented paragraphs are commands to copy: their lines stay as they are.
        return "\n\n".join(p if p[:1] == " " else fill(p, width, indent) for p in paragraphs)


def progress(iterable, desc, total=None, unit="it"):
    """Iterate with a progress bar on a terminal, and with a plain line now and then in a log.

    Args:
        iterable: what to iterate over.
        desc: what is being done, a few words.
        total: number of steps, taken from ``len(iterable)`` where that is known.
        unit: what one step is ("image", "product").
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        iterable,
        desc=desc,
        total=total,
        unit=f" {unit}",
        file=sys.stderr if terminal else _PlainLines(),
        # In a log, work of a few seconds is not worth a line.
        delay=0 if terminal else 5.0,
        mininterval=0.2 if terminal else 10.0,
        miniters=None if terminal else 1,
        ncols=None if terminal else 100,
        ascii=not terminal,
    )


class _PlainLines:
    """A stderr for tqdm in which each refresh is a line of its own."""

    def write(self, text):
        text = text.strip("\r\n ")
        if text:
            sys.stderr.write(text + "\n")

    def flush(self):
        sys.stderr.flush()


def run(main, argv=None):
    """Run a command's ``main(argv)`` and turn bad input into one line and exit status 2.

    Raises:
        SystemExit: always; status 0 after success, 2 after ``InputError``, 130 after Ctrl-C.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s | %(levelname)s | %(message)s", stream=sys.stderr
    )
    try:
        main(argv)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) left; keep Python from complaining again while it shuts down.
        sys.stderr.close()
        sys.exit(0)
    sys.exit(0)


def end_input_errors_with_one_line():
    """Let an uncaught InputError end the process as it ends :func:`run`: for fairseq's commands."""
    if sys.excepthook is not _one_line:
        sys.excepthook = _one_line


def _one_line(kind, error, trace):
    if not issubclass(kind, InputError):
        return sys.__excepthook__(kind, error, trace)
    sys.stderr.write(f"error: {error}\n")
    sys.exit(2)
