"""Every way to read a model, and what needs none: searched, chosen on the dev queries, kept."""

import csv
import json
import shutil

import numpy as np
import torch

from fairseq_item import ItemModel
from fairseq_item.commands import baseline
from fairseq_item.data.tsv import Table, read_table
from fairseq_item.evaluation.dev_test import keep
from fairseq_item.evaluation.metrics import mean_average_precision
from fairseq_item.files import atomic_path
from fairseq_item.search.build import build_index
from fairseq_item.search.embed import embed_rows, open_features, open_products
from fairseq_item.search.embeddings import EMBEDDINGS, Embeddings, EmbeddingWriter
from fairseq_item.search.hits import read_hits, read_truth, write_hits
from fairseq_item.search.image_features import join
from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import search

K = 10
INDEXED = ["train", "valid", "test"]
SPLITS = {"items": INDEXED, "queries": ["query"]}


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path, value):
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_csv(path):
    """Rows as a list of dicts of str; none where the file is not there."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_csv(path, rows):
    """Write a list of dicts; what one of them lacks stays empty."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, dict.fromkeys(key for row in rows for key in row))
        writer.writeheader()
        writer.writerows(rows)


def measure(run, out, folder, checkpoint, settings, untrained):
    """Write ``readouts.csv``, the dev scores of every readout, and the hits of the best ones.

    A readout is how a column of the table compares products: ``--embed-layers`` and the weights of
    the similarities. ``hits/COLUMN.tsv`` are those of the column's best on the dev queries, and
    those of the paper's own comparison.
    """
    hub = ItemModel.from_pretrained(str(checkpoint))
    if untrained:
        torch.manual_seed(run.seed)
        hub.model.reset_parameters()
    work, rows, found = folder / "work", [], {}
    columns = {"words": settings["words"], "alone": settings["alone"]}
    for layers in run.entry["ways"]:
        if "embed_layers" in hub.model.cfg:  # a ResNet has one way
            hub.model.cfg.embed_layers = layers
        found[layers] = {name: embed(hub, out, name, work / layers / name) for name in SPLITS}
        rows += search_each(found[layers], {}, columns, layers, folder, out)
    plainly = {"transform": "none", "calibrate": "none", "fusion": "max"}
    published = {"paper": [f"{run.entry['published']} 0"]}
    rows += search_each(found["last"], plainly, published, "last", folder, out)
    if has_features(out):
        layers = best_of(rows)["words"]["layers"]
        joined = {name: with_features(found[layers][name], out, name, work) for name in SPLITS}
        rows += search_each(joined, {}, {"features": settings["words"]}, layers, folder, out)
    shutil.rmtree(work)
    keep_best(folder, rows)
    count = sum(parameter.numel() for parameter in hub.model.parameters())  # tied ones once
    write_json(folder / "parameters.json", count)
    write_csv(folder / "readouts.csv", rows)


def embed(hub, out, name, folder):
    """Embed the items or the queries: the ``Embeddings``."""
    items, dataset = open_products(out / "data-bin", SPLITS[name], hub)
    writer = EmbeddingWriter(folder, items, hub.model.embedding_dim)
    embed_rows(hub, dataset, writer, 0, len(items), 128, 0)
    writer.finish()
    return Embeddings.load(folder)


def has_features(out):
    return open_features(out / "data-bin", ["query"]) is not None


def with_features(plain, out, name, folder):
    """The same embeddings with pretrained features joined to those of images."""
    image = join(open_features(out / "data-bin", SPLITS[name])[:], plain.rows("image"))
    dims = {**plain.dims, "image": image.shape[1]}
    writer = EmbeddingWriter(folder / name, plain.items, dims)
    writer.write(0, plain.rows("global"), plain.rows("title"), image)
    writer.finish()
    return Embeddings.load(folder / name)


def search_each(embeddings, how, columns, layers, folder, out):
    """Search with each of the weights of some columns: rows of ``readouts.csv``."""
    build_index([embeddings["items"].path], folder / "work" / "index", **how)
    index, asked = ItemIndex.load(folder / "work" / "index"), embeddings["queries"]
    queries, rows = asked.queries(), []
    has = [bool(queries[part].any()) for part in EMBEDDINGS] + [True]
    for column, options in columns.items():
        for weights in options:
            numbers = [float(weight) for weight in weights.split()]
            if column != "paper" and any(w and not there for w, there in zip(numbers, has)):
                continue  # the model has no such embedding
            hits = search(index, queries, asked.ids, K, weights=numbers)
            path = folder / "hits" / f"{column} {layers} {weights}.tsv"
            path.parent.mkdir(exist_ok=True)
            write_hits(path, hits)
            row = {"column": column, "layers": layers, "weights": weights}
            rows.append({**row, "dev": dev_score(hits, out)})
    return rows


def dev_score(hits, out):
    """MAP@10 of the dev queries in percent."""
    dev = keep(hits, read_truth(out / "queries" / "truth.tsv"), "dev")
    return 100 * mean_average_precision(*dev, K)


def best_of(rows):
    """Column -> its row with the best dev score, the first of equal ones."""
    best = {}
    for row in rows:
        if row["column"] not in best or row["dev"] > best[row["column"]]["dev"]:
            best[row["column"]] = row
    return best


def keep_best(folder, rows):
    """Rename the hits of each column's best row, remove the others; say it in the rows."""
    best = best_of(rows)
    for row in rows:
        row["chosen"] = int(best[row["column"]] is row)
        path = folder / "hits" / "{column} {layers} {weights}.tsv".format(**row)
        if row["chosen"]:
            path.rename(path.with_name(f"{row['column']}.tsv"))
        else:
            path.unlink()


def baselines(out, settings):
    """Search without a model, each method in the columns where it belongs."""
    for name, entry in settings["baselines"].items():
        folder = out / "runs" / name / "seed0" / "trained"
        unable = entry.get("method") == "features" and not has_features(out)
        if unable or (folder / "readouts.csv").exists():
            continue
        (folder / "hits").mkdir(parents=True, exist_ok=True)
        search_them = without_model if name == "none" else by_baseline
        rows = search_them(entry, settings, folder, out)
        keep_best(folder, rows)
        write_csv(folder / "readouts.csv", rows)


def without_model(_, settings, folder, out):
    """Search an index of words and, where there are any, features: rows of ``readouts.csv``."""
    found = {}
    for name, splits in SPLITS.items():
        items = [read_table(out / "data-bin" / "items" / f"{split}.tsv") for split in splits]
        items, features = Table.joined(items), open_features(out / "data-bin", splits)
        blank = np.zeros((len(items), 1), np.float32)
        image = blank if features is None else features[:]
        dims = {"global": 1, "title": 1, "image": image.shape[1]}
        writer = EmbeddingWriter(folder / "work" / name, items, dims)
        writer.write(0, blank, blank, image)
        writer.finish()
        found[name] = Embeddings.load(folder / "work" / name)
    columns = {"words": ["0 0 0 1"], "features": settings["words"], "alone": settings["alone"]}
    rows = search_each(found, {}, columns, "", folder, out)
    shutil.rmtree(folder / "work")
    return rows


def by_baseline(entry, _, folder, out):
    """Search with ``item-baseline``: rows of ``readouts.csv``."""
    rows = []
    for options in entry.get("options", [""]):
        row = {"column": entry["column"], "layers": "", "weights": options}
        hits = folder / "hits" / f"{entry['column']}  {options}.tsv"
        asked = ["--data", out / "data-bin", "-k", K, "--out", hits, *options.split()]
        baseline.main([entry["method"], *map(str, asked)])
        rows.append({**row, "dev": dev_score(read_hits(hits), out)})
    return rows
