"""Approximate search beside the exact one: recall@10, queries a second, time and memory to build.

    python examples/benchmark/approximate.py --items million/items --queries million/queries \\
        --kinds ivf-pq hnsw --out results

Each index is built by `item-index`, in a process of its own, and searched by one that only opens it
and answers all queries: approximately at ``--recall`` by two threads, exactly in one with as many
threads of BLAS. They take turns. Recall is the share of the exact search's first ten, words
included. Memory is what the searching process holds of its own (RssAnon) and what it holds of
mapped files (RssFile); the system's cache of files that are read is nobody's. Processor time a
query depends little on other work of the machine.

``million.py`` makes embeddings by a trained model; without ``--items`` and ``--queries`` they are
drawn (see ``synthetic.py``).
"""

import json
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
from bench import measure, parser, write
from synthetic import write_embeddings

from fairseq_item.commands.common import fraction, positive, run
from fairseq_item.search.candidates.lists import KINDS
from fairseq_item.search.embeddings import Embeddings
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import fused_search

K = 10
QUERIES_A_TIME = 64
THREADS = 2


def held():
    """MiB of this process: its own memory, mapped files, and the most of both together."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return [int(re.search(rf"{n}:\s*(\d+)", status)[1]) / 1024 for n in
            ("RssAnon", "RssFile", "VmHWM")]  # fmt: skip


def ask(index, queries, recall, out, most):
    """Open an index and answer queries, so many at most; what it took goes to stdout as JSON."""
    opened = time.perf_counter()
    index = ItemIndex.load(index, recall=recall)
    opened = time.perf_counter() - opened
    queries = Embeddings.load(queries)
    count = min(most, len(queries))
    size = QUERIES_A_TIME if recall is not None else count
    blocks = [queries.queries(i, min(i + size, count)) for i in range(0, count, size)]
    begun, spent = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(THREADS if recall is not None else 1) as pool:
        rows = list(pool.map(lambda block: fused_search(index, block, K).rows, blocks))
    took = {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - spent}
    np.save(out, np.concatenate(rows))
    names = dict(zip(("own_mib", "mapped_mib", "most_mib"), held()))
    print(json.dumps({**took, **names, "open_seconds": opened}))


def searched(index, queries, recall, out, most):
    """:func:`ask` in a process of its own: what it took, and the rows found."""
    threads = "1" if recall is not None else str(os.cpu_count())
    wanted = [] if recall is None else ["--recall", recall]
    asked = ["--ask", index, "--queries", queries, "--out", out, "--asked", most, *wanted]
    done = measure("approximate", *asked, OMP_NUM_THREADS=threads)
    return json.loads(done.output), np.load(out)


def build(items, folder, kind, args):
    """Build an index; what that took."""
    done = measure(
        "fairseq_item.commands.index", items, "--out", folder, "--dtype", "float16",
        "--approximate", kind, "--num-workers", args.workers, OMP_NUM_THREADS=str(args.workers),
    )  # fmt: skip
    built = ItemIndex.load(folder).meta["approximate"]
    extra = [p for p in Path(folder).iterdir() if p.name.startswith(("candidates", "postings"))]
    return {
        "factory": built["factory"],
        "build_seconds": done.seconds,
        "build_cpu_seconds": done.cpu,
        "build_mib": done.memory,
        "disk_mb": sum(path.stat().st_size for path in extra) / 1e6,
        "settings": built["settings"],
    }


def shares(found, exact):
    """Recall of each query."""
    pairs = [(row[row >= 0], ours) for row, ours in zip(exact, found)]
    return [float(np.isin(right, ours).mean()) for right, ours in pairs if len(right)]


def compare(work, items, queries, args):
    """All contestants in turn: name -> what was measured."""
    found = {}
    for kind in args.kinds:
        found[kind] = build(items, work / kind, kind, args)
        sys.stderr.write(f"{kind}: built in {found[kind]['build_seconds']:.0f} s\n")
    contestants = {"exact": (work / args.kinds[0], None)}
    contestants |= {kind: (work / kind, args.recall) for kind in args.kinds}
    turns = {name: [] for name in contestants}
    for turn in range(args.repeats):
        for name, (folder, recall) in contestants.items():
            took, rows = searched(folder, queries, recall, work / "rows.npy", args.asked)
            if name == "exact":
                exact = rows
            turns[name].append({**took, "recall": float(np.mean(shares(rows, exact)))})
            sys.stderr.write(f"turn {turn + 1}: {name}: {len(rows) / took['seconds']:.0f} q/s\n")
    for name, measured in turns.items():
        row = {key: median(one[key] for one in measured) for key in measured[0]}
        row["queries_per_second"] = sorted(len(exact) / one["seconds"] for one in measured)
        row["cpu_ms_per_query"] = 1000 * row.pop("cpu") / len(exact)
        found[name] = {**found.get(name, {}), **row}
    return found


def table(found):
    """Lines of cells."""
    lines = [["search", "recall@10", "queries/s", "range", "CPU ms a query", "own MiB",
              "mapped MiB", "build s", "build MiB", "disk MB"]]  # fmt: skip
    for name, row in found.items():
        rates = row["queries_per_second"]
        built = [f"{row[key]:,.0f}" if key in row else "" for key in
                 ("build_seconds", "build_mib", "disk_mb")]  # fmt: skip
        lines.append([
            f"{name}, {row['factory']}" if "factory" in row else name,
            f"{row['recall']:.3f}", f"{median(rates):,.0f}", f"{rates[0]:,.0f} to {rates[-1]:,.0f}",
            f"{row['cpu_ms_per_query']:.2f}", f"{row['own_mib']:.0f}", f"{row['mapped_mib']:.0f}",
            *built,
        ])  # fmt: skip
    return lines


def main(argv=None):
    p = parser(__doc__)
    p.add_argument("--items", metavar="DIR", help="embeddings of the products")
    p.add_argument("--queries", metavar="DIR", help="embeddings of the queries")
    p.add_argument("--asked", type=positive, default=2000, help="of the queries, at most")
    p.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    p.add_argument("--recall", type=fraction, help="default: 0.95")
    p.add_argument("--workers", type=positive, default=2, help="processes that build")
    p.add_argument("--name", default="approximate", help="of the JSON and the table")
    p.add_argument("--ask", metavar="INDEX", help="only search this one: a process of its own")
    args = p.parse_args(argv)
    if args.ask:
        return ask(args.ask, args.queries, args.recall, args.out, args.asked)
    args.recall = 0.95 if args.recall is None else args.recall
    Path(args.out).mkdir(parents=True, exist_ok=True)
    if args.quick:
        args.repeats, args.workers = 1, 1
    with tempfile.TemporaryDirectory(dir=args.out) as work:
        work = Path(work)
        items, queries = args.items, args.queries
        if not items:
            count = 3000 if args.quick else 100_000
            items, queries = work / "items", work / "queries"
            write_embeddings(items, count, count // 3, 32 if args.quick else 256, 1, "i")
            write_embeddings(queries, 100 if args.quick else 1000, count // 3,
                             32 if args.quick else 256, 2, "q")  # fmt: skip
        counts = {
            "products": len(Embeddings.load(items)),
            "queries": min(args.asked, len(Embeddings.load(queries))),
        }
        found = compare(work, items, queries, args)
    write(args.out, args.name, {**counts, "recall": args.recall, "searches": found}, table(found))


if __name__ == "__main__":
    run(main)
