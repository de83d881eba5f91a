"""``item-search``: the best answers of an index to queries, by global, title and image similarity.

Queries are a folder of embeddings (``--queries``), or one product given by its title, its image
or both (``--title``, ``--image``), which a checkpoint embeds.
"""

import logging
from pathlib import Path

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.progress import progress
from fairseq_item.search.build import check_digests
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings
from fairseq_item.search.fusion import fused_search
from fairseq_item.search.hits import SIMILARITIES, Hit, number

__all__ = ["fused_search", "open_queries", "search"]

logger = logging.getLogger(__name__)
QUERIES_A_TIME = 512


def search(index, parts, query_ids, k, exclude_self=False, **settings):
    """Answer queries.

    Args:
        index: ``ItemIndex``.
        parts: part -> (q, d) embeddings, all-zero rows for absent parts.
        query_ids: list of q ids.
        k: answers a query, at most.
        exclude_self: leave out the item that has the query's id.
        settings: ``fusion``, ``weights``, ``part`` of ``fused_search``.

    Returns:
        dict: query id -> list of ``Hit``, best first.
    """

    def rows(start, stop):
        return {part: parts[part][start:stop] for part in EMBEDDINGS}

    return dict(answers(index, rows, query_ids, k, exclude_self, **settings))


def answers(index, rows, query_ids, k, exclude_self=False, **settings):
    """Answer queries as they are read: memory grows neither with their number nor with the hits.

    Args:
        index, query_ids, k, exclude_self, settings: as in :func:`search`.
        rows: function of a first and a last position -> part -> (b, d) embeddings.

    Yields:
        (query id, list of ``Hit``, best first).
    """
    ids = index.ids
    position = {name: row for row, name in enumerate(ids)} if exclude_self else {}
    exclude = np.array([position.get(name, -1) for name in query_ids], np.int64)
    settings.setdefault("expected", len(query_ids))
    blocks = range(0, len(query_ids), QUERIES_A_TIME)
    for start in progress(blocks, "searching", unit=f"x {QUERIES_A_TIME} queries"):
        stop = min(start + QUERIES_A_TIME, len(query_ids))
        found = fused_search(index, rows(start, stop), k, exclude=exclude[start:stop], **settings)
        results = zip(query_ids[start:stop], found.rows, found.scores, found.similarities)
        for query, rows_, scores, similarities in results:
            yield (
                query,
                [
                    Hit(ids[row], float(score), tuple(map(float, cosines)))
                    for row, score, cosines in zip(rows_, scores, similarities)
                    if row >= 0
                ],
            )


def open_queries(index, index_path, path):
    """Open the embeddings of queries.

    Args:
        index: ``ItemIndex`` that they are for.
        index_path: where it lies.
        path: folder of the queries.

    Returns:
        ``Embeddings``.

    Raises:
        InputError: the folder is not whole, or another model made it.
    """
    queries = Embeddings.load(path)
    check_digests(index.meta, queries.meta, (index_path, path))
    _check_dim(index, index_path, queries.dim)
    return queries


def _check_dim(index, index_path, dim):
    if dim != index.meta["dim"]:
        raise InputError(
            f"the queries have {dim} dimensions, {index_path} has {index.meta['dim']}; "
            "embed both with one checkpoint"
        )


def embed_query(checkpoint, title=None, image=None, digest=None):
    """Embed one product.

    Args:
        checkpoint: model folder or checkpoint file.
        title: str, or None.
        image: path of an image, or None.
        digest: digest that the checkpoint must have, or None.

    Returns:
        dict: part -> (1, d) float32.

    Raises:
        InputError: the image is not there, or the checkpoint is another one.
    """
    if image is not None and not Path(image).is_file():
        raise InputError(f"{image} is not there; name an image file")
    from fairseq_item import ItemModel

    model = ItemModel.from_pretrained(str(checkpoint))
    if digest is not None and model.digest != digest:
        raise InputError(f"{checkpoint} is not the checkpoint that the index was built with")
    arrays = model.encode(titles=[title], images=[image])
    return dict(zip(EMBEDDINGS, (np.asarray(array, np.float32) for array in arrays)))


def table(index, hits):
    """Hits as lines of text for people: rank, scores, id and title."""
    shown = {hit.item_id for answered in hits.values() for hit in answered}
    titles = {
        name: index.items[row]["title"] for row, name in enumerate(index.ids) if name in shown
    }
    names = " ".join(f"{name:>7}" for name in SIMILARITIES)
    lines = [f"{'rank':>4} {'score':>9} {names}  item"]
    for answered in hits.values():
        for rank, hit in enumerate(answered, start=1):
            cosines = " ".join(f"{number(value)[:7] or '-':>7}" for value in hit.similarities)
            title = titles[hit.item_id]
            title = title if len(title) <= 80 else title[:79] + "…"
            lines.append(f"{rank:4} {hit.score:9.4f} {cosines}  {hit.item_id}  {title}")
    return "\n".join(lines) + "\n"
