"""Print the scores of a quickstart folder as one table, and write them to scores.json there.

usage: python examples/quickstart/scores.py FOLDER
"""

import json
import sys
from pathlib import Path

from fairseq_item.cli import arguments, run
from fairseq_item.files import atomic_path
from fairseq_item.retrieval.evaluate import summarise
from fairseq_item.retrieval.hits import read_hits, read_truth
from fairseq_item.retrieval.metrics import score_queries

PARTS = ("fused", "global", "title", "image")
ROWS = [
    *((f"ITEm, {part}", f"trained-{part}") for part in PARTS),
    *((f"untrained, {part}", f"untrained-{part}") for part in PARTS),
    ("TF-IDF on titles", "tfidf"),
]


def main(argv=None):
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("folder", help="what run.sh wrote")
    folder = Path(parser.parse_args(argv).folder)
    truth = read_truth(folder / "queries" / "truth.tsv")
    scores = {}
    for label, name in ROWS:
        hits = read_hits(folder / "hits" / f"{name}.tsv")
        scores[label] = summarise(score_queries(hits, truth, 10), 10)
    with atomic_path(folder / "scores.json") as path:
        path.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(table(scores))


def table(scores):
    """Plain text: a row for each method, with the 95% interval of MAP@10."""
    lines = [f"{'':20s} {'MAR@10':>7s} {'MAP@10':>7s}   95% interval"]
    for label, row in scores.items():
        low, high = row["MAP@10_ci95"]
        lines.append(
            f"{label:20s} {row['MAR@10']:7.2f} {row['MAP@10']:7.2f}   {low:.2f} to {high:.2f}"
        )
    queries = next(iter(scores.values()))["queries"]
    return "\n".join([*lines, f"({queries} queries, percent)", ""])


if __name__ == "__main__":
    run(main)
