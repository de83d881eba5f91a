"""`item-duplicates --compare near` on a whole catalogue: what it takes, and what it misses.

    python examples/benchmark/near_duplicates.py --items million/items --queries million/queries \\
        --out results

``--items`` and ``--queries`` are what ``million.py`` wrote: the queries are second listings of some
of the items, under their ids. Half of them become items of the index, under ids of their own, and
are what is to be found; the other half are what its probabilities are fitted on. `item-index` and
`item-duplicates` run in processes of their own.

What it misses is counted on ``--sampled`` items, half of them second listings, which are compared
with all others exactly: of their pairs of probability 0.5 or more, how many does it have?
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from bench import measure, parser, write

from fairseq_item.commands.common import positive, run
from fairseq_item.engines import Local
from fairseq_item.search.duplicates import LEAST, fuser_of, least_score, may_reach
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter
from fairseq_item.search.exact import Cpu
from fairseq_item.search.fusion import Batch
from fairseq_item.search.hits import write_truth
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.item_queries import as_queries
from fairseq_item.search.near.pairs import near_pairs

AGAIN = "again-"  # before the id of an item that is listed twice
ROWS_A_TIME = 256


def some_of(source, rows, folder):
    """A folder of some rows of ``Embeddings``, under ids of their own."""
    items = [{**source.items[row], "id": AGAIN + source.ids[row]} for row in rows.tolist()]
    meta = {name: source.meta.get(name) for name in ("checkpoint", "checkpoint_digest")}
    with EmbeddingWriter(folder, items, source.dims, source.meta["dtype"], meta) as writer:
        writer.write(0, *(source.arrays[name][rows] for name in EMBEDDINGS))
        writer.finish()


def build(args, work):
    """Write the index, fitted; the positions of second listings and of those whom they repeat."""
    queries = Embeddings.load(args.queries)
    rows = np.arange(len(queries))
    some_of(queries, rows[::2], work / "fit")
    some_of(queries, rows[1::2], work / "again")
    truth = {AGAIN + queries.ids[row]: {queries.ids[row]} for row in rows[::2]}
    write_truth(work / "truth.tsv", truth)
    index = work / "index"
    measure(
        "fairseq_item.commands.index", args.items, work / "again", "--out", index, "--dtype",
        "float16", "--fit", work / "truth.tsv", "--fit-queries", work / "fit",
    )  # fmt: skip
    index = ItemIndex.load(index)
    place = {name: row for row, name in enumerate(index.items.column("id"))}
    again = [queries.ids[row] for row in rows[1::2]]
    return index, np.array([(place[name], place[AGAIN + name]) for name in again])


def exact_pairs(index, rows):
    """Pairs of some items with any other, likely in both directions: set of (smaller, larger)."""
    found = set()
    for start in range(0, len(rows), ROWS_A_TIME):
        pairs = likely(index, rows[start : start + ROWS_A_TIME])
        if pairs:
            query, row = np.array(sorted(pairs)).T
            others, place = np.unique(row, return_inverse=True)
            back = likely(index, others, (place, query))
            found |= {tuple(sorted(pair)) for pair in pairs if pair[::-1] in back}
    return found


def likely(index, rows, pairs=None):
    """Items that are likely the same product as some: set of positions (query, item).

    ``pairs`` are those to look at, places in ``rows`` and positions of items; None compares all.
    """
    plain, asked = as_queries(index, rows)
    fuser, reach, found = fuser_of(index), least_score(index, LEAST), set()
    batch = Batch(plain, fuser, asked, 1, rows)
    for query, row in [pairs] if pairs else may_reach(batch, reach, Cpu("cpu")):
        kept = fuser(batch.similarities(query, row)) >= reach
        found |= set(zip(rows[query[kept]].tolist(), row[kept].tolist()))
    return found


def main(argv=None):
    p = parser(__doc__)
    p.add_argument("--items", required=True, metavar="DIR", help="embeddings of the products")
    p.add_argument("--queries", required=True, metavar="DIR", help="of second listings of some")
    p.add_argument("--sampled", type=positive, default=1024, help="items compared with all")
    p.add_argument("--workers", type=positive, default=2, help="processes")
    args = p.parse_args(argv)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out) as work:
        work = Path(work)
        index, again = build(args, work)
        sys.stderr.write(f"{len(index)} items indexed and fitted\n")
        took = measure(
            "fairseq_item.commands.duplicates", work / "index", "--out", work / "groups.csv",
            "--compare", "near", "--parts", work / "parts", "--num-workers", args.workers,
            OMP_NUM_THREADS="1",
        )  # fmt: skip
        # Nothing is compared again: the parts are there.
        pairs = near_pairs(index, work / "index", LEAST, work / "parts", Local().map)
        found = set(map(tuple, pairs.rows.tolist()))
        rng, half = np.random.default_rng(1), args.sampled // 2
        some = rng.choice(again[:, 1], min(half, len(again)), replace=False)
        rows = np.union1d(some, rng.choice(len(index), half, replace=False))
        right = exact_pairs(index, rows)
        true = set(map(tuple, np.sort(again, axis=1).tolist()))
    result = {
        "items": len(index),
        "seconds": took.seconds,
        "cpu_seconds": took.cpu,
        "driver_mib": took.memory,
        "pairs": len(found),
        "sampled": len(rows),
        "sampled_pairs": len(right),
        "sampled_found": len(right & found),
        "second_listings": len(true),
        "second_listings_found": len(true & found),
        "sampled_second_listings": len(right & true),
        "sampled_second_listings_found": len(right & true & found),
    }
    lines = [["", ""], *([key.replace("_", " "), f"{value:,.0f}"] for key, value in result.items())]
    write(args.out, "near-duplicates", {**result, "said": took.output.strip()}, lines)


if __name__ == "__main__":
    run(main)
