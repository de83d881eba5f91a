"""What ONNX and int8 cost and gain: MAP@10 and products a second of one model in three forms.

    python examples/export/measure.py quickstart

reads a folder that ``make quickstart`` made: its model, its data-bin, and the queries and truth of
its test products. Prints a table as Markdown. Times are seconds of one core, so that other work on
the machine hardly counts.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from fairseq_item import ItemModel
from fairseq_item.evaluation.metrics import mean_average_precision
from fairseq_item.export import onnx_model
from fairseq_item.search.build import build_index
from fairseq_item.search.embed import batches, open_products
from fairseq_item.search.embeddings import Embeddings, EmbeddingWriter
from fairseq_item.search.hits import read_truth
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import search

K, BATCH, TIMED = 10, 64, 30
WEIGHTS = {"with BM25": None, "embeddings alone": (1.0, 1.0, 1.0, 0.0)}


def main():
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("quickstart", type=Path)
    args = p.parse_args()
    torch.set_num_threads(1)
    hub = ItemModel.from_pretrained(args.quickstart / "model")
    hub.model.cfg.compute_dtype = "float32"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        onnx_model.write(hub, args.quickstart / "model", folder / "onnx", int8=True)
        forms = {"torch": hub.embed}
        for name in (onnx_model.FILE, onnx_model.INT8):
            forms[name] = session(folder / "onnx" / name)
        loaded = {
            splits: load(hub, args.quickstart / "data-bin", splits.split(","))
            for splits in ("train,valid,test", "query")
        }
        seconds = timed(forms, loaded["query"][1])
        truth = read_truth(args.quickstart / "queries" / "truth.tsv")
        print(
            f"| form | {' | '.join(f'MAP@10 {w}' for w in WEIGHTS)} | products/s | one, ms | MB |"
        )
        print("|---|---:|---:|---:|---:|---:|")
        for name, embed in forms.items():
            scores = score(embed, loaded, truth, folder / name.replace(".", "-"))
            path = folder / "onnx" / name
            size = f"{path.stat().st_size / 1e6:.1f}" if path.exists() else ""
            many, one = seconds[name]
            row = [*(f"{s:.2f}" for s in scores), f"{BATCH / many:,.0f}", f"{1000 * one:.2f}", size]
            print(f"| {name} | {' | '.join(row)} |")


def session(path):
    """A function from a batch of tensors to the three embeddings."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    run = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run

    def embed(title, patches, has_image=None):
        if has_image is None:
            has_image = torch.ones(len(title), dtype=torch.bool)
        inputs = zip(onnx_model.INPUTS, (title, patches, has_image))
        return run(None, {name: value.numpy() for name, value in inputs})

    return embed


def load(hub, data, splits):
    """(items, list of batches) of some splits."""
    items, dataset = open_products(data, splits, hub)
    return items, list(batches(hub, dataset, 0, len(items), BATCH, 0, "reading"))


def timed(forms, loaded):
    """Seconds of CPU of a batch of ``BATCH`` and of one product, the least of some rounds: dict.

    All forms take part in each round, so that they see the same machine.
    """
    many = loaded[0]
    one = {name: value[:1] for name, value in many.items()}
    found = {name: ([], []) for name in forms}
    for _ in range(TIMED):
        for name, embed in forms.items():
            for seconds, batch in zip(found[name], (many, one)):
                start = time.process_time()
                embed(**batch)
                seconds.append(time.process_time() - start)
    return {name: tuple(map(min, seconds)) for name, seconds in found.items()}


def score(embed, loaded, truth, folder):
    """MAP@10 in percent under each of ``WEIGHTS``."""
    found = []
    for name, (items, read) in zip(("index", "queries"), loaded.values()):
        rows = [np.concatenate(part) for part in zip(*(embed(**batch) for batch in read))]
        writer = EmbeddingWriter(folder / name, items, rows[0].shape[1])
        writer.write(0, *rows)
        writer.finish()
    queries = Embeddings.load(folder / "queries")
    for weights in WEIGHTS.values():
        build_index([folder / "index"], folder / "built", weights=weights)
        hits = search(ItemIndex.load(folder / "built"), queries.queries(), queries.ids, K)
        found.append(100 * mean_average_precision(hits, truth, K))
    return found


if __name__ == "__main__":
    main()
