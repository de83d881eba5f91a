"""Search: queries a second, disk and memory, exact and compressed, beside what one would write.

    python examples/benchmark/search.py --out results

Contestants of "max", the paper's fusion: a plain NumPy loop (a query at a time, three products, the
largest, argpartition); of "sum" also one faiss IndexFlatIP of the concatenated embeddings, which is
right for sums only. All answer the same queries in turn, in one process, after the index is opened;
the memory is that of an `item-search` of all queries in a process of its own. Embeddings are drawn
in clusters: three listings a product, products of 200 kinds.
"""

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bench import Report, alternate, measure, parser
from synthetic import write_embeddings

from fairseq_item.commands.common import positive, run
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings
from fairseq_item.search.index import ItemIndex, import_faiss
from fairseq_item.search.search import fused_search

K = 10
LISTINGS = 3  # of a product, on average
PLAIN = 16  # queries that the plain loop answers, one by one
FOUR = "exact, float32, and the lexical similarity"
WEIGHTS = {"max": (1, 1, 1), "sum": (0.5, 1, 0.5)}


class Built(NamedTuple):
    """An index on disk and opened, of use to one fusion or, None, to both."""

    label: str
    fusion: str | None
    folder: Path
    index: ItemIndex


def build(work, args, dim):
    """Embeddings of items and queries, and all indexes of one dimension: a list of Built."""
    products = args.products // LISTINGS
    write_embeddings(work / "items", args.products, products, dim, 1, "i")
    write_embeddings(work / "queries", args.queries, products, dim, 2, "q")
    kinds = [kind for kind in args.kinds if kind != "compressed"]
    chosen = [(f"exact, {kind}", None, {"dtype": kind}) for kind in kinds]
    if "compressed" in args.kinds and dim == args.dims[0]:
        # Three lists for the maximum, one of the concatenated embeddings for the sum.
        for fusion, factory in zip(WEIGHTS, args.factories):
            how = {"factory": factory, "fusion": fusion, "weights": WEIGHTS[fusion]}
            chosen.append((factory, fusion, {**how, "dtype": "float16"}))
    built = []
    for number, (label, fusion, options) in enumerate(chosen):
        # Neither whitening nor calibration changes what a search costs.
        folder = work / f"index-{number}"
        build_index([work / "items"], folder, **options, transform="none", calibrate="none")
        index = ItemIndex.load(folder)
        if not index.exact:
            index.set_nprobe(args.nprobe)
        built.append(Built(label, fusion, folder, index))
    shutil.rmtree(work / "items")
    return built


def plain_loop(index, fusion):
    """What one would write in NumPy."""
    items = {name: np.asarray(index.vectors[name][:]) for name in EMBEDDINGS}
    fuse = {"max": np.max, "sum": np.sum}[fusion]

    def search(queries):
        answers = []
        for row in range(PLAIN):
            scores = [w * (items[n] @ queries[n][row]) for w, n in zip(WEIGHTS[fusion], EMBEDDINGS)]
            fused = fuse(scores, axis=0)
            best = np.argpartition(-fused, K)[:K]
            answers.append(best[np.argsort(-fused[best])])
        return np.array(answers)

    return search


def concatenated(index):
    """One faiss index of the three embeddings side by side: right for the sum."""
    rows = np.concatenate([np.asarray(index.vectors[name][:]) for name in EMBEDDINGS], axis=1)
    flat = import_faiss().IndexFlatIP(rows.shape[1])
    flat.add(rows)

    def search(queries):
        weighted = [w * queries[name] for w, name in zip(WEIGHTS["sum"], EMBEDDINGS)]
        return flat.search(np.concatenate(weighted, axis=1), K)[1]

    return search


def searcher(index, fusion, lexical=0):
    """Ours, with this weight of the lexical similarity."""
    weights = (*WEIGHTS[fusion], lexical)
    return lambda queries: fused_search(index, queries, K, fusion, weights).rows


def contestants(built, args, fusion):
    """name -> function of queries that gives rows, (q, 10)."""
    found, first = {}, built[0].index
    if args.products <= args.most_plain:
        found["plain NumPy loop"] = plain_loop(first, fusion)
        if fusion == "sum":
            found["faiss IndexFlatIP, concatenated"] = concatenated(first)
    for one in built:
        if one.fusion in (None, fusion):
            found[one.label] = searcher(one.index, fusion)
        if one.label == "exact, float32":
            found[FOUR] = searcher(one.index, fusion, lexical=1)
    return found


def recall(answers, exact):
    """Share of the exact first ten that are among the answers, in percent."""
    found = [np.isin(ours, best).sum() for ours, best in zip(answers, exact)]
    return 100 * float(np.mean(found)) / exact.shape[1]


def report(work, built, args, fusion, dim):
    """Time all contestants: a :class:`Report`."""
    queries = Embeddings.load(work / "queries").queries()
    functions = contestants(built, args, fusion)
    answers = {name: function(queries) for name, function in functions.items()}
    calls = {name: lambda f=function: f(queries) for name, function in functions.items()}
    folders = {one.label: one.folder for one in built}
    exact = answers[built[0].label]
    found = Report(f"search-{fusion}-{dim}", "queries")
    for name, seconds in alternate(calls, args.repeats, warmup=0).items():
        # With the lexical similarity other answers are right.
        more = {} if name == FOUR else {"recall@10": recall(answers[name], exact)}
        if name in folders:
            more["disk MB"] = sum(path.stat().st_size for path in folders[name].iterdir()) / 1e6
            how = ["--fusion", fusion, "--weights", *WEIGHTS[fusion], "--out", work / "hits"]
            asked = [folders[name], "--queries", work / "queries", *how]
            more["memory MiB"] = measure("fairseq_item.commands.search", *asked).memory
        found.add(name, len(answers[name]), seconds, **more)
    return found


def main(argv=None):
    p = parser(__doc__)
    p.add_argument("--products", type=positive, default=100_000, help="items of the index")
    p.add_argument("--queries", type=positive, default=512)
    p.add_argument("--dims", type=positive, nargs="+", default=[256, 768])
    p.add_argument(
        "--factories", nargs=2, default=["IVF256,PQ32np", "IVF256,PQ96np"], metavar=("MAX", "SUM"),
        help="compressed, at the first dimension, as large for either fusion",
    )  # fmt: skip
    p.add_argument("--nprobe", type=positive, default=16)
    p.add_argument(
        "--kinds", nargs="+", default=["float32", "float16", "int8", "compressed"],
        help="indexes; the first is what recall is measured against",
    )  # fmt: skip
    p.add_argument(
        "--most-plain", type=positive, default=200_000,
        help="items up to which what holds all in memory as float32 takes part",
    )  # fmt: skip
    args = p.parse_args(argv)
    if args.quick:
        args.products, args.queries, args.dims, args.repeats = 3000, 24, [32], 1
        args.factories = ["IVF16,PQ8np", "IVF16,PQ24np"]
    Path(args.out).mkdir(parents=True, exist_ok=True)
    for dim in args.dims:
        with tempfile.TemporaryDirectory(dir=args.out) as folder:
            work = Path(folder)
            built = build(work, args, dim)
            for fusion in WEIGHTS:
                report(work, built, args, fusion, dim).write(args.out)


if __name__ == "__main__":
    run(main)
