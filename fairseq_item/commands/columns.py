"""Flags that say what a catalogue calls its columns."""

from dataclasses import fields

from fairseq_item.data.catalog import Columns, read_catalog

HELP = {
    "id": "unique id of a row",
    "title": "title",
    "image": "file name of the image, relative to the image root",
    "leaf_category": "leaf category, if there is one",
    "product": "product that several rows may share, if there is one",
    "split": "train, valid or test, if there is one",
}


def add_columns(parser):
    """Add a flag per column: ``--id-column``, ``--title-column`` and so on."""
    group = parser.add_argument_group("names of the catalogue's columns")
    for field in fields(Columns):
        flag = f"--{field.name.replace('_', '-')}-column"
        group.add_argument(flag, default=field.default, metavar="NAME", help=HELP[field.name])


def columns_of(args):
    """The :class:`Columns` that the flags of :func:`add_columns` name."""
    return Columns(**{f.name: getattr(args, f"{f.name}_column") for f in fields(Columns)})


def add_index(parser):
    """Add ``--index``."""
    parser.add_argument(
        "--index",
        nargs="+",
        default=[],
        metavar="FILE",
        help="further catalogues that are searched: what is the same product there is a true match",
    )


def read_others(args):
    """The catalogues of :func:`add_index`: list of ``Catalog``."""
    return [read_catalog(path, columns_of(args)) for path in args.index]
