"""Labelled queries that an index is fitted on: second listings with a truth, or true groups."""

import hashlib
from dataclasses import dataclass

import numpy as np

from fairseq_item.data.draw import draw
from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings
from fairseq_item.search.hits import read_truth

MOST = 1000


@dataclass
class FitQueries:
    """Queries and their true matches.

    Attributes:
        ids: list of q ids.
        rows: embedding -> (q, d) as the model gave them; "lexical" -> list of q titles.
        truth: query id -> set of item ids, never empty, never the query itself.
        source: dict that says where they are from, for ``meta.json``.
    """

    ids: list
    rows: dict
    truth: dict
    source: dict

    @classmethod
    def from_truth(cls, folder, path):
        """Queries of a folder of embeddings that a truth file names.

        Args:
            folder: of the queries' embeddings; those without a true match are left out.
            path: TSV of query_id and item_id.

        Raises:
            InputError: the truth has a query that the folder lacks, or a file is damaged.
        """
        queries, truth = Embeddings.load(folder), read_truth(path)
        known = {name: row for row, name in enumerate(queries.ids)}
        for name in truth:
            if name not in known:
                raise InputError(
                    f"{path} has the query {name!r}, which {folder} lacks; embed what it is about"
                )
        wanted = [(queries, known[name]) for name in truth]
        return cls._read(wanted, truth, {"queries": str(folder), "truth": str(path)})

    @classmethod
    def from_groups(cls, folders, column, queries=None, seed=1, most=MOST):
        """Rows that share a value of a column with other rows of the index.

        Args:
            folders: folders of embeddings that are indexed.
            column: of their items, such as "product"; empty values are no group.
            queries: folder of the rows to ask for, which need not be in the index; None draws
                ``most`` rows of the index.
            seed: of the draw.
            most: queries, at most.

        Raises:
            InputError: there is no such column, or no row shares its value with another.
        """
        sources, groups = [Embeddings.load(folder) for folder in folders], {}
        asked = sources if queries is None else [Embeddings.load(queries)]
        for source in {s.path: s for s in (*sources, *asked)}.values():
            if column not in source.items.fieldnames:
                names = ", ".join(source.items.fieldnames)
                raise InputError(f"{source.path}/items.tsv has no column {column}; it has {names}")
        for source in sources:
            for name, group in zip(source.ids, source.items.values(column)):
                if group:
                    groups.setdefault(group, set()).add(name)
        wanted, truth = {}, {}
        for source in asked:
            for row, group in enumerate(source.items.values(column)):
                name = source.ids[row]
                if groups.get(group, set()) - {name}:
                    wanted[name], truth[name] = (source, row), group
        if not wanted:
            raise InputError(f"no two listings share a {column}; there is nothing to fit on")
        drawn = sorted(wanted, key=lambda name: draw(seed, name))[:most]
        truth = {name: groups[truth[name]] - {name} for name in drawn}
        source = {"queries": None if queries is None else str(queries), "groups": column}
        return cls._read([wanted[name] for name in drawn], truth, source)

    @classmethod
    def _read(cls, wanted, truth, source):
        """``wanted``: list of (``Embeddings``, row), in the order of ``truth``."""
        rows = {
            name: np.concatenate([folder.rows(name, row, row + 1) for folder, row in wanted])
            for name in EMBEDDINGS
        }
        rows["lexical"] = [folder.items[row].get("title", "") for folder, row in wanted]
        pairs = "\n".join(sorted(f"{q}\t{item}" for q, items in truth.items() for item in items))
        digest = hashlib.blake2b(pairs.encode(), digest_size=16).hexdigest()
        return cls(list(truth), rows, truth, {**source, "digest": digest})
