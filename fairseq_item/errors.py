"""The one exception that a user of a command is meant to see."""


class InputError(ValueError):
    """Input that cannot be used as it is.

    The message names the file, the row where there is one, and the mend, in one line.
    Commands print it without a traceback and exit with status 2 (see ``fairseq_item.cli``).
    """
