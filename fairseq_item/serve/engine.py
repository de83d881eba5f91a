"""One index with its model and images, opened once, and answers from them."""

import hashlib
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.reports.gallery import decided_by
from fairseq_item.search.filters import Filters, narrowed
from fairseq_item.search.fusion import Fuser, own_settings
from fairseq_item.search.hits import SIMILARITIES, Hit
from fairseq_item.search.item_queries import as_queries
from fairseq_item.search.joined import open_indexes
from fairseq_item.search.query_model import QueryModel, model_of
from fairseq_item.search.search import check_dims, fused_search
from fairseq_item.search.sources import data_bins
from fairseq_item.serve.choices import NAMES, choices
from fairseq_item.serve.images import DEFAULT_SPLITS, ItemImages

logger = logging.getLogger(__name__)
# Index folders up to so many bytes are copied before they are opened, so that whatever is written
# into the folder meanwhile disturbs no search. Larger ones must be replaced by renaming.
COPIED = 1 << 30


@dataclass(frozen=True)
class Settings:
    """What is served; attributes as the options of ``item-serve``, ``more`` the other indexes."""

    index: str
    checkpoint: str | None = None
    weights_file: str | None = None
    data: str | None = None
    splits: Sequence[str] | None = None
    image_root: str | None = None
    device: str = "cpu"
    more: tuple[str, ...] = ()
    recall: float | None = None

    @property
    def indexes(self) -> tuple[str, ...]:
        """All index folders."""
        return (self.index, *self.more)


@dataclass(frozen=True)
class Query:
    """What is asked for: a title, an image (the bytes of its file), or both; or an indexed item.

    Attributes:
        k: answers wanted.
        weights: of the four similarities; None takes the index's own.
        where: conditions as of ``Filters.mask``.
    """

    title: str | None = None
    image: bytes | None = None
    item: str | None = None
    k: int = 10
    weights: tuple[float, ...] | None = None
    where: tuple[str, ...] = ()

    @property
    def alike(self):
        """Equal for queries that can be answered together; None for one that had better not be.

        Images take as long together as one by one.
        """
        if self.image is not None:
            return None
        return self.item is None, self.k, self.weights, self.where


class Engine:
    """Answers queries; safe to be used by several threads.

    Args:
        index: ``ItemIndex``.
        model: ``QueryModel`` that embeds queries.
        images: ``ItemImages``.
        state: ``state_of`` the index's folder.
        device: where items are compared.
    """

    def __init__(self, index, model, images, state, device="cpu"):
        self.index, self.model, self.images, self.state = index, model, images, state
        self.device, self.digest = device, state[0][:12]
        self.filters = Filters(index.items)
        self.choices = choices(index.items)
        self._rows = {name: row for row, name in enumerate(index.ids)}
        self._fuser = Fuser(*own_settings(index.meta).values(), index.calibrations)

    @classmethod
    def open(cls, settings: Settings, before: "Engine | None" = None) -> "Engine":
        """Open what is to be served, and try it.

        Args:
            settings: what.
            before: the engine so far: its model is taken if it is the index's still.

        Raises:
            InputError: something is missing, damaged, or does not go with the rest.
        """
        state, index = _open_indexes(settings.indexes, settings.recall)
        wanted = model_of(index.meta, settings.index, settings.checkpoint, settings.weights_file)
        if before and before.model.made_from == wanted:
            model = before.model
        else:
            model = QueryModel(**wanted, device=settings.device)
            _ = model.network  # not when the first image is asked for
        if settings.data is None:
            data = {at: settings.splits or found for at, found in data_bins(index.meta).items()}
        else:
            data = {settings.data: settings.splits or DEFAULT_SPLITS}
        images = ItemImages(index, data, settings.image_root)
        engine = cls(index, model, images, state, settings.device)
        tried = model.embed([index.items[0].get("title") or "a title"], [None])
        check_dims(index, settings.index, {name: rows.shape[1] for name, rows in tried.items()})
        engine.answer(Query(item=index.ids[0], k=1))
        return engine

    def __len__(self):
        return len(self.index)

    def describe(self) -> dict:
        """What is served, for the page and for clients."""
        meta = self.index.meta
        return {
            "index": self.digest,
            "items": len(self),
            "similarities": [name for name in SIMILARITIES if name in self.index.calibrations],
            "weights": _named(self._fuser.weights),
            "fusion": self._fuser.kind,
            "probabilities": bool(meta.get("fit")),
            "columns": self.index.items.fieldnames,
            "choices": self.choices,
        }

    def row(self, item: str) -> int:
        """Storage position of an item.

        Raises:
            KeyError: there is no such item.
        """
        return self._rows[item]

    def item(self, row: int) -> dict:
        """What is known of the item at a storage position."""
        fields = self.index.items[row]
        url = f"api/images/{quote(fields['id'], safe='')}?v={self.digest}"
        return {
            "id": fields["id"],
            "title": fields.get("title", ""),
            "image": url if row in self.images else None,
            "fields": {name: value for name, value in fields.items() if name not in NAMES},
        }

    def some(self, count: int, where: Sequence[str] = ()) -> list[dict]:
        """Items at even distances, to begin with."""
        rows = np.flatnonzero(self.filters.mask(where)) if where else np.arange(len(self))
        steps = np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)
        return [self.item(int(row)) for row in rows[steps]]

    def answer(self, query: Query) -> dict:
        """The best answers, as the API gives them; raises as :meth:`answer_all`."""
        return self.answer_all([query])[0]

    def answer_all(self, queries: Sequence[Query]) -> list[dict]:
        """Answer queries that are ``alike``.

        Raises:
            KeyError: there is no such item.
            InputError: an image cannot be used, or a condition or the weights are wrong.
        """
        first = queries[0]
        weights = first.weights
        whole = first.item is not None or None not in (first.title, first.image)
        if weights is None and not whole:
            # Probabilities were fitted on queries that have both; without one they mislead.
            weights = self._fuser.weights
        index, asked, exclude = self._asked(queries)
        if first.where:
            index = narrowed(index, self.filters.mask(first.where))
        found = fused_search(
            index, asked, first.k, weights=weights, exclude=exclude, device=self.device
        )
        fuser = self._fuser
        if first.weights is not None:
            fuser = Fuser(index.meta["fusion"], first.weights, index.calibrations)
        told = {
            "weights": _named(fuser.weights),
            "probabilities": weights is None and bool(index.meta.get("fit")),
            "index": self.digest,
        }
        results = zip(found.rows.tolist(), found.scores.tolist(), found.similarities.tolist())
        return [{"answers": self._answers(*result, fuser), **told} for result in results]

    def _asked(self, queries):
        """The index to be searched, and what for: arguments of ``fused_search``."""
        if queries[0].item is not None:
            rows = np.array([self.row(query.item) for query in queries])
            return *as_queries(self.index, rows), rows
        titles = [query.title for query in queries]
        asked = self.model.embed(titles, [query.image for query in queries])
        return self.index, {**asked, "lexical": [title or "" for title in titles]}, None

    def _answers(self, rows, scores, similarities, fuser):
        return [
            {
                "rank": rank,
                **self.item(row),
                "score": score,
                "similarities": {
                    name: None if value != value else value
                    for name, value in zip(SIMILARITIES, values)
                },
                "decided_by": decided_by(Hit("", score, values), fuser),
            }
            for rank, (row, score, values) in enumerate(zip(rows, scores, similarities), start=1)
            if row >= 0
        ]


def _named(weights):
    return dict(zip(SIMILARITIES, map(float, weights)))


def state_of(*paths):
    """What tells one state of index folders from another; None while one is not whole.

    Returns:
        (digest of their descriptions, what tells each file from one that replaces it).
    """
    try:
        texts = [(Path(path) / "meta.json").read_bytes() for path in paths]
        found = {str(file): file.stat() for path in paths for file in sorted(Path(path).rglob("*"))}
    except OSError:
        return None
    files = tuple((name, s.st_ino, s.st_mtime_ns, s.st_size) for name, s in found.items())
    return hashlib.sha256(b"".join(texts)).hexdigest(), files


def _open_indexes(paths, recall):
    """Open indexes in one state: its stamp and the ``ItemIndex``.

    Raises:
        InputError: it is not whole or is damaged, or changed meanwhile.
    """
    before = state_of(*paths)
    if before is None or sum(size for *_, size in before[1]) > COPIED:
        index = open_indexes(paths, recall=recall)
    else:
        # Opened files are there for as long as they are in use, removed or not.
        with TemporaryDirectory(prefix="item-serve-") as folder:
            copies = {str(Path(folder) / f"index-{i}"): str(path) for i, path in enumerate(paths)}
            try:
                for copied, path in copies.items():
                    shutil.copytree(path, copied)
                index = open_indexes(list(copies), recall=recall)
            except InputError as error:
                message = str(error)
                for copied, path in copies.items():
                    message = message.replace(copied, path)
                raise InputError(message) from None
    if state_of(*paths) != before:
        raise InputError(f"{' or '.join(map(str, paths))} changed while it was opened")
    if not len(index):
        raise InputError(f"{paths[0]} has no items; there is nothing to search")
    return before, index
