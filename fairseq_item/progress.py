"""Progress of long work: a bar on a terminal, plain lines in a log."""

import sys

from tqdm import tqdm

_quiet = False


def be_quiet():
    """Show no progress from now on."""
    global _quiet
    _quiet = True


def quiet():
    """Whether :func:`be_quiet` was called."""
    return _quiet


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
        disable=_quiet,
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
