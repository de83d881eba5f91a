"""The one exception that a user of a command is meant to see."""

import sys


class InputError(ValueError):
    """Input that cannot be used as it is.

    The message names the file, the row where there is one, and the mend, in one line.
    Commands print it without a traceback and exit with status 2 (``commands.common.run``).
    """


def end_input_errors_with_one_line():
    """Let an uncaught InputError end fairseq's commands as it ends our own."""
    if sys.excepthook is not _one_line:
        sys.excepthook = _one_line


def _one_line(kind, error, trace):
    if not issubclass(kind, InputError):
        return sys.__excepthook__(kind, error, trace)
    sys.stderr.write(f"error: {error}\n")
    sys.exit(2)
