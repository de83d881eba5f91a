"""Reading a catalogue of products: any of its formats, under one set of column names."""

from dataclasses import dataclass, fields

from fairseq_item.data.catalog_formats import open_table
from fairseq_item.data.text import clean_field
from fairseq_item.data.tsv import TsvWriter, iter_items, read_items, write_tsv
from fairseq_item.data.unique import Suspects
from fairseq_item.errors import InputError

__all__ = [
    "Catalog",
    "Columns",
    "TsvWriter",
    "add_column_arguments",
    "iter_items",
    "read_catalog",
    "read_items",
    "write_tsv",
]


@dataclass(frozen=True)
class Columns:
    """What the catalogue calls the columns that have a meaning here."""

    id: str = "id"
    title: str = "title"
    image: str = "image"
    leaf_category: str = "leaf_category"
    product: str = "product"
    split: str = "split"

    @classmethod
    def from_args(cls, args):
        """Take the names that :func:`add_column_arguments` parsed."""
        return cls(**{field.name: getattr(args, f"{field.name}_column") for field in fields(cls)})


HELP = {
    "id": "unique id of a row",
    "title": "title",
    "image": "file name of the image, relative to the image root",
    "leaf_category": "leaf category, if there is one",
    "product": "product that several rows may share, if there is one",
    "split": "train, valid or test, if there is one",
}


def add_column_arguments(parser):
    """Add a flag per column: ``--id-column``, ``--title-column`` and so on."""
    group = parser.add_argument_group("names of the catalogue's columns")
    for field in fields(Columns):
        flag = f"--{field.name.replace('_', '-')}-column"
        group.add_argument(flag, default=field.default, metavar="NAME", help=HELP[field.name])


class Catalog:
    """The rows of a catalogue, under the names of :class:`Columns` whatever its file calls them.

    Iterating yields (number, row): the line (``unit`` "line", counting the header) or row
    (``unit`` "row", Parquet) it lies on, and a dict of strings, column name -> value. Every
    iteration reads the file anew, row by row, so that a catalogue need not fit into memory.

    Attributes:
        fieldnames: id, title, image, those of leaf_category, product and split that there are,
            then the further columns in the file's order. A further column that has one of the
            six names without being mapped to it is called ``catalog_{name}``.

    Raises:
        InputError: the file cannot be read or lacks a column. Iterating raises it too: at an
            empty id, at a broken row, and at the end if an id is repeated or there was no row.
    """

    def __init__(self, path, columns=Columns(), require=("id", "title", "image")):
        self.path = path
        self._table = open_table(path)
        self.unit = self._table.unit
        names = self._canonical_names(columns, require)
        known = [field.name for field in fields(Columns) if field.name in names]
        self.fieldnames = known + [name for name in names if name not in known]
        order = {name: i for i, name in enumerate(names)}
        self._order = [order[name] for name in self.fieldnames]

    def _canonical_names(self, columns, require):
        """The names that the file's columns get, in the file's order."""
        found = self._table.fieldnames
        repeated = [name for name in found if found.count(name) > 1]
        if repeated:
            raise InputError(f"{self.path} has two columns '{repeated[0]}'; rename one of them")
        canonical = {}
        for field in fields(Columns):
            name = getattr(columns, field.name)
            if name in canonical:
                raise InputError(
                    f"{self.path}: column '{name}' is named as both {canonical[name]} and "
                    f"{field.name}; name one column for each"
                )
            if name in found:
                canonical[name] = field.name
            elif field.name in require or name != field.default:
                flag = f"--{field.name.replace('_', '-')}-column"
                raise InputError(
                    f"{self.path} has no column '{name}' (it has {', '.join(found)}); "
                    f"name the right one with {flag}"
                )
        names = []
        for name in found:
            if name in canonical:
                name = canonical[name]
            elif name in Columns.__dataclass_fields__:
                while name in found:
                    name = f"catalog_{name}"
            names.append(name)
        return names

    def where(self, number):
        """How messages name a row: "catalog.tsv line 5"."""
        return f"{self.path} {self.unit} {number}"

    def __iter__(self):
        names, order = self.fieldnames, self._order
        has_id = names[:1] == ["id"]
        suspects = Suspects()
        number = None
        for number, values in self._table.rows():
            row = {name: values[i] for name, i in zip(names, order)}
            if has_id:
                row["id"] = _clean_id(row["id"])
                if not row["id"]:
                    where = self.where(number)
                    raise InputError(f"{where} has an empty id; give each row one of its own")
                suspects.add(row["id"])
            yield number, row
        if number is None:
            raise InputError(f"{self.path} has no rows; it needs one per product")
        repeat = suspects.repeat(
            lambda: ((number, _clean_id(values[order[0]])) for number, values in self._table.rows())
        )
        if repeat:
            name, number, first = repeat
            raise InputError(
                f"{self.where(number)} repeats the id '{name}' of {self.unit} {first}; "
                "give each row one of its own"
            )


def _clean_id(value):
    return clean_field(value).strip()


def read_catalog(path, columns=Columns(), require=("id", "title", "image")):
    """Open a catalogue: ``for number, row in read_catalog(path)``; see :class:`Catalog`.

    Args:
        path: .tsv (tab-separated, no quoting), .csv (RFC 4180), .jsonl, each also with .gz, or
            .parquet.
        columns: what the file calls its columns.
        require: those that must be there.
    """
    return Catalog(path, columns, require)
