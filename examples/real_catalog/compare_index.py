"""What centring, whitening, calibration and fusion are worth on a finished quickstart run.

Builds an index of its trained and untrained embeddings with each set of options, searches, and
prints a Markdown table of MAP@10 by similarity.
"""

import sys
from pathlib import Path

from fairseq_item.commands import search as search_command
from fairseq_item.commands.common import Parser, run
from fairseq_item.evaluation.metrics import score_queries
from fairseq_item.evaluation.summary import summarise
from fairseq_item.search import build as index
from fairseq_item.search.hits import read_hits, read_truth

EQUAL = (1.0, 1.0, 1.0)
# The first row is the paper's, the last the default of item-index.
OPTIONS = [
    ("none", "none", "max", EQUAL),
    ("none", "zscore", "max", EQUAL),
    ("center", "zscore", "max", EQUAL),
    ("whiten", "none", "max", EQUAL),
    ("whiten", "zscore", "max", EQUAL),
    ("whiten", "tail", "max", EQUAL),
    ("whiten", "neighbour", "max", EQUAL),
    ("whiten", "zscore", "sum", EQUAL),
    ("whiten", "zscore", "sum", index.WEIGHTS),
]
EMBEDDINGS = ("fused", "global", "title", "image")


def main(argv=None):
    parser = Parser(__doc__)
    parser.add_argument("folder", help="what examples/quickstart/run.sh wrote")
    folder = Path(parser.parse_args(argv).folder)
    truth = read_truth(folder / "queries" / "truth.tsv")
    columns = ("model", "transform", "calibration", "fusion", "weights")
    scores = ("fused MAR@10", "fused MAP@10", "global", "title", "image")
    lines = [
        "| " + " | ".join((*columns, *scores)) + " |",
        "|" + "---|" * len(columns) + "---:|" * len(scores),
    ]
    for model in ("trained", "untrained"):
        for options in OPTIONS:
            found = [score(folder, model, options, part, truth) for part in EMBEDDINGS]
            values = [found[0]["MAR@10"], *(row["MAP@10"] for row in found)]
            weights = " ".join(f"{weight:g}" for weight in options[-1])
            cells = [model, *options[:-1], weights, *(f"{value:.2f}" for value in values)]
            lines.append("| " + " | ".join(cells) + " |")
    sys.stdout.write("\n".join(lines) + "\n")


def score(folder, model, options, part, truth):
    """Scores of one similarity under one set of index options."""
    transform, calibration, fusion, weights = options
    work = folder / "compare" / "-".join((model, *map(str, options)))
    embeddings = folder / "embeddings" / model
    if not (work / "meta.json").exists():
        index.build_index(
            [embeddings / "index"],
            work,
            transform=transform,
            calibrate=calibration,
            fusion=fusion,
            weights=weights,
        )
    hits = work / f"{part}.tsv"
    queries = ["--queries", str(embeddings / "query"), "--part", part]
    search_command.main([str(work), *queries, "--out", str(hits)])
    return summarise(score_queries(read_hits(hits), truth, 10), 10, 0)


if __name__ == "__main__":
    run(main)
