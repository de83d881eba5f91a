"""Embedding end to end: from a catalogue's files to normalised vectors in NumPy.

The same products, photos of about 500 pixels as JPEG files and titles as strings, by

- ours as ``item-embed`` does it, from a data-bin that was packed before (``codec: patches``,
  stored at 8/7 of the side that the model sees), through ``ItemDataset`` and ``DataLoader``;
- ours from the files: the hub interface's ``encode`` decodes, resizes and tokenises each time;
- sentence-transformers' CLIP of equal size from the files: its ``encode`` of the images and of
  the titles, with CLIP's own image processor and tokenizer.

The last row is what the first one had before: packing the photos and binarising the titles, once.
The column "packing included" is the first row's rate where that is done for a single embedding.
All run in one process on torch's threads but the packing, which has as many workers.
"""

import contextlib
import io
import statistics
import tempfile
from pathlib import Path
from random import Random

import numpy as np
import torch
from bench import alternate
from fairseq.data import Dictionary
from photos import write_photos
from sentence_clip import SentenceClip

from fairseq_item.commands import binarize as binarize_command
from fairseq_item.commands import bpe as bpe_command
from fairseq_item.commands import pack as pack_command
from fairseq_item.data.titles import TitleTokenizer
from fairseq_item.demo.products import product
from fairseq_item.demo.titles import listing_title
from fairseq_item.models.hub_interface import ItemHubInterface
from fairseq_item.models.item import ItemModel
from fairseq_item.search.embed import embed_rows, open_products

VOCABULARY = 2000
LEARNT_FROM = 2000  # titles
SIDES = (440, 560)  # of a photo, in pixels
PACKED, FILES, RIVAL, PACKING = (
    "item, packed", "item, files", "sentence-transformers CLIP, files", "packing once",
)  # fmt: skip
INCLUDES = {
    PACKED: "read the store, collate, embed",
    FILES: "JPEG decoding, resize, tokenise, embed",
    RIVAL: "JPEG decoding, image processor, tokenise, embed",
    PACKING: "JPEG decoding, resize, tokenise, store",
}


class Catalogue:
    """Photos and titles on disk, packed for as many sizes of model as it is asked to.

    Args:
        folder: where it lies.
        count: products.

    Attributes:
        titles, paths: of the products.
    """

    def __init__(self, folder, count):
        self.folder, self.data = Path(folder), Path(folder) / "data-bin"
        self.learnt_from = [demo_title(i) for i in range(max(count, LEARNT_FROM))]
        self.titles = self.learnt_from[:count]
        self.paths = write_photos(self.folder / "photos", count, *SIDES)
        self._write_table("all.tsv", self.learnt_from, [self.paths[0]] * len(self.learnt_from))
        self._write_table("catalog.tsv", self.titles, self.paths)
        call(
            bpe_command.main, self.folder / "all.tsv", "--out", self.data / "title",
            "--vocab-size", VOCABULARY,
        )  # fmt: skip

    def _write_table(self, name, titles, paths):
        rows = [f"p{i}\t{t}\t{p.name}\n" for i, (t, p) in enumerate(zip(titles, paths))]
        text = "id\ttitle\timage\n" + "".join(rows)
        (self.folder / name).write_text(text, encoding="utf-8")

    def pack(self, split, cfg, workers=1):
        """Pack all photos and titles as ``split`` of the data-bin, for a model of ``cfg``."""
        call(
            pack_command.main, self.folder / "catalog.tsv", "--image-root", self.folder / "photos",
            "--out", self.data, "--split", split, "--image-size", stored_size(cfg),
            "--patch-size", cfg.patch_size, "--workers", workers, "--overwrite",
        )  # fmt: skip
        call(binarize_command.main, self.data, "--splits", split)

    def model(self, cfg, device):
        """Ours with random weights and the catalogue's vocabulary, as ``item-embed`` has it."""
        folder = self.data / "title"
        dictionary = Dictionary.load(str(folder / "dict.txt"))
        dictionary.add_symbol("<mask>")
        specials = (dictionary.pad(), dictionary.bos(), dictionary.eos())
        whole = type("Whole", (), {"model": cfg})
        tokenizer = TitleTokenizer(folder / "bpe.model", folder / "dict.txt")
        network = ItemModel(cfg, len(dictionary), *specials)
        hub = ItemHubInterface(network, whole, dictionary, tokenizer, None, stored_size(cfg), "pad")
        return hub.to(device)


class Rows:
    """In the place of an ``EmbeddingWriter``: ``parts`` float32 (3, n, d) in memory."""

    def __init__(self, count, dim):
        self.parts = np.empty((3, count, dim), np.float32)

    def write(self, start, *parts):
        self.parts[:, start : start + len(parts[0])] = parts


def demo_title(number):
    """A seller's title of the demo catalogue."""
    return listing_title(product(1, number), Random(f"title/{number}"))


def stored_size(cfg):
    """256 for 224 pixels, and the same share or a little more for others, in whole patches."""
    return -(-cfg.image_size * 8 // 7 // cfg.patch_size) * cfg.patch_size


def call(main, *arguments):
    """Run a command; its lines are not part of the table."""
    with contextlib.redirect_stdout(io.StringIO()):
        main([str(argument) for argument in arguments])


def embed_packed(hub, data, split, count, batch_size):
    """The first products of a split as ``item-embed`` embeds them: float32 (3, count, d)."""
    _, dataset = open_products(data, [split], hub)
    rows = Rows(count, hub.dim)
    embed_rows(hub, dataset, rows, 0, count, batch_size, workers=0)
    return rows.parts


def measure(report, catalogue, cfg, size, count, batch_size, repeats, device, rival):
    """Add the rows of one size and precision to ``report``.

    Args:
        report: the :class:`Report`.
        catalogue: a :class:`Catalogue`; all of it is packed, the first ``count`` are embedded.
        cfg: the configuration of our model and of the rival's sizes.
        size: what the model is called.
        count, batch_size: in products.
        repeats: timed turns of each contestant.
        device: for the models.
        rival: whether sentence-transformers is there.
    """
    torch.manual_seed(1)
    titles, paths = catalogue.titles[:count], catalogue.paths[:count]
    hub, data = catalogue.model(cfg, device), catalogue.data
    workers = torch.get_num_threads()
    catalogue.pack(size, cfg)
    contestants = {
        PACKED: lambda: embed_packed(hub, data, size, count, batch_size),
        FILES: lambda: hub.encode(titles, paths, batch_size),
    }
    with tempfile.TemporaryDirectory(dir=catalogue.folder) as folder:
        if rival:
            clip = SentenceClip(cfg, catalogue.learnt_from, VOCABULARY, folder, device)
            contestants[RIVAL] = lambda: clip.encode(titles, paths, batch_size)
        contestants[PACKING] = lambda: catalogue.pack(f"{size}-again", cfg, workers)
        seconds = alternate(contestants, repeats)
    amounts = dict.fromkeys(contestants, count) | {PACKING: len(catalogue.paths)}
    each = {name: statistics.median(seconds[name]) / amounts[name] for name in contestants}
    group = f"{size} {cfg.compute_dtype}"
    for name, amount in amounts.items():
        more = {"includes": INCLUDES[name]}
        if name != PACKING:
            more["batch"] = batch_size
        if name == PACKED:
            more["packing included"] = 1 / (each[PACKED] + each[PACKING])
        report.add(f"{group} {name}", amount, seconds[name], group, **more)
