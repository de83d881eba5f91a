"""The one exception that a user of a command is meant to see."""

import sys
from types import TracebackType


class InputError(ValueError):
    """Input that cannot be used as it is.

    The message names the file, the row where there is one, and the mend, in one line.
    Commands print it without a traceback and exit with status 2 (``commands.common.run``).
    """


def end_input_errors_with_one_line() -> None:
    """Let an uncaught InputError end fairseq's commands as it ends our own."""
    if sys.excepthook is not _one_line:
        sys.excepthook = _one_line


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, InputError):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(f"error: {error}\n")
    sys.exit(2)
