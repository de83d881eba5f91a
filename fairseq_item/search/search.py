"""The best answers of an index to queries, by the fused score or by one similarity."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import expit

from fairseq_item.errors import InputError
from fairseq_item.progress import progress
from fairseq_item.search.approximate import search_lists
from fairseq_item.search.build import check_same_model
from fairseq_item.search.calibration import Uncalibrated
from fairseq_item.search.collapse import product_search
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings
from fairseq_item.search.exact import search_exactly
from fairseq_item.search.fusion import Batch, Fuser, own_settings, rank
from fairseq_item.search.hits import SIMILARITIES, Hit, number
from fairseq_item.search.index_meta import embedding_dims
from fairseq_item.search.joined import best_of, together, within
from fairseq_item.search.query_model import QueryModel

# Queries worked on at a time, and answers.
QUERIES_A_TIME = 1024
ANSWERS_A_TIME = 1 << 20


@dataclass
class Results:
    """Answers to q queries, best first.

    Attributes:
        rows: (q, k') int64 storage positions, -1 beyond the last answer; k' = min(k, n).
        scores: (q, k') float64 fused scores, or probabilities of a fitted index; -inf beyond the
            last answer.
        similarities: (q, k', 4) float64, NaN where a similarity is absent.
    """

    rows: np.ndarray
    scores: np.ndarray
    similarities: np.ndarray

    @classmethod
    def empty(cls, count, width):
        """No answers to ``count`` queries, with room for ``width`` each."""
        return cls(
            np.full((count, width), -1, np.int64),
            np.full((count, width), -np.inf),
            np.full((count, width, len(SIMILARITIES)), np.nan),
        )


def fused_search(
    index,
    queries,
    k,
    fusion=None,
    weights=None,
    similarity=None,
    exclude=None,
    block=None,
    device="cpu",
):
    """The k items of highest score for each query.

    Args:
        index: ``ItemIndex``.
        queries: embedding -> (q, d) as the model gave them, all-zero rows are absent; "lexical" ->
            list of q titles, without which there is no lexical similarity.
        k: answers a query; may exceed the number of items.
        fusion: "max" or "sum"; None takes the index's own.
        weights: of the similarities; None takes the index's own. Where neither is given, a fitted
            index ranks by its fitted weights, and scores are probabilities.
        similarity: rank by this one alone, as it is, whatever the other settings say.
        exclude: (q,) storage positions not to be returned, -1 for none.
        block: queries worked on at a time. Memory is in proportion to it, not to q times n.
        device: "cpu", or the GPU that compares; of no use to approximate indexes.

    Where the index was opened for a recall, searches by its own weights are approximate; others,
    those among some items only, and those of queries without a title are exact.

    Raises:
        InputError: the index has no lexical similarity and is asked for it.

    Returns:
        Results: fewer than k answers where fewer items share a similarity with the query.
    """
    fit = None
    if similarity is None and fusion is None and weights is None:
        fit = index.meta.get("fit")
        fuser = Fuser(*own_settings(index.meta).values(), index.calibrations)
    elif similarity is None:
        kind, weights = fusion or index.meta["fusion"], weights or index.meta["weights"]
        fuser = Fuser(kind, weights, index.calibrations)
    else:
        only = [float(similarity == name) for name in SIMILARITIES]
        fuser = Fuser("sum", only, {similarity: Uncalibrated()})
    if fuser.weights[-1] and index.lexical is None:
        raise InputError("the index has no lexical similarity; run item-index again")
    count = len(queries[EMBEDDINGS[0]])
    exclude = np.full(count, -1) if exclude is None else np.asarray(exclude)
    width = min(k, len(index))
    results = Results.empty(count, width)
    near = index.candidates if _is_own(fuser, index) else None
    block = block or min(QUERIES_A_TIME, max(1, ANSWERS_A_TIME // width))
    for start in range(0, count, block):
        some = slice(start, start + block)
        asked = {name: values[some] for name, values in queries.items()}
        parts = []
        for first, part in index.parts():
            kept_out = within(exclude[some], first, len(part))
            batch = Batch(part, fuser, asked, width, kept_out)
            parts.append((first, _search_part(batch, near is not None, device)))
        found = best_of(parts, width)
        query, place = found.query + start, rank(found.query)
        results.rows[query, place] = found.row
        results.scores[query, place] = expit(found.score + fit["intercept"]) if fit else found.score
        results.similarities[query, place] = found.similarities
    return results


def _search_part(batch, near, device):
    """The best of a batch of queries: ``Pairs``; ``near``: among candidates, where that will do."""
    if near:
        asked = batch.index.candidates.whole(batch)
        which = np.flatnonzero(asked), np.flatnonzero(~asked)
        found = batch.index.candidates.search, partial(search_exactly, device=device)
        return together((some, do(batch.some(some))) for some, do in zip(which, found) if len(some))
    return search_exactly(batch, device) if batch.index.exact else search_lists(batch)


def _is_own(fuser, index):
    """Whether a fuser ranks as the index does unless told otherwise."""
    own = Fuser(*own_settings(index.meta).values(), index.calibrations)
    same = (fuser.kind, fuser.weights) == (own.kind, own.weights)
    return same and fuser.calibrations is own.calibrations


def search(index, queries, query_ids, k, exclude_self=False, **settings):
    """Answer queries.

    Args:
        index: ``ItemIndex``.
        queries: as in :func:`fused_search`.
        query_ids: list of q ids.
        k: answers a query, at most.
        exclude_self: leave out the item that has the query's id.
        settings: ``fusion``, ``weights``, ``similarity``, ``device`` of ``fused_search``.

    Returns:
        dict: query id -> list of ``Hit``, best first.
    """

    def rows(start, stop):
        return {name: values[start:stop] for name, values in queries.items()}

    return dict(answers(index, rows, query_ids, k, exclude_self, **settings))


def answers(index, rows, query_ids, k, exclude_self=False, products=None, **settings):
    """Answer queries as they are read: memory grows neither with their number nor with the hits.

    Args:
        index, query_ids, k, exclude_self, settings: as in :func:`search`.
        rows: function of a first and a last position that gives these queries.
        products: (n,) int64, of ``collapse.products_of``: a product is one answer, its best item.

    Yields:
        (query id, list of ``Hit``, best first).
    """
    ids = index.ids
    position = {name: row for row, name in enumerate(ids)} if exclude_self else {}
    exclude = np.array([position.get(name, -1) for name in query_ids], np.int64)
    find = partial(fused_search, index, **settings)
    blocks = range(0, len(query_ids), QUERIES_A_TIME)
    for start in progress(blocks, "searching", unit=f"x {QUERIES_A_TIME} queries"):
        stop = min(start + QUERIES_A_TIME, len(query_ids))
        asked, kept_out = rows(start, stop), exclude[start:stop]
        if products is None:
            found = find(asked, k, exclude=kept_out)
        else:
            found = product_search(find, asked, k, products, kept_out)
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


def open_queries(index, index_path, path, verify=False):
    """Open the embeddings of queries.

    Args:
        index: ``ItemIndex`` that they are for.
        index_path: where it lies.
        path: folder of the queries.
        verify: see ``Embeddings.load``.

    Returns:
        ``Embeddings``.

    Raises:
        InputError: the folder is not whole, or another model made it.
    """
    queries = Embeddings.load(path, verify)
    check_same_model(index.meta, queries.meta, (index_path, path))
    check_dims(index, index_path, queries.dims)
    return queries


def check_dims(index, index_path, dims):
    """Refuse queries of other widths than the index's; ``dims``: embedding -> values a row."""
    known = embedding_dims(index.meta)
    for name in EMBEDDINGS:
        if dims[name] != known[name]:
            raise InputError(
                f"the queries have {dims[name]} dimensions ({name}), {index_path} has "
                f"{known[name]}; embed both with one checkpoint"
            )


def search_device(name):
    """The device that ``--device`` names; "auto" takes a GPU where there is one.

    Whether there is one is asked without importing torch, which takes longer than most searches.

    Raises:
        InputError: there is no such device.
    """
    if name == "cpu" or (name == "auto" and not Path("/proc/driver/nvidia/version").exists()):
        return "cpu"
    from fairseq_item.search.embed import choose_device

    return choose_device(name)


def embed_query(checkpoint, title=None, image=None, digest=None, features=None):
    """Embed one product.

    Args:
        checkpoint: model folder or checkpoint file.
        title: str, or None.
        image: path of an image, or None.
        digest: digest that the checkpoint must have, or None.
        features: description of the network whose features are joined to the image embedding, as
            an index's ``meta["features"]``; None for none.

    Returns:
        dict: embedding -> (1, d) float32.

    Raises:
        InputError: the image is not there, or the checkpoint or the network is another one.
    """
    if image is not None and not Path(image).is_file():
        raise InputError(f"{image} is not there; name an image file")
    return QueryModel(checkpoint, digest, features).embed([title], [image])


def table(index, hits):
    """Hits as lines of text for people: rank, scores, id and title."""
    shown = {hit.item_id for answered in hits.values() for hit in answered}
    rows = (row for row, name in enumerate(index.ids) if name in shown)
    titles = {index.ids[row]: index.items[row].get("title", "") for row in rows}
    names = " ".join(f"{name:>7}" for name in SIMILARITIES)
    lines = [f"{'rank':>4} {'score':>9} {names}  item"]
    for answered in hits.values():
        for place, hit in enumerate(answered, start=1):
            cosines = " ".join(f"{number(value)[:7] or '-':>7}" for value in hit.similarities)
            title = titles[hit.item_id]
            title = title if len(title) <= 80 else title[:79] + "…"
            lines.append(f"{place:4} {hit.score:9.4f} {cosines}  {hit.item_id}  {title}")
    return "\n".join(lines) + "\n"
