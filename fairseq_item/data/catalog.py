"""Reading a catalogue of products: any of its formats, under one set of column names."""

import os
from dataclasses import dataclass, fields

from fairseq_item.data.catalog_formats import open_catalog_file
from fairseq_item.data.duplicates import Duplicates
from fairseq_item.data.several_images import split_images
from fairseq_item.data.text import clean_field
from fairseq_item.errors import InputError
from fairseq_item.remote import local


@dataclass(frozen=True)
class Columns:
    """What the catalogue calls the columns that have a meaning here."""

    id: str = "id"
    title: str = "title"
    image: str = "image"
    leaf_category: str = "leaf_category"
    product: str = "product"
    split: str = "split"


class Catalog:
    """The rows of a catalogue, under the names of :class:`Columns` whatever its file calls them.

    Iterating yields (number, row): the line (``unit`` "line", counting the header) or row
    (``unit`` "row", Parquet) it lies on, and a dict of strings, column name -> value; ids and
    products without spaces around them. Every iteration reads the file anew, row by row, so that
    a catalogue need not fit into memory; the first that comes to the end looks for repeated ids.

    Attributes:
        path, columns: as given.
        fieldnames: id, title, image, those of leaf_category, product and split that there are,
            then the further columns in the file's order. A further column that has one of the
            six names without being mapped to it is called ``catalog_{name}``.

    Raises:
        InputError: the file cannot be read or lacks a column. Iterating raises it too: at an
            empty id, at a broken row, and at the end if an id is repeated, there was no row, or
            the file is not the one that was opened at first.
    """

    def __init__(
        self, path, columns=Columns(), require=("id", "title", "image"), image_separator=""
    ):
        self.path, self.columns = path, columns
        self._file = open_catalog_file(path)
        if image_separator:
            self._file = split_images(self._file, image_separator, columns)
        self._state = self._file_states()
        self._ids_checked = False
        self.unit = self._file.unit
        names = self._canonical_names(columns, require)
        known = [field.name for field in fields(Columns) if field.name in names]
        self.fieldnames = known + [name for name in names if name not in known]
        order = {name: i for i, name in enumerate(names)}
        self._order = [order[name] for name in self.fieldnames]

    def _canonical_names(self, columns, require):
        """The names that the file's columns get, in the file's order."""
        found = [clean_field(name) for name in self._file.fieldnames]
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
        if self._file.where:
            return self._file.where(number)
        return f"{self.path} {self.unit} {number}"

    def _near(self, number):
        """:meth:`where` beside another row of the catalogue."""
        return self.where(number) if self._file.where else f"{self.unit} {number}"

    def __iter__(self):
        names, order = self.fieldnames, self._order
        stripped = [name for name in ("id", "product") if name in names]
        duplicates = None if self._ids_checked or "id" not in names else Duplicates()
        number = None
        self._refuse_change()
        for number, values in self._file.rows():
            row = {name: values[i] for name, i in zip(names, order)}
            for name in stripped:
                row[name] = _strip(row[name])
            if not row.get("id", True):
                raise InputError(
                    f"{self.where(number)} has an empty id; give each row one of its own"
                )
            if duplicates is not None:
                duplicates.add(row["id"])
            yield number, row
        if number is None:
            raise InputError(f"{self.path} has no rows; it needs one per product")
        if duplicates is not None:
            self._refuse_repeated_ids(duplicates)
        self._refuse_change()

    def _refuse_change(self):
        if self._file_states() != self._state:
            raise InputError(f"{self.path} was changed while it was being read; run again")

    @property
    def files(self):
        """The paths that it is read from: one, or its parts in their order."""
        return list(self._file.files)

    def _file_states(self):
        return [_state(path) for path in self.files]

    def _refuse_repeated_ids(self, duplicates):
        position = self._order[self.fieldnames.index("id")]
        repeated = duplicates.first(
            lambda: ((number, _strip(values[position])) for number, values in self._file.rows())
        )
        if repeated:
            name, number, first = repeated
            raise InputError(
                f"{self.where(number)} repeats the id '{name}' of {self._near(first)}; "
                "give each row one of its own"
            )
        self._ids_checked = True


def _strip(value):
    return clean_field(value).strip()


def _state(path):
    """What changes when a file is written anew; None where it is gone."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_catalog(path, columns=Columns(), require=("id", "title", "image"), image_separator=""):
    """Open a catalogue: ``for number, row in read_catalog(path)``; see :class:`Catalog`.

    Args:
        path: .tsv (tab-separated, no quoting), .csv (RFC 4180), .jsonl, each also with .gz, or
            .parquet; a folder or glob of .parquet files, read in the order of their names. Of a
            URL, such as s3://bucket/products.tsv, a copy is read (see ``remote``).
        columns: what the file calls its columns.
        require: those that must be there.
        image_separator: between several images of a cell, of which each becomes a row (see
            :func:`fairseq_item.data.several_images.split_images`); "" takes a cell as one image.
    """
    path = local(path, lambda name: name.endswith(".parquet"))
    return Catalog(path, columns, require, image_separator)
