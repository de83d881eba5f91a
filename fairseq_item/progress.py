"""Progress of long work: a bar on a terminal, plain lines in a log."""

import shutil
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
# In a log: seconds before the first line, as work of a few is not worth one, and between two.
LOG_DELAY, LOG_INTERVAL = 5.0, 10.0
_quiet = False


def be_quiet() -> None:
    """Show no progress from now on."""
    global _quiet
    _quiet = True


def quiet() -> bool:
    """Whether :func:`be_quiet` was called."""
    return _quiet


def progress(
    iterable: Iterable[T], desc: str, total: int | None = None, unit: str = "it"
) -> Iterable[T]:
    """Iterate with a progress bar on a terminal, and with a plain line now and then in a log.

    Args:
        iterable: what to iterate over.
        desc: what is being done, a few words.
        total: number of steps, taken from ``len(iterable)`` where that is known.
        unit: what one step is ("image", "product").
    """
    terminal = sys.stderr.isatty()
    # Some terminals say that they are 0 by 0, where tqdm draws nothing; this then takes 80 by 24.
    columns, lines = shutil.get_terminal_size()
    return tqdm(
        iterable,
        desc=desc,
        total=total,
        unit=f" {unit}",
        disable=_quiet,
        file=sys.stderr if terminal else _PlainLines(),
        delay=0 if terminal else LOG_DELAY,
        mininterval=0.2 if terminal else LOG_INTERVAL,
        miniters=None if terminal else 1,
        ncols=columns - 1 if terminal else 100,
        nrows=lines,
        ascii=not terminal,
    )


class _PlainLines:
    """A stderr for tqdm in which each refresh is a line of its own."""

    def write(self, text: str) -> None:
        text = text.strip("\r\n ")
        if text:
            sys.stderr.write(text + "\n")

    def flush(self) -> None:
        sys.stderr.flush()
