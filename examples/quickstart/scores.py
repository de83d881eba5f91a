"""Print the scores of a quickstart folder as one table, and write them to scores.json there.

usage: python examples/quickstart/scores.py FOLDER
"""

import json
import sys
from pathlib import Path

from fairseq_item.commands.common import Parser, run
from fairseq_item.evaluation.metrics import bootstrap_interval, score_queries
from fairseq_item.evaluation.summary import summarise
from fairseq_item.files import atomic_path
from fairseq_item.search.hits import read_hits, read_truth

SIMILARITIES = ("fused", "unfitted", "global", "title", "image")
ROWS = [
    ("ITEm + features, fused", "features-fused"),
    ("ITEm + features, unfitted", "features-unfitted"),
    *((f"ITEm, {by}", f"trained-{by}") for by in SIMILARITIES),
    *((f"untrained, {by}", f"untrained-{by}") for by in SIMILARITIES),
    ("untrained + features, fused", "untrained-features-fused"),
    ("the index's words alone", "words"),
    ("BM25 on titles", "bm25"),
    ("BM25 + features", "rival"),
]
# Queries that have nothing but their photo, or their title.
PHOTO_ONLY = [
    ("ITEm + features, photo only", "features-only-photo"),
    ("ITEm, photo only", "trained-only-photo"),
    ("untrained + features, photo only", "untrained-features-only-photo"),
    ("untrained, photo only", "untrained-only-photo"),
    ("features, photo only", "rival-only-photo"),
]
TITLE_ONLY = [
    ("ITEm, title only", "trained-only-title"),
    ("untrained, title only", "untrained-only-title"),
    ("BM25, title only", "bm25"),
]


def main(argv=None):
    parser = Parser(__doc__.splitlines()[0])
    parser.add_argument("folder", help="what run.sh wrote")
    folder = Path(parser.parse_args(argv).folder)
    truth = read_truth(folder / "queries" / "truth.tsv")
    groups = [score(folder / "hits", rows, truth) for rows in (ROWS, PHOTO_ONLY, TITLE_ONLY)]
    scores = {label: row for group in groups for label, row in group.items()}
    with atomic_path(folder / "scores.json") as path:
        path.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(map(table, groups)))


def score(hits, rows, truth):
    """label -> scores of each row whose hits are there, and of its gap to the first one."""
    scores, first = {}, None
    for label, name in rows:
        path = hits / f"{name}.tsv"
        if not path.exists():  # without the extra "pretrained"
            continue
        found = score_queries(read_hits(path), truth, 10)
        scores[label] = summarise(found, 10)
        if first is None:
            first = found.precision
        else:
            # Paired by query: which queries were drawn matters less than in each row alone.
            gain = 100 * (first - found.precision)
            scores[label]["behind_first"] = round(float(gain.mean()), 2)
            ends = bootstrap_interval(gain)
            scores[label]["behind_first_ci95"] = [round(end, 2) for end in ends]
    return scores


def table(scores):
    """Plain text: a row for each method, with 95% intervals of MAP@10 and of the gap to the first.

    The gap is that of each query, averaged: positive where the first row is better.
    """
    lines = [f"{'':32s} {'MAR@10':>7s} {'MAP@10':>7s}   95% interval   first row better by"]
    for label, row in scores.items():
        low, high = row["MAP@10_ci95"]
        line = f"{label:32s} {row['MAR@10']:7.2f} {row['MAP@10']:7.2f}   {low:.2f} to {high:.2f}"
        if "behind_first" in row:
            least, most = row["behind_first_ci95"]
            line += f"   {row['behind_first']:.2f} ({least:.2f} to {most:.2f})"
        lines.append(line)
    queries = next(iter(scores.values()))["queries"]
    return "\n".join([*lines, f"({queries} queries, percent)", ""])


if __name__ == "__main__":
    run(main)
