"""Search: queries a second, disk and memory, exact and compressed, beside what one would write.

    python examples/benchmark/search.py --out results

Contestants of "max", the paper's fusion: a plain NumPy loop (a query at a time, three products, the
largest, argpartition); of "sum" also one faiss IndexFlatIP of the concatenated embeddings, which is
right for sums only. All answer the same queries in turn, in one process, after the index is opened;
the memory is that of an `item-search` of all queries in a process of its own. Embeddings are drawn
in clusters: three listings a product, products of 200 kinds.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from bench import Report, alternate, measure
from vectors import folder_size, write_embeddings

from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings
from fairseq_item.search.index import ItemIndex, import_faiss
from fairseq_item.search.search import fused_search

K = 10
PLAIN = 16  # queries that the plain loop answers, one by one
FOUR = "exact, float32, and the lexical similarity"
WEIGHTS = {"max": (1, 1, 1), "sum": (0.5, 1, 0.5)}


class Plain:
    """What one would write in NumPy."""

    def __init__(self, index, fusion):
        self.index, self.fusion = index, fusion
        self.items = {name: np.asarray(index.vectors[name][:]) for name in EMBEDDINGS}

    def __call__(self, queries):
        answers = []
        for q in range(len(queries["global"])):
            scores = [
                WEIGHTS[self.fusion][p] * (self.items[name] @ queries[name][q])
                for p, name in enumerate(EMBEDDINGS)
            ]
            fused = np.max(scores, axis=0) if self.fusion == "max" else np.sum(scores, axis=0)
            best = np.argpartition(-fused, K)[:K]
            answers.append(best[np.argsort(-fused[best])])
        return np.array(answers)


class Concatenated:
    """One faiss index of the three embeddings side by side: right for the sum."""

    def __init__(self, index):
        rows = np.concatenate([np.asarray(index.vectors[name][:]) for name in EMBEDDINGS], axis=1)
        self.faiss = import_faiss().IndexFlatIP(rows.shape[1])
        self.faiss.add(rows)

    def __call__(self, queries):
        weighted = [w * queries[name] for w, name in zip(WEIGHTS["sum"], EMBEDDINGS)]
        return self.faiss.search(np.concatenate(weighted, axis=1), K)[1]


def recall(answers, exact):
    """Share of the exact first ten that are among the answers, in percent."""
    found = [np.isin(ours, best).sum() for ours, best in zip(answers, exact)]
    return 100 * float(np.mean(found)) / exact.shape[1]


class Stage:
    """One dimension: embeddings and indexes on disk, opened."""

    def __init__(self, work, args, dim):
        self.work, self.args, self.dim = work, args, dim
        count = args.products
        write_embeddings(work / "items", count, count // 3, dim, 1, "i")
        write_embeddings(work / "queries", args.queries, count // 3, dim, 2, "q")
        self.queries = Embeddings.load(work / "queries").queries()
        self.indexes = {}
        for name, options in self.options().items():
            if name.split("-")[0] in args.kinds:
                # Neither whitening nor calibration changes what a search costs.
                plain = {"transform": "none", "calibrate": "none"}
                build_index([work / "items"], work / name, **options, **plain)
                self.indexes[name] = ItemIndex.load(work / name)
        shutil.rmtree(work / "items")

    def options(self):
        made = {dtype: {"dtype": dtype} for dtype in ("float32", "float16", "int8")}
        if self.dim == self.args.dims[0]:
            # Three lists for the maximum, one of the concatenated embeddings for the sum.
            for fusion, factory in zip(("max", "sum"), self.args.factories):
                made[f"compressed-{fusion}"] = {
                    "factory": factory,
                    "dtype": "float16",
                    "fusion": fusion,
                    "weights": WEIGHTS[fusion],
                }
        return made

    def contestants(self, fusion):
        """name -> (index, function of queries that gives rows)."""
        found = {}
        first = self.indexes[self.args.kinds[0]]
        if self.args.products <= self.args.most_plain:
            found["plain NumPy loop"] = (None, Plain(first, fusion))
            if fusion == "sum":
                found["faiss IndexFlatIP, concatenated"] = (None, Concatenated(first))
        for name, index in self.indexes.items():
            if not index.exact and index.meta["fusion"] != fusion:
                continue
            label = f"exact, {name}" if index.exact else index.meta["factory"]
            found[label] = (name, self.searcher(index, fusion))
            if name == "float32":
                found[FOUR] = (None, self.searcher(index, fusion, words=1))
        return found

    def searcher(self, index, fusion, words=0):
        weights = (*WEIGHTS[fusion], words)
        if not index.exact:
            index.set_nprobe(self.args.nprobe)
        return lambda queries: fused_search(index, queries, K, fusion, weights).rows

    def memory(self, name, fusion):
        """MiB of `item-search`."""
        options = ["--fusion", fusion, "--weights", *WEIGHTS[fusion], "--out", self.work / "hits"]
        queries = ["--queries", self.work / "queries"]
        module = "fairseq_item.commands.search"
        return measure(module, self.work / name, *queries, *options).memory

    def report(self, fusion):
        contestants = self.contestants(fusion)
        some = {name: rows[:PLAIN] for name, rows in self.queries.items()}
        asked = {n: some if n.startswith("plain") else self.queries for n in contestants}
        answers = {n: f(asked[n]) for n, (_, f) in contestants.items()}
        seconds = alternate(
            {n: lambda n=n, f=f: f(asked[n]) for n, (_, f) in contestants.items()},
            self.args.repeats,
            warmup=0,
        )
        exact = answers[next(n for n in answers if n.startswith("exact"))]
        report = Report(f"search-{fusion}-{self.dim}", "queries")
        for label, (name, _) in contestants.items():
            # With words, other answers are right.
            more = {} if label == FOUR else {"recall@10": recall(answers[label], exact)}
            if name is not None:
                more["disk MB"] = folder_size(self.work / name) / 1e6
                more["memory MiB"] = self.memory(name, fusion)
            report.add(label, len(asked[label]["global"]), seconds[label], **more)
        report.write(self.args.out)


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--out", required=True, metavar="DIR", help="folder for tables and JSON")
    p.add_argument("--quick", action="store_true", help="tiny sizes, a few seconds")
    p.add_argument("--products", type=int, default=100_000, help="items of the index")
    p.add_argument("--queries", type=int, default=512)
    p.add_argument("--dims", type=int, nargs="+", default=[256, 768])
    p.add_argument(
        "--factories",
        nargs=2,
        default=["IVF256,PQ32np", "IVF256,PQ96np"],
        metavar=("MAX", "SUM"),
        help="compressed, at the first dimension, as large for either fusion",
    )
    p.add_argument("--nprobe", type=int, default=16)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument(
        "--kinds",
        nargs="+",
        default=["float32", "float16", "int8", "compressed"],
        help="indexes; the first is what recall is measured against",
    )
    p.add_argument(
        "--most-plain",
        type=int,
        default=200_000,
        help="items up to which what holds all in memory as float32 takes part",
    )
    args = p.parse_args()
    if args.quick:
        args.products, args.queries, args.dims, args.repeats = 3000, 24, [32], 1
        args.factories = ["IVF16,PQ8np", "IVF16,PQ24np"]
    Path(args.out).mkdir(parents=True, exist_ok=True)
    for dim in args.dims:
        with tempfile.TemporaryDirectory(dir=args.out) as work:
            stage = Stage(Path(work), args, dim)
            for fusion in ("max", "sum"):
                sys.stdout.write("\n")
                stage.report(fusion)


if __name__ == "__main__":
    main()
