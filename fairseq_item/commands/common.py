"""What all commands share: help with defaults, and one-line errors."""

import argparse
import logging
import sys

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
