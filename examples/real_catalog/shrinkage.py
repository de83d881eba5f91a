"""How far whitening should shrink variances: rules compared on small indexes.

    python examples/real_catalog/shrinkage.py fashion/embeddings/trained \\
        fashion/queries/truth.tsv --sizes 100 300 1000 --draws 5 --out shrinkage.csv

Draws indexes of n items out of embeddings of a catalogue, with the true matches of as many dev
queries as come to half of them, and searches as an index of item-index would with each rule. Writes
MAP@10 of each similarity, of the default fusion and of the same without words, a line an index and
rule, and prints the means of each n as a Markdown table.
"""

import csv
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.covariance import ledoit_wolf_shrinkage, oas

from fairseq_item.commands.common import Parser, positive, run
from fairseq_item.data.tsv import Table
from fairseq_item.evaluation.dev_test import dev_and_test
from fairseq_item.evaluation.metrics import mean_average_precision
from fairseq_item.search.build import WEIGHTS, WEIGHTS_WITH_FEATURES
from fairseq_item.search.calibration import sample_lexical, sample_similarities
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, normalise
from fairseq_item.search.hits import Hit, read_truth
from fairseq_item.search.lexical import LexicalIndex, count_terms
from fairseq_item.search.transforms import default_shrinkage, moments

K = 10
# Shrinkage by the embeddings (n, d) of an index: the more, the nearer to centring alone.
RULES = {
    "(d/n)^2": lambda rows: default_shrinkage(rows.shape[1], len(rows)),
    "d/n": lambda rows: np.clip(rows.shape[1] / len(rows), 0.01, 1),
    "d/(n+d)": lambda rows: rows.shape[1] / sum(rows.shape),
    "Ledoit-Wolf": ledoit_wolf_shrinkage,
    "OAS": lambda rows: oas(rows)[1],
    "0.1": lambda rows: 0.1,
    "0.3": lambda rows: 0.3,
    "1": lambda rows: 1,
}


def main(argv=None):
    p = Parser(__doc__)
    p.add_argument("embeddings", help="folder of index and query: products with title and image")
    p.add_argument("truth", help="TSV of query_id and item_id")
    p.add_argument("--all-queries", action="store_true", help="the truth is of dev queries alone")
    p.add_argument("--sizes", type=positive, nargs="+", default=[100, 200, 300, 500, 1000, 2000])
    p.add_argument("--draws", type=positive, default=5, help="indexes of each size")
    p.add_argument("--out", required=True, metavar="CSV")
    args = p.parse_args(argv)
    items, queries = (Embeddings.load(Path(args.embeddings) / n) for n in ("index", "query"))
    truth = read_truth(args.truth)
    kept = set(truth if args.all_queries else dev_and_test(truth)["dev"]) & set(queries.ids)
    truth = {query: truth[query] for query in sorted(kept)}
    rows = []
    with open(args.out, "w", newline="", encoding="utf-8") as out:
        for size in (size for size in args.sizes if size <= len(items)):
            for seed in range(args.draws if size < len(items) else 1):
                rows += compared(items, queries, truth, size, seed)
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    sys.stdout.write(table(rows))


def compared(items, queries, truth, size, seed):
    """Scores of all rules on one index of ``size`` items: list of dicts."""
    rng = np.random.default_rng([size, seed])
    chosen, truth = sample(items.ids, truth, size, rng)
    asked = [row for row, query in enumerate(queries.ids) if query in truth]
    of = {name: Axes(items.rows(name)[chosen], queries.rows(name)[asked]) for name in EMBEDDINGS}
    weights = WEIGHTS_WITH_FEATURES if items.meta["features"] else WEIGHTS
    table = Table.of([items.items[row] for row in chosen])
    words = lexical(table, [queries.titles()[row] for row in asked])
    ids = [queries.ids[row] for row in asked], [items.ids[row] for row in chosen]
    found = []
    for rule, shrinkage in RULES.items():
        plain, scaled = {}, [weights[-1] * words]
        for name, weight in zip(EMBEDDINGS, weights):
            plain[name], z = of[name].similarities(shrinkage)
            scaled.append(weight * z)
        ways = {**plain, "default": sum(scaled), "without words": sum(scaled[1:])}
        scores = {name: score(found, *ids, truth) for name, found in ways.items()}
        found.append({"items": size, "seed": seed, "queries": len(asked), "rule": rule} | scores)
    return found


class Axes:
    """One kind of embeddings of an index and of queries, turned to the axes of the index.

    Args:
        items, queries: (n, d) and (q, d), no row all zero.
    """

    def __init__(self, items, queries):
        mean, covariance, _ = moments([items], items.shape[1])
        values, vectors = np.linalg.eigh(covariance)
        self.plain, self.variances = items, values.clip(min=0)
        self.items, self.queries = ((rows - mean) @ vectors for rows in (items, queries))

    def similarities(self, shrinkage):
        """Cosines (q, n) after whitening with the shrinkage of a rule; the same as z-scores."""
        s = float(shrinkage(self.plain))
        scale = np.sqrt((1 - s) * self.variances + s * self.variances.mean())
        items, queries = (normalise(rows / scale) for rows in (self.items, self.queries))
        cosines = queries @ items.T
        pairs = sample_similarities(items, np.arange(len(items)), 1)
        return cosines, (cosines - pairs.mean()) / pairs.std()


def lexical(table, titles):
    """Lexical similarities of titles and the items of a table, as z-scores: (q, n)."""
    with TemporaryDirectory() as folder:
        index = LexicalIndex.build(table.values("title"), Path(folder))
        pairs = sample_lexical(index, table, 1)
        found = (count_terms(titles) @ index[np.arange(len(table))].T).toarray()
    return (found - pairs.mean()) / pairs.std()


def score(similarities, queries, items, truth):
    """MAP@10 in percent."""
    best = np.argsort(-similarities, axis=1, kind="stable")[:, :K]
    hits = {
        query: [Hit(items[column], -rank) for rank, column in enumerate(row)]
        for query, row in zip(queries, best)
    }
    return 100 * mean_average_precision(hits, truth, K)


def sample(ids, truth, size, rng):
    """Rows of an index, and the true matches of the queries whose matches are all in it."""
    row_of = {name: row for row, name in enumerate(ids)}
    chosen, kept = {}, {}
    for query in rng.permutation(list(truth)):
        matches = [row_of[name] for name in truth[query]]
        if size < len(ids) and len({*chosen, *matches}) > size / 2:
            break
        chosen.update(dict.fromkeys(matches))
        kept[query] = truth[query]
    others = [row for row in rng.permutation(len(ids)) if row not in chosen]
    return sorted([*chosen, *others[: size - len(chosen)]]), kept


def table(rows):
    ways = [*EMBEDDINGS, "default", "without words"]
    lines = [("items", "queries", "shrinkage", *ways), ["---:", "---:", "---"] + ["---:"] * 5]
    for size in dict.fromkeys(row["items"] for row in rows):
        for rule in RULES:
            of = [row for row in rows if (row["items"], row["rule"]) == (size, rule)]
            means = [f"{np.mean([row[way] for row in of]):.1f}" for way in ways]
            lines.append((str(size), f"{np.mean([r['queries'] for r in of]):.0f}", rule, *means))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    run(main)
