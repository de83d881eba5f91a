"""Print the scores of a folder that run.sh wrote, and write them to scores.json there.

Of each method there are two rows: as it comes, and with the weights that did best on dev queries;
of queries by their photo or title alone one, as it comes. Scores are those of test queries, which
no choice has seen.

usage: python examples/second_photos/scores.py FOLDER
"""

import json
import sys
from pathlib import Path

from fairseq_item.commands.common import Parser, add_bootstrap, add_seed, run
from fairseq_item.errors import InputError
from fairseq_item.evaluation.compare import compare
from fairseq_item.evaluation.dev_test import keep
from fairseq_item.evaluation.metrics import score_queries
from fairseq_item.evaluation.summary import percent, summarise
from fairseq_item.files import atomic_path
from fairseq_item.search.hits import read_hits, read_truth

K = 10
METHODS = {
    "item-features": "ITEm + features",
    "item": "ITEm",
    "untrained-features": "ITEm + features, untrained",
    "untrained": "ITEm, untrained",
    "tfidf": "TF-IDF of titles",
    "bm25": "BM25 of titles",
    "features": "BM25 + pretrained image",
}
# What is asked by a photo or a title alone: folders of hits.
ALONE = {
    "photo": {
        **{name: label for name, label in METHODS.items() if label.startswith("ITEm")},
        "features": "pretrained image",
    },
    "title": {name: METHODS[name] for name in ("item", "untrained", "tfidf", "bm25")},
}


def score_all(folder):
    """Scores of every hits file of a folder: its name -> {"dev", "test"} -> ``metrics.Scores``."""
    truth = read_truth(folder.parents[1] / "benchmark" / "truth.tsv")
    found = {}
    for path in sorted(folder.glob("*.tsv")):
        hits = read_hits(path)
        parts = {part: keep(hits, truth, part) for part in ("dev", "test")}
        found[path.stem] = {part: score_queries(*some, K) for part, some in parts.items()}
    return found


def rows_of(folder):
    """(query, label, choice, {"dev", "test"} -> ``metrics.Scores``) of each row."""
    for method, label in METHODS.items():
        found = score_all(folder / "hits" / method)
        if found:
            yield "whole", label, "default", found["default"]
        if len(found) > 1:
            best = max(found, key=lambda choice: found[choice]["dev"].precision.mean())
            yield "whole", label, f"{best}, chosen on dev", found[best]
    for query, methods in ALONE.items():
        found = score_all(folder / "hits" / query)
        for method, label in methods.items():
            if method in found:
                yield query, label, f"{query} only", found[method]


def summaries(folder, bootstrap, seed):
    rows, first = [], {}
    for query, label, choice, scores in rows_of(folder):
        row = {"method": label, "choice": choice, "query": query}
        row[f"dev MAP@{K}"] = percent(scores["dev"].precision.mean())
        row |= summarise(scores["test"], K, bootstrap, seed)
        if query in first:
            gap = compare(first[query], scores["test"], K, bootstrap, seed)
            row["first_ahead"] = gap[f"MAP@{K}"]
        first.setdefault(query, scores["test"])
        rows.append(row)
    if not rows:
        raise InputError(f"{folder} has no hits; run run.sh first")
    return rows


def table(rows):
    """Plain text; the gap to the first row of such queries is that of each query, averaged."""
    lines = [f"{'':62s} {'dev MAP':>7s} {'MAR@10':>7s} {'MAP@10':>7s}   first row better by"]
    for row in rows:
        if "first_ahead" not in row and row is not rows[0]:
            lines.append("")
        name = f"{row['method']} ({row['choice']})"
        line = f"{name:62s} {row['dev MAP@10']:7.2f} {row['MAR@10']:7.2f} {row['MAP@10']:7.2f}"
        if "first_ahead" in row:
            ahead = row["first_ahead"]
            low, high = ahead.get("ci95", ("-", "-"))
            line += f"   {ahead['difference']:.2f} ({low} to {high})"
        lines.append(line)
    return "\n".join([*lines, f"({rows[0]['queries']} test queries, percent)", ""])


def main(argv=None):
    parser = Parser(__doc__.split("\n\nusage")[0])
    parser.add_argument("folder", help="what run.sh wrote")
    add_bootstrap(parser)
    add_seed(parser)
    args = parser.parse_args(argv)
    folder = Path(args.folder)
    rows = summaries(folder, args.bootstrap, args.seed)
    with atomic_path(folder / "scores.json") as path:
        path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(table(rows))


if __name__ == "__main__":
    run(main)
