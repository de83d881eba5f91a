"""What centring, whitening, calibration and fusion are worth on a finished quickstart run.

Builds an index of its trained and untrained embeddings with each set of options, searches, and
prints a Markdown table of MAP@10 by similarity.
"""

import sys
from pathlib import Path

from fairseq_item.commands import index, search
from fairseq_item.commands.common import Parser, run
from fairseq_item.evaluation.metrics import score_queries
from fairseq_item.evaluation.summary import summarise
from fairseq_item.search.hits import read_hits, read_truth

# Transform, calibration, fusion, weights: the first row is the paper's, the last the default.
OPTIONS = [
    ("none", "none", "max", "1 1 1"),
    ("none", "zscore", "max", "1 1 1"),
    ("center", "zscore", "max", "1 1 1"),
    ("whiten", "none", "max", "1 1 1"),
    ("whiten", "zscore", "max", "1 1 1"),
    ("whiten", "zscore", "sum", "1 1 1"),
    ("whiten", "zscore", "sum", "0.5 1 0.5"),
]
COLUMNS = ("model", "transform", "calibration", "fusion", "weights")
SCORES = ("fused MAR@10", "fused MAP@10", "global", "title", "image")


def main(argv=None):
    parser = Parser(__doc__)
    parser.add_argument("folder", help="what examples/quickstart/run.sh wrote")
    folder = Path(parser.parse_args(argv).folder)
    truth = read_truth(folder / "queries" / "truth.tsv")
    lines = [(*COLUMNS, *SCORES), ["---"] * len(COLUMNS) + ["---:"] * len(SCORES)]
    for model in ("trained", "untrained"):
        for options in OPTIONS:
            found = [
                score(folder, model, options, by, truth)
                for by in ("fused", "global", "title", "image")
            ]
            values = [found[0]["MAR@10"], *(row["MAP@10"] for row in found)]
            lines.append((model, *options, *(f"{value:.2f}" for value in values)))
    sys.stdout.write("".join(f"| {' | '.join(line)} |\n" for line in lines))


def score(folder, model, options, by, truth):
    """Scores of one similarity under one set of index options."""
    transform, calibration, fusion, weights = options
    work = folder / "compare" / "-".join((model, *options)).replace(" ", "-")
    embeddings, hits = folder / "embeddings" / model, work / f"{by}.tsv"
    if not (work / "meta.json").exists():
        how = ["--transform", transform, "--calibration", calibration, "--fusion", fusion]
        how += ["--weights", *weights.split()]
        index.main([str(embeddings / "index"), "--out", str(work), *how])
    queries = ["--queries", str(embeddings / "query"), "--part", by]
    search.main([str(work), *queries, "--out", str(hits)])
    return summarise(score_queries(read_hits(hits), truth, 10), 10, 0)


if __name__ == "__main__":
    run(main)
