"""Copy a folder from or to an object store: s3://bucket/folder, gs://bucket/folder.

    item-copy s3://shop/data-bin data-bin
    item-copy model s3://shop/model

Files that are the same as when they were copied last are left out. Descriptions (.json) go last,
and are removed before what they describe is replaced, so that what was copied in part is never
taken for whole: run the command again.
"""

from pathlib import Path

from fairseq_item.commands.common import Parser, run, say, splits
from fairseq_item.errors import InputError
from fairseq_item.remote import Mirror, is_url, of_splits


def parser():
    """The options of ``item-copy``."""
    p = Parser(__doc__)
    p.add_argument("source", metavar="FROM", help="folder, or its URL")
    p.add_argument("target", metavar="TO", help="the other")
    p.add_argument(
        "--splits",
        type=splits,
        metavar="SPLIT,...",
        help="of a data-bin, these and the vocabulary only; comma-separated",
    )
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    if is_url(args.source) == is_url(args.target):
        raise InputError("one of FROM and TO is a URL, such as s3://bucket/folder; not both")
    wanted = [of_splits(args.splits)] if args.splits else []
    if is_url(args.source):
        Mirror(args.source.rstrip("/"), Path(args.target).resolve()).pull(*wanted)
    else:
        if not Path(args.source).is_dir():
            raise InputError(f"{args.source} is no folder; name the folder to copy")
        Mirror(args.target.rstrip("/"), Path(args.source).resolve()).push(*wanted)
    say(f"{args.target}: as {args.source}")


def cli():
    """Console script ``item-copy``."""
    run(main)


if __name__ == "__main__":
    cli()
