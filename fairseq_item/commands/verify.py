"""Read folders from end to end and compare them with the digests that were written with them.

A folder is a data-bin, a model, embeddings or an index. Sizes, layouts and small files are compared
whenever a folder is opened; this reads the large files, too: a disk that loses bits is found.
Prints a line for each part; exit status 2 if one is damaged.
"""

from pathlib import Path

from fairseq_item.commands.common import Parser, run, say
from fairseq_item.errors import InputError
from fairseq_item.verify import verify


def parser():
    """The options of ``item-verify``."""
    p = Parser(__doc__)
    p.add_argument("folders", nargs="+", metavar="FOLDER", help="folders to verify")
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    problems = []
    for folder in map(Path, args.folders):
        for name, problem in verify(folder):
            say(f"{name}: {problem or 'whole'}")
            problems += [problem] if problem else []
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}")


def cli():
    """Console script ``item-verify``."""
    run(main)


if __name__ == "__main__":
    cli()
