"""``item-search``: the best answers of an index to queries, by global, title and image similarity.

Queries are a folder of embeddings (``--queries``), or one product given by its title, its picture
or both (``--title``, ``--image``), which a checkpoint embeds.
"""

import logging
import sys
from pathlib import Path

import numpy as np

from fairseq_item.cli import arguments, progress, run
from fairseq_item.errors import InputError
from fairseq_item.retrieval.embeddings import PARTS, Embeddings
from fairseq_item.retrieval.fusion import fused_search
from fairseq_item.retrieval.hits import Hit, number, write_hits
from fairseq_item.retrieval.index import FUSIONS, check_digests
from fairseq_item.retrieval.item_index import ItemIndex

__all__ = ["fused_search", "main", "open_queries", "search"]

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
        return {part: parts[part][start:stop] for part in PARTS}

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
        image: path of a picture, or None.
        digest: digest that the checkpoint must have, or None.

    Returns:
        dict: part -> (1, d) float32.

    Raises:
        InputError: the picture is not there, or the checkpoint is another one.
    """
    if image is not None and not Path(image).is_file():
        raise InputError(f"{image} is not there; name a picture file")
    from fairseq_item import ItemModel

    model = ItemModel.from_pretrained(str(checkpoint))
    if digest is not None and model.digest != digest:
        raise InputError(f"{checkpoint} is not the checkpoint that the index was built with")
    arrays = model.encode(titles=[title], images=[image])
    return dict(zip(PARTS, (np.asarray(array, np.float32) for array in arrays)))


def table(index, hits):
    """Hits as lines of text for people: rank, scores, id and title."""
    shown = {hit.item_id for answered in hits.values() for hit in answered}
    titles = {
        name: index.items[row]["title"] for row, name in enumerate(index.ids) if name in shown
    }
    lines = [f"{'rank':>4} {'score':>9} {'global':>7} {'title':>7} {'image':>7}  item"]
    for answered in hits.values():
        for rank, hit in enumerate(answered, start=1):
            cosines = " ".join(f"{number(value)[:7] or '-':>7}" for value in hit.similarities)
            title = titles[hit.item_id]
            title = title if len(title) <= 80 else title[:79] + "…"
            lines.append(f"{rank:4} {hit.score:9.4f} {cosines}  {hit.item_id}  {title}")
    return "\n".join(lines) + "\n"


def _query(args, index):
    """What is asked for: what reads rows of embeddings, as ``answers`` takes it, and the ids."""
    if args.queries is not None:
        queries = open_queries(index, args.index, args.queries)
        return lambda *some: {part: queries.rows(part, *some) for part in PARTS}, queries.ids
    if index.meta.get("untrained"):
        raise InputError(f"{args.index} holds an untrained model's embeddings; give --queries")
    checkpoint = args.checkpoint or index.meta.get("checkpoint")
    if not checkpoint or not Path(checkpoint).exists():
        raise InputError(
            f"checkpoint {checkpoint!r} is not there; give the one that made {args.index} "
            "as --checkpoint"
        )
    digest = index.meta.get("checkpoint_digest")
    parts = embed_query(checkpoint, args.title, args.image, digest)
    _check_dim(index, args.index, parts["global"].shape[1])
    return lambda *some: parts, ["query"]


def _settings(args):
    settings = {"fusion": args.fusion, "weights": args.weights}
    return settings if args.part == "fused" else {"part": args.part}


def parser():
    p = arguments(__doc__)
    p.add_argument("index", metavar="INDEX", help="folder that item-index wrote")
    p.add_argument("--queries", metavar="DIR", help="embeddings of the queries")
    p.add_argument("--title", help="title of the product asked for")
    p.add_argument("--image", metavar="FILE", help="picture of the product asked for")
    p.add_argument(
        "--checkpoint",
        metavar="C",
        help="model that embeds --title and --image; default: the one that made the index",
    )
    p.add_argument("-k", type=int, default=10, help="answers a query")
    p.add_argument("--out", metavar="TSV", help="hits file; without it a table is printed")
    p.add_argument("--part", choices=("fused", *PARTS), default="fused", help="what to rank by")
    p.add_argument("--fusion", choices=FUSIONS, help="default: the index's own")
    p.add_argument(
        "--weights",
        type=float,
        nargs=3,
        metavar=("GLOBAL", "TITLE", "IMAGE"),
        help="default: the index's own",
    )
    p.add_argument("--exclude-self", action="store_true", help="drop the item with the query's id")
    p.add_argument("--nprobe", type=int, help="inverted lists visited, for IVF factories")
    return p


def main(argv=None):
    p = parser()
    args = p.parse_args(argv)
    direct = args.title is not None or args.image is not None
    if direct == (args.queries is not None):
        p.error("give either --queries, or --title and/or --image")
    if args.k < 1:
        raise InputError(f"-k is {args.k}; it must be 1 or more")
    index = ItemIndex.load(args.index)
    if args.nprobe is not None:
        index.set_nprobe(args.nprobe)
    rows, query_ids = _query(args, index)
    found = answers(index, rows, query_ids, args.k, args.exclude_self, **_settings(args))
    if args.out is None:
        sys.stdout.write(table(index, dict(found)))
        return
    count = write_hits(args.out, found)
    sys.stdout.write(f"{count} hits of {len(query_ids)} queries written to {args.out}\n")


def cli():
    """Console script ``item-search``."""
    run(main)


if __name__ == "__main__":
    cli()
