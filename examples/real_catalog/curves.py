"""Plot how losses and search scores develop over a training that kept its checkpoints.

Reads the folder of a quickstart run that was trained with --save-interval-updates, embeds queries
and index with every checkpoint, searches, and writes curves.csv and curves.png there.
"""

import csv
import re
from pathlib import Path

from fairseq_item.commands import embed as embed_command
from fairseq_item.commands import index as index_command
from fairseq_item.commands import search as search_command
from fairseq_item.commands.common import Parser, run
from fairseq_item.errors import InputError
from fairseq_item.evaluation.metrics import score_queries
from fairseq_item.evaluation.summary import summarise
from fairseq_item.files import atomic_path
from fairseq_item.search.hits import read_hits, read_truth

LOSSES = ("itm", "mlm", "gmlm", "mim", "gmim", "view")
SIMILARITIES = ("fused", "global", "title", "image")


def main(argv=None):
    parser = Parser(__doc__)
    parser.add_argument("folder", help="what run.sh wrote")
    parser.add_argument("--index-args", default="", help="further options of item-index")
    args = parser.parse_args(argv)
    folder = Path(args.folder)
    checkpoints = sorted(
        (int(match[1]), path)
        for path in (folder / "model").glob("checkpoint_*_*.pt")
        if (match := re.fullmatch(r"checkpoint_\d+_(\d+)\.pt", path.name))
    )
    if not checkpoints:
        raise InputError(
            f"{folder}/model has no checkpoint_*_N.pt; train with TRAIN_ARGS='"
            "--save-interval-updates 200'"
        )
    first = checkpoints[0][1]
    rows = [score(folder, "untrained", 0, first, args.index_args, ["--untrained"])]
    for updates, path in checkpoints:
        rows.append(score(folder, f"at-{updates}", updates, path, args.index_args, []))
    with atomic_path(folder / "curves.csv") as path, open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    plot(rows, losses(folder / "train.log"), folder / "curves.png")


def score(folder, name, updates, checkpoint, index_args, embed_args):
    """MAP@10 of the fused search and of each similarity with one checkpoint."""
    work = folder / "curves" / name
    for split, out in (("train,valid,test", "index"), ("query", "query")):
        command = ["--checkpoint", checkpoint, "--data", folder / "data-bin", "--split", split]
        embed_command.main([*map(str, command), "--out", str(work / out), *embed_args])
    index_command.main([str(work / "index"), "--out", str(work / "faiss"), *index_args.split()])
    truth, row = read_truth(folder / "queries" / "truth.tsv"), {"updates": updates}
    for by in SIMILARITIES:
        hits = work / f"{by}.tsv"
        queries = ["--queries", str(work / "query"), "--part", by]
        search_command.main([str(work / "faiss"), *queries, "--out", str(hits)])
        row[by] = summarise(score_queries(read_hits(hits), truth, 10), 10, 0)["MAP@10"]
    return row


def losses(log):
    """(updates, {loss: value}) of each training line of a fairseq log in simple format."""
    lines = []
    for line in log.read_text(encoding="utf-8").splitlines():
        if "train_inner" in line:
            values = dict(re.findall(r"(\w+)=([-\d.e]+)", line))
            lines.append(
                (int(values["num_updates"]), {k: float(values[k]) for k in LOSSES if k in values})
            )
    return lines


def plot(rows, training, path):
    """Two panels: losses over their first logged value, and MAP@10 by similarity."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4))
    for name in LOSSES:
        points = [(updates, values[name]) for updates, values in training if name in values]
        if points:
            x, y = zip(*points)
            left.plot(x, [value / y[0] for value in y], label=name)
    left.set(xlabel="updates", ylabel="loss / its first logged value", ylim=(0, 1.1))
    left.legend()
    for by in SIMILARITIES:
        x, y = [row["updates"] for row in rows], [row[by] for row in rows]
        right.plot(x, y, label=by, linewidth=2.5 if by == "fused" else 1.2, marker="o")
    right.set(xlabel="updates (0: untrained)", ylabel="MAP@10, percent", ylim=(0, None))
    right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    run(main)
