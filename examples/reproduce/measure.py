"""Embed with checkpoints and score their searches under every index of the settings.

Writes FOLDER/scores.json: model -> query set -> index -> similarity -> dev and test -> scores.
One process does it all, for starting a command costs more than a search.
"""

import json
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import plan
from prepare import QUERY_SETS

from fairseq_item.commands import baseline as baseline_command
from fairseq_item.commands import embed as embed_command
from fairseq_item.commands.common import Parser, run
from fairseq_item.data.draw import draw
from fairseq_item.evaluation.metrics import score_queries
from fairseq_item.evaluation.summary import summarise
from fairseq_item.files import atomic_path
from fairseq_item.search.build import build_index
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings
from fairseq_item.search.hits import read_hits, read_truth, write_hits
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import search

K = 10
INDEXED = "train,valid,test"
# The paper splits its queries at random by 2/3 into development and test.
DEVELOPMENT = 2 / 5


def main(argv=None):
    p = Parser(__doc__)
    p.add_argument("out", metavar="OUT", help="what reproduce.py writes to")
    p.add_argument("folder", metavar="FOLDER", help="of the run; OUT/floors measures the floors")
    p.add_argument("--checkpoint", metavar="C", help="none: what needs no training is measured")
    p.add_argument("--settings", default=str(plan.HERE / "settings.yaml"), help="YAML file")
    p.add_argument("--part", default="fused", help="similarity that ranks the answers")
    p.add_argument("--untrained", type=int, metavar="SEED", help="measure random weights, too")
    p.add_argument("--curve", action="store_true", help="measure the earlier checkpoints, too")
    args = p.parse_args(argv)
    logging.getLogger("fairseq").setLevel(logging.WARNING)
    out, folder = Path(args.out), Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    truths = {name: read_truth(out / TRUTHS[name]) for name in QUERY_SETS}
    indexes = plan.read_settings(args.settings)["indexes"]
    if args.checkpoint is None:
        scores = floors(out, folder, truths)
    else:
        scores = of_run(args, out, folder, truths, indexes)
    with atomic_path(folder / "scores.json") as path:
        path.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")


TRUTHS = {"query": Path("queries/truth.tsv"), "unlike": Path("unlike/truth.tsv")}


def of_run(args, out, folder, truths, indexes):
    """All that is measured of one training."""
    checkpoint = Path(args.checkpoint)
    scores = {"trained": of_checkpoint(out, folder, checkpoint, truths, indexes, args.part)}
    scores["parameters"] = parameters(checkpoint)
    if args.untrained is not None:
        work = folder / "untrained"
        flags = ["--untrained", "--seed", str(args.untrained)]
        scores["untrained"] = of_checkpoint(
            out, work, checkpoint, truths, indexes, args.part, flags
        )
        shutil.rmtree(work)
    if args.curve:
        last = dict(list(indexes.items())[-1:])
        scores["curve"] = []
        for updates, path in earlier(checkpoint.parent):
            work = folder / "curve"
            found = of_checkpoint(out, work, path, truths, last, args.part, query_sets=["query"])
            scores["curve"].append([updates, found["query"]])
            shutil.rmtree(work)
    return scores


def of_checkpoint(out, folder, checkpoint, truths, indexes, part, flags=(), query_sets=QUERY_SETS):
    """Scores of one checkpoint: query set -> index -> similarity -> dev and test -> scores.

    Leaves its embeddings, its last index and the hits of its first and last index in ``folder``.
    """
    _embed(out, folder / "embeddings" / "index", checkpoint, INDEXED, flags)
    queries = {}
    for name in query_sets:
        _embed(out, folder / "embeddings" / name, checkpoint, name, flags)
        queries[name] = Embeddings.load(folder / "embeddings" / name)
    scores = {name: {} for name in query_sets}
    for name, options in indexes.items():
        index_folder = folder / "index" / name
        build_index(
            [folder / "embeddings" / "index"],
            index_folder,
            transform=options["transform"],
            calibrate=options["calibration"],
            fusion=options["fusion"],
            weights=options["weights"],
        )
        index = ItemIndex.load(index_folder)
        shown = name in (next(iter(indexes)), next(reversed(indexes)))
        for query_set, embeddings in queries.items():
            truth = truths[query_set]
            parts = {p: embeddings.rows(p) for p in EMBEDDINGS}
            found = scores[query_set][name] = {}
            ranked = {"fused": {}} if part == "fused" else {"fused": {"part": part}}
            if shown and part == "fused":
                ranked.update({p: {"part": p} for p in EMBEDDINGS if np.any(parts[p])})
            for label, how in ranked.items():
                hits = search(index, parts, embeddings.ids, K, **how)
                found[label] = halves(hits, truth)
                if shown:
                    write_hits(folder / "hits" / f"{query_set}-{name}-{label}.tsv", hits)
        if name != next(reversed(indexes)):
            shutil.rmtree(index_folder)
    return scores


def _embed(out, folder, checkpoint, splits, flags):
    options = ["--checkpoint", checkpoint, "--data", out / "data-bin", "--split", splits]
    embed_command.main([*map(str, options), "--out", str(folder), *flags])


def halves(hits, truth):
    """Scores of the development and of the test queries, in percent."""
    drawn = sorted(truth, key=lambda query: draw(1, query))
    middle = round(DEVELOPMENT * len(drawn))
    scores = {}
    for name, ids in (("dev", drawn[:middle]), ("test", drawn[middle:])):
        some = score_queries(
            {query: hits[query] for query in ids if query in hits},
            {query: truth[query] for query in ids},
            K,
        )
        scores[name] = summarise(some, K, bootstrap=0)
    return scores


def floors(out, folder, truths):
    """Scores of TF-IDF on titles and of mean pixels, in the same form."""
    scores = {}
    items = out / "data-bin" / "items"
    for kind in ("tfidf", "pixels"):
        scores[kind] = {}
        for name, truth in truths.items():
            hits = folder / f"{kind}-{name}.tsv"
            index = [items / f"{split}.tsv" for split in INDEXED.split(",")]
            options = ["--queries", items / f"{name}.tsv", "--index", *index, "-k", K]
            baseline_command.main([kind, *map(str, options), "--out", str(hits)])
            scores[kind][name] = {"": {"fused": halves(read_hits(hits), truth)}}
    return scores


def earlier(model):
    """``(updates, path)`` of the checkpoints that a training kept on its way."""
    found = []
    for path in Path(model).glob("checkpoint_*_*.pt"):
        match = re.fullmatch(r"checkpoint_\d+_(\d+)\.pt", path.name)
        if match:
            found.append((int(match[1]), path))
    return sorted(found)


def parameters(checkpoint):
    """Number of parameters of a checkpoint, tied ones counted once."""
    from fairseq_item import ItemModel

    model = ItemModel.from_pretrained(str(checkpoint)).model
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    run(main)
