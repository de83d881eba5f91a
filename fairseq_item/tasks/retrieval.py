"""Search inside training: each validation finds second listings, so that the checkpoint that finds
best can be kept (``--best-checkpoint-metric map10_dense --maximize-best-checkpoint-metric``)."""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Optional

import torch
from fairseq.logging import metrics

from fairseq_item.errors import InputError
from fairseq_item.evaluation.attribution import attribute
from fairseq_item.evaluation.metrics import mean_average_precision
from fairseq_item.search.build import build_index
from fairseq_item.search.embed import read_products
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter
from fairseq_item.search.fusion import Fuser, own_settings
from fairseq_item.search.hits import read_truth
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import search

logger = logging.getLogger(__name__)
K = 10
PRODUCTS_A_TIME = 128


@dataclass
class RetrievalConfig:
    """What is searched at each validation; nothing unless all three are given."""

    eval_retrieval_queries: Optional[str] = field(
        default=None,
        metadata={
            "help": "split to search for at each validation, such as packed relistings of the "
            "valid products, or valid; no product answers itself; logs map10 (fused), map10_dense "
            "(fused without the lexical similarity), map10_global, map10_title and map10_image, "
            "and of which share of the fused answers each similarity gave most of the score "
            "(share_global, ...)"
        },
    )
    eval_retrieval_items: Optional[str] = field(
        default=None,
        metadata={
            "help": "splits to search in, comma-separated; embedded anew at each validation, so "
            "that some thousand products are enough"
        },
    )
    eval_retrieval_truth: Optional[str] = field(
        default=None, metadata={"help": "TSV of query_id and item_id; never of test products"}
    )


class SearchesWhenValidating:
    """A task whose configuration is a :class:`RetrievalConfig`, besides what it is.

    Every process embeds and searches everything, and finds the same.
    """

    _retrieval = None
    _found = None

    def begin_epoch(self, epoch, model):
        super().begin_epoch(epoch, model)
        self._open(model)  # what is wrong with its files is said before the first update

    def begin_valid_epoch(self, epoch, model):
        super().begin_valid_epoch(epoch, model)
        self._open(model)
        if self._retrieval is not None:
            start = time.perf_counter()
            self._found = self._retrieval.score(model)
            logger.info("searching took %.1f seconds", time.perf_counter() - start)

    def reduce_metrics(self, logging_outputs, criterion):
        super().reduce_metrics(logging_outputs, criterion)
        if self._found and not criterion.training:
            for name, value in self._found.items():
                metrics.log_scalar(name, value, round=2)

    def _open(self, model):
        cfg = self.cfg
        given = (cfg.eval_retrieval_queries, cfg.eval_retrieval_items, cfg.eval_retrieval_truth)
        if self._retrieval is not None or not any(given):
            return
        if not all(given):
            raise InputError(
                "--eval-retrieval-queries, --eval-retrieval-items and --eval-retrieval-truth "
                "go together"
            )
        products = [
            read_products(
                cfg.data, names.split(","), self.dictionary, self.geometry(), model.sees_images
            )
            for names in given[:2]
        ]
        self._retrieval = Retrieval(*products, given[2])


class Retrieval:
    """A search that can be scored at any time.

    Args:
        queries, items: (``Table`` of the items, ``ItemDataset``) each.
        truth: TSV of query_id and item_id.

    Raises:
        InputError: the truth names what is neither a query nor an item, or a file is damaged.
    """

    def __init__(self, queries, items, truth):
        self.queries, self.items, self.truth = queries, items, read_truth(truth)
        known = set(queries[0].values("id")), set(items[0].values("id"))
        for query, matches in self.truth.items():
            for name, ids in ((query, known[0]), *((item, known[1]) for item in matches)):
                if name not in ids:
                    raise InputError(
                        f"{truth} has {name!r}, which the splits of --eval-retrieval lack"
                    )

    def score(self, model):
        """MAP@10 in percent under the default index: dict, ``map10``, ``map10_dense`` (the lexical
        similarity's weight is 0 there) and one of each embedding; and which share of the answers
        each similarity that counts wins, as item-balance has it."""
        with TemporaryDirectory() as folder:
            queries = self._embed(model, self.queries, Path(folder) / "queries")
            items = self._embed(model, self.items, Path(folder) / "items")
            build_index([items.path], Path(folder) / "index")
            index, asked = ItemIndex.load(Path(folder) / "index"), queries.queries()
            own = own_settings(index.meta)
            ways = {
                f"map{K}": own,
                f"map{K}_dense": {**own, "weights": (*own["weights"][:-1], 0)},
                **{f"map{K}_{name}": {"similarity": name} for name in EMBEDDINGS},
            }
            found = {}
            for name, settings in ways.items():
                hits = search(index, asked, queries.ids, K, True, **settings)
                hits = {query: hits[query] for query in self.truth}
                found[name] = 100 * mean_average_precision(hits, self.truth, K)
                if settings is own:
                    fuser = Fuser(*own.values(), index.calibrations)
                    won = attribute(hits, self.truth, K, fuser)
                    shares = {f"share_{n}": won[n]["share"] for _, n in fuser.active()}
            return found | shares

    def _embed(self, model, products, path):
        """Embed without disturbing training: no random number is drawn."""
        items, dataset = products
        device, was_training = next(model.parameters()).device, model.training
        writer = EmbeddingWriter(path, items, model.embedding_dim)
        model.eval()
        with torch.no_grad():
            for start in range(0, len(dataset), PRODUCTS_A_TIME):
                rows = range(start, min(start + PRODUCTS_A_TIME, len(dataset)))
                batch = dataset.collater(dataset.__getitems__(rows))
                inputs = {name: value.to(device) for name, value in batch["net_input"].items()}
                writer.write(start, *(e.float().cpu().numpy() for e in model.embed(**inputs)))
        model.train(was_training)
        writer.finish()
        return Embeddings.load(path)
