"""What all commands share: parsers, argument types, flags of one meaning, output."""

import argparse
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import fairseq_item
from fairseq_item import progress
from fairseq_item.engines import Engine, Local, Ray
from fairseq_item.errors import InputError, one_line


class Parser(argparse.ArgumentParser):
    """A parser whose errors are :class:`InputError`, so that they take one line as all others do.

    ``--help`` shows every default and keeps paragraphs apart. Every command has ``--version`` and
    ``--quiet``.

    Args:
        description: what the command does; usually its module's docstring.
    """

    def __init__(self, description: str) -> None:
        super().__init__(description=description, formatter_class=_Help)
        version = f"fairseq-item {fairseq_item.__version__}"
        self.add_argument("--version", action="version", version=version)
        self.add_argument(
            "--quiet", action=_Quiet, nargs=0, help="print results, warnings and errors only"
        )

    def add_old_name(self, option: argparse.Action, *names: str) -> None:
        """Let ``names``, which ``--help`` does not show, stand for an option of this parser.

        Args:
            option: what ``add_argument`` returned; it must not be a required one.
            names: such as "--workers".
        """
        self.add_argument(
            *names,
            dest=option.dest,
            type=option.type or str,
            nargs=option.nargs,
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
        )

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


class _Quiet(argparse.Action):
    def __call__(self, *_: object) -> None:
        progress.be_quiet()
        logging.getLogger().setLevel(logging.WARNING)


class _Help(argparse.HelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        default = action.default
        if default is None or default is False or default == argparse.SUPPRESS or default == []:
            return action.help
        if isinstance(default, (list, tuple)):
            default = " ".join(map(str, default))
        return f"{action.help} (default: {str(default).replace('%', '%%')})"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        paragraphs = text.strip().split("\n\n")
        # Indented paragraphs are commands to copy: their lines stay as they are.
        return "\n\n".join(p if p[:1] == " " else fill(p, width, indent) for p in paragraphs)


# Types of arguments.

# Beyond, nothing that is counted or weighed makes sense, and seeds do not fit everywhere.
MOST = 10**9
# More processes are no machine's, and would take its memory before the first does anything.
MOST_WORKERS = 1024


def positive(text: str) -> int:
    """An integer of 1 or more."""
    return _number(text, int, 1, MOST, "a whole number of 1 or more, up to a billion")


def not_negative(text: str) -> int:
    """An integer of 0 or more."""
    return _number(text, int, 0, MOST, "a whole number of 0 or more, up to a billion")


def workers(text: str) -> int:
    """An integer of 1 to ``MOST_WORKERS``."""
    return _number(text, int, 1, MOST_WORKERS, f"a whole number of 1 to {MOST_WORKERS:,}")


def workers_or_none(text: str) -> int:
    """An integer of 0 to ``MOST_WORKERS``."""
    return _number(text, int, 0, MOST_WORKERS, f"a whole number of 0 to {MOST_WORKERS:,}")


def fraction(text: str) -> float:
    """A number within 0 and 1."""
    return _number(text, float, 0, 1, "a number within 0 and 1")


def amount(text: str) -> float:
    """A number of 0 to 1e9."""
    return _number(text, float, 0, MOST, "a number of 0 to 1e9")


def words(text: str) -> str:
    """Text of which something can be seen."""
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise argparse.ArgumentTypeError(f"{text!r} is blank; give some words, or leave it out")
    return text


def _number(text: str, kind: Callable[[str], Any], least: float, most: float, what: str) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:  # false for NaN, too
        raise argparse.ArgumentTypeError(f"'{text}' is not {what}")
    return value


def splits(text: str) -> list[str]:
    """Names of splits, with commas between them: a list of str."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"'{text}' names no split; give one such as test")
    return names


# Flags that several commands have.


def add_answers(parser: Parser, default: int = 10, help: str = "answers a query") -> None:
    """Add ``-k``."""
    parser.add_argument("-k", type=positive, default=default, metavar="N", help=help)


def add_seed(parser: Parser, help: str = "of everything drawn at random") -> None:
    """Add ``--seed``."""
    parser.add_argument("--seed", type=not_negative, default=1, metavar="N", help=help)


def add_workers(
    parser: Parser, default: int | None = None, help: str = "processes that work side by side"
) -> None:
    """Add ``--num-workers``; ``default`` None takes one a core. ``--workers`` was its old name."""
    kind = workers if default is None else workers_or_none
    default = os.cpu_count() if default is None else default
    option = parser.add_argument(
        "--num-workers", type=kind, default=default, metavar="N", help=help
    )
    parser.add_old_name(option, "--workers")


def add_engine(parser: Parser, gpus: bool = False) -> None:
    """Add ``--engine``, and what a worker of Ray takes of a machine; see :func:`engine_of`.

    Args:
        parser: :class:`Parser`; it has ``--num-workers``.
        gpus: whether GPUs are of use.
    """
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="what does the work: --num-workers processes here, or as many as the Ray cluster of "
        "RAY_ADDRESS has room for; both write the same bytes",
    )
    parser.add_argument(
        "--cpus-per-worker",
        type=positive,
        default=1,
        metavar="N",
        help="CPUs, and threads, of a worker of --engine ray",
    )
    if gpus:
        parser.add_argument(
            "--gpus-per-worker",
            type=fraction,
            default=0.0,
            metavar="F",
            help="part of a GPU, for a worker of --engine ray; workers of one GPU read and compute "
            "in turns",
        )


def engine_of(args: argparse.Namespace) -> Engine:
    """What :func:`add_engine` asked for: ``--num-workers`` processes, or all of a Ray cluster.

    Raises:
        InputError: Ray is not installed, or its cluster not there.
    """
    if args.engine == "local":
        return Local(max(1, args.num_workers))
    return Ray(args.cpus_per_worker, getattr(args, "gpus_per_worker", 0))


def add_splits(
    parser: Parser,
    default: str | None,
    help: str,
    flag: str = "--splits",
    old: str | None = "--split",
) -> None:
    """Add ``--splits``, or ``--query-splits`` or ``--index-splits``: a list of str.

    Args:
        parser: :class:`Parser`.
        default: such as "train,valid"; None leaves it to the command.
        help: what the splits are; that commas go between them is added.
        flag: its name.
        old: its old name, None if it has none.
    """
    option = parser.add_argument(
        flag, type=splits, default=default, metavar="SPLIT,...", help=f"{help}, comma-separated"
    )
    if old:
        parser.add_old_name(option, old)


def add_computing(parser: Parser) -> None:
    """Add ``--batch-size``, ``--num-workers`` and ``--device``, for commands that run a model."""
    parser.add_argument(
        "--batch-size", type=positive, default=128, metavar="N", help="products computed at once"
    )
    add_workers(parser, 0, "processes that read products; 0 reads them between the batches")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def add_network(parser: Any) -> None:
    """Add ``--network``, ``--weights-file``, ``--device`` and ``--compute-dtype`` of a frozen one.

    Args:
        parser: :class:`Parser`, or a group of one.
    """
    parser.add_argument(
        "--network",
        default="efficientnet-lite0",
        help="efficientnet-lite0, resnet50 or vit-b-16 (torchvision's)",
    )
    parser.add_argument("--weights-file", metavar="FILE", help="state dict of the network")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--compute-dtype",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="precision of the network; auto: on a CPU the faster one, measured",
    )


def add_indexes(parser: Parser) -> None:
    """``INDEX...``, the folders to search."""
    parser.add_argument(
        "index",
        nargs="+",
        metavar="INDEX",
        help="folder that item-index wrote; several, the later ones made --like the first, are "
        "searched as one",
    )


def add_verify(parser: Parser) -> None:
    """Add ``--verify``."""
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read all of the stored arrays first, to see whether they are as they were written; "
        "otherwise of large ones a sample",
    )


def add_bootstrap(parser: Parser) -> None:
    """Add ``--bootstrap``."""
    parser.add_argument(
        "--bootstrap",
        type=not_negative,
        default=1000,
        metavar="N",
        help="samples for 95%% intervals; 0: none",
    )


# Output.


def say(text: str) -> None:
    """Print a line that tells what a command did; nothing under ``--quiet``."""
    if not progress.quiet():
        sys.stdout.write(f"{text}\n")


def show(result: str | dict) -> None:
    """Print what a command was asked for, under ``--quiet`` too: text, or a dict as JSON."""
    text = result if isinstance(result, str) else json.dumps(result)
    sys.stdout.write(text.removesuffix("\n") + "\n")


def run(main: Callable[[Any], object], argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command's ``main(argv)`` and turn bad input into one line and exit status 2.

    Raises:
        SystemExit: always; status 0 after success, 2 after ``InputError`` or ``OSError``, 130
            after Ctrl-C.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s | %(levelname)s | %(message)s", stream=sys.stderr
    )
    for stream in (sys.stdout, sys.stderr):  # names of files may hold bytes that are no text
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        main(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) left; keep Python from complaining again while it shuts down.
        sys.stderr.close()
        sys.exit(0)
    except (InputError, OSError) as error:
        sys.stderr.write(f"error: {one_line(error)}\n")
        sys.exit(2)
    except MemoryError:
        sys.stderr.write("error: there is not enough memory for this\n")
        sys.exit(2)
    sys.exit(0)
