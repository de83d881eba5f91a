"""The data of a table: one catalogue with queries, split, packed and binarised once for all runs.

As in the paper, queries are listings that the index does not hold; their products' other listings
are indexed, and trained on like the rest of the index, which is split 90/5/5. ``unlike`` are
queries that differ from their product's listing only in ways that the second views of the view
contrast do not imitate: no word dropped or moved, no crop, no flip.
"""

import shlex
import sys
from pathlib import Path

from fairseq_item.data.catalog import Columns, read_catalog

ROOT = Path(__file__).resolve().parents[2]
QUERY_SETS = ("query", "unlike")


def prepare(steps, settings, size, catalog=None, images=None, workers=2):
    """Make ``data-bin``, ``queries`` and ``unlike`` in the folder of ``steps``.

    Args:
        steps: ``Steps``.
        settings: of ``plan.read_settings``.
        size: the size's entry in the settings.
        catalog, images: a catalogue and its image root; None draws the demo catalogue.
        workers: processes that pack images.

    Returns:
        str: digest of all that was done.

    Raises:
        InputError: the catalogue cannot be read, or a step failed.
    """
    out, digest, amounts = steps.folder, "", settings["queries"]

    def step(name, script, *options, makes):
        nonlocal digest
        command = [sys.executable, ROOT / "preprocess" / f"{script}.py", *options]
        digest = steps.run(name, command, makes, digest)

    if catalog is None:
        amount = ["--products", size["products"]]
        step("draw", "make_demo_catalog", "--out", out / "catalog", *amount, makes=["catalog"])
        catalog, images = out / "catalog" / "products.tsv", out / "catalog" / "images"
    queries = out / "queries"
    if "product" in read_catalog(catalog, Columns()).fieldnames:
        amount = ["--fraction", amounts["groups"]]
        step("queries", "make_queries", catalog, "--out", queries, *amount, makes=["queries"])
        index, query_images = queries / "index.tsv", images
    else:
        amount = ["--image-root", images, "--fraction", amounts["relisted"]]
        step("queries", "make_relistings", catalog, "--out", queries, *amount, makes=["queries"])
        index, query_images = catalog, queries / "images"
    unlike = ["--image-root", images, "--fraction", amounts["relisted"]]
    unlike += shlex.split(amounts["unlike"])
    step("unlike", "make_relistings", index, "--out", out / "unlike", *unlike, makes=["unlike"])
    step("split", "split_catalog", index, "--out", out / "splits", makes=["splits"])
    data, splits = out / "data-bin", out / "splits"
    tokens = ["--vocab-size", size["vocabulary"]]
    step("bpe", "train_bpe", splits / "train.tsv", "--out", data / "title", *tokens,
         makes=["data-bin"])  # fmt: skip
    sources = {split: (splits / f"{split}.tsv", images) for split in ("train", "valid", "test")}
    sources["query"] = (queries / "query.tsv", query_images)
    sources["unlike"] = (out / "unlike" / "query.tsv", out / "unlike" / "images")
    for split, (rows, root) in sources.items():
        options = ["--image-root", root, "--out", data, "--split", split, "--workers", workers]
        pixels = ["--image-size", size["image_size"]]
        step(f"pack-{split}", "pack_images", rows, *options, *pixels, makes=[])
    step("titles", "binarize_titles", data, makes=[])
    return digest
