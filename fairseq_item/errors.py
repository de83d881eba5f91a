"""The one exception that a user of a command is meant to see."""

import pickle
import sys
from types import TracebackType


class InputError(ValueError):
    """Input that cannot be used as it is.

    The message names the file, the row where there is one, and the mend, in one line.
    Commands print it without a traceback and exit with status 2 (``commands.common.run``).
    """


def end_input_errors_with_one_line() -> None:
    """Let an uncaught InputError or OSError end fairseq's commands as it ends our own.

    So does a checkpoint that torch refuses for it holds more than tensors and settings.
    """
    if sys.excepthook is not _one_line:
        sys.excepthook = _one_line


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, pickle.UnpicklingError):  # torch's advice is to trust the file
        error = InputError(
            "the checkpoint holds more than tensors and settings, or is damaged: take another; "
            "where several processes resume, give --load-checkpoint-on-all-dp-ranks"
        )
    elif not issubclass(kind, InputError | OSError):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(f"error: {one_line(error)}\n")
    sys.exit(2)


def one_line(error: BaseException) -> str:
    """The message of an error on one line, whatever the program around it made of it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = str(error)
    if "Original Traceback" in text:  # of a loader's worker process, which torch sends along
        text = text.strip().splitlines()[-1].partition(": ")[2]
    return " ".join(text.split()) or type(error).__name__
