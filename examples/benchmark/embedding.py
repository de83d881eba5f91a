"""Embedding products with a trained model: products a second of what ``item-embed`` computes.

The first table is of the models alone: from batches of uint8 patches and padded titles to
normalised vectors in NumPy, by our model, Hugging Face's ViLT (read as ours is) and CLIP (a tower
of the same size for each modality). Images come as patches, which the others join and scale.

The second table is of whole programs: the same products, photos of about 500 pixels as JPEG files
and titles as strings, to vectors by

- ours as ``item-embed`` does it, from a data-bin that was packed before (``codec: patches``,
  stored at 8/7 of the side that the model sees);
- ours from the files: the hub interface's ``encode`` decodes, resizes and tokenises each time;
- sentence-transformers' CLIP of equal size from the files: its ``encode`` of the images and of
  the titles, with CLIP's own image processor and tokenizer, its vocabulary learnt here.

The last row is what the first one had before: packing the photos and binarising the titles, once.
The column "packing included" is the first row's rate where that is done for a single embedding.
Weights are random, nothing is downloaded; all run in one process on torch's threads but the
packing, which has as many workers.
"""

import contextlib
import io
import json
import logging
import os
import statistics
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import rivals
import torch
from bench import Report, alternate, optional
from PIL import Image
from synthetic import listing_titles, write_catalog, write_photos
from torch.nn.functional import normalize

from fairseq_item.commands import binarize, bpe, pack
from fairseq_item.commands.common import run
from fairseq_item.data.dictionary import load_dictionary
from fairseq_item.data.titles import TitleTokenizer
from fairseq_item.models.hub_interface import ItemHubInterface
from fairseq_item.models.item import ItemModel
from fairseq_item.modules.pooling import mean_of_tokens
from fairseq_item.search.embed import embed_rows, open_products

# Read when the libraries are imported, and they ask their hub for whatever a folder lacks.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

BATCHES = {"item_tiny": 128, "item_small": 64, "item_base": 8}
GPU_BATCH = 512
# Whole programs are slower by far: fewer turns, of two batches each.
WHOLE_BATCHES, WHOLE_REPEATS = 2, 3
VOCABULARY = 2000
LEARNT_FROM = 2000  # titles
PACKED, FILES, CLIP, PACKING = (
    "item, packed", "item, files", "sentence-transformers CLIP, files", "packing once",
)  # fmt: skip
CLIP_MODULE = "0_CLIPModel"  # its folder in that of a SentenceTransformer


def models(args):
    """The models alone: a :class:`Report`."""
    report = Report("embedding", "products")
    for group, cfg, count in rivals.contests(args, BATCHES, GPU_BATCH):
        inputs = rivals.batch(cfg, count, device=args.device)["net_input"]
        calls = {
            name: lambda embed=embed, inputs=inputs: embed(**inputs)
            for name, embed in embedders(cfg, args.device).items()
        }
        for name, seconds in alternate(calls, args.repeats).items():
            report.add(f"{group} {name}", count, seconds, group, batch=count)
    return report


def embedders(cfg, device):
    """name -> function of title and patches; those of a library that is missing are left out."""
    torch.manual_seed(1)
    whole = SimpleNamespace(model=cfg)
    found = {"item": ItemHubInterface(rivals.item(cfg), whole, *[None] * 5).to(device).embed}
    if optional("transformers"):
        found["ViLT"] = embedder(cfg, rivals.vilt_body(cfg).to(device), embeddings_of_vilt)
        found["CLIP"] = embedder(cfg, rivals.clip_body(cfg).to(device), embeddings_of_clip)
    return found


def embedder(cfg, body, embeddings):
    """A function that embeds a batch as ours does, by another library's model."""
    low = cfg.compute_dtype == "bfloat16"
    body.eval()

    def embed(title, patches):
        with torch.inference_mode():
            inputs = rivals.others_inputs(cfg, title, patches)
            with torch.autocast(title.device.type, torch.bfloat16, enabled=low):
                found = embeddings(body(**inputs), title)
            return [normalize(rows.float(), dim=-1).cpu().numpy() for rows in found]

    return embed


def embeddings_of_vilt(output, title):
    states, tokens = output.last_hidden_state, title.size(1)
    image = states[:, tokens + 1 :].float().mean(1)
    return states[:, 0], mean_of_tokens(states[:, :tokens], title, rivals.SPECIAL), image


def embeddings_of_clip(output, title):
    return output.text_embeds, output.image_embeds


def end_to_end(args, work):
    """From a catalogue's files to vectors: a :class:`Report`; ``work`` is an empty folder."""
    report = Report("embedding-end-to-end", "products")
    contests = list(rivals.contests(args, BATCHES, GPU_BATCH))
    photos = max(WHOLE_BATCHES * count for _, _, count in contests)
    catalogue = Catalogue(Path(work), photos)
    for group, cfg, count in contests:
        seconds = time_programs(catalogue, cfg, count, args)
        amounts = {**dict.fromkeys(seconds, WHOLE_BATCHES * count), PACKING: photos}
        each = {name: statistics.median(seconds[name]) / amounts[name] for name in seconds}
        for name in (PACKED, FILES, CLIP, PACKING):
            more = {} if name == PACKING else {"batch": count}
            if name == PACKED:
                more["packing included"] = 1 / (each[PACKED] + each[PACKING])
            if name in seconds:
                report.add(f"{group} {name}", amounts[name], seconds[name], group, **more)
    return report


def time_programs(catalogue, cfg, batch_size, args):
    """name -> seconds of each turn; all photos are packed, the first two batches embedded."""
    torch.manual_seed(1)
    count, device = WHOLE_BATCHES * batch_size, args.device
    titles, paths = catalogue.titles[:count], catalogue.paths[:count]
    hub = catalogue.model(cfg).to(device)
    contestants = {
        PACKING: lambda: catalogue.pack(cfg),  # first, for the next one reads what it writes
        PACKED: lambda: embed_packed(hub, catalogue.data, count, batch_size),
        FILES: lambda: hub.encode(titles, paths, batch_size),
    }
    if optional("sentence_transformers"):
        with tempfile.TemporaryDirectory() as folder:
            clip = sentence_clip(cfg, catalogue.learnt_from, VOCABULARY, Path(folder), device)
        contestants[CLIP] = lambda: encode(clip, titles, paths, batch_size)
    return alternate(contestants, min(args.repeats, WHOLE_REPEATS))


class Catalogue:
    """``count`` photos and titles on disk, to be packed for models of any size.

    Attributes:
        titles, paths: of the products.
        learnt_from: the titles that vocabularies are learnt from.
        data: the data-bin, whose only split is "train".
    """

    def __init__(self, folder, count):
        self.folder, self.data = folder, folder / "data-bin"
        self.learnt_from = listing_titles(max(count, LEARNT_FROM))
        self.titles = self.learnt_from[:count]
        self.paths = write_photos(folder / "photos", count)
        everything = write_catalog(folder / "all.tsv", self.learnt_from, self.paths)
        write_catalog(folder / "catalog.tsv", self.titles, self.paths)
        call(bpe, everything, "--out", self.data / "title", "--vocab-size", VOCABULARY)

    def pack(self, cfg):
        """Pack all photos and titles for a model of ``cfg``."""
        source = self.folder / "catalog.tsv", "--image-root", self.folder / "photos"
        sizes = "--image-size", stored_size(cfg), "--patch-size", cfg.patch_size
        split = "--out", self.data, "--split", "train", "--overwrite"
        call(pack, *source, *sizes, *split, "--num-workers", torch.get_num_threads())
        call(binarize, self.data)

    def model(self, cfg):
        """Ours with random weights and the catalogue's vocabulary, as ``item-embed`` has it."""
        paths = self.data / "title" / "bpe.model", self.data / "title" / "dict.txt"
        dictionary, whole = load_dictionary(paths[1]), SimpleNamespace(model=cfg)
        network = ItemModel(cfg, len(dictionary), *rivals.SPECIAL)
        tokenizer = TitleTokenizer(*paths)
        return ItemHubInterface(
            network, whole, dictionary, tokenizer, None, stored_size(cfg), "pad"
        )


def stored_size(cfg):
    """256 for 224 pixels, and the same share or a little more for others, in whole patches."""
    return -(-cfg.image_size * 8 // 7 // cfg.patch_size) * cfg.patch_size


def call(command, *arguments):
    """Run a command; its lines are not part of the table."""
    with contextlib.redirect_stdout(io.StringIO()):
        command.main([str(argument) for argument in arguments])


def embed_packed(hub, data, count, batch_size):
    """The first products of a data-bin as ``item-embed`` embeds them: float32 (3, count, d)."""
    _, dataset = open_products(data, ["train"], hub)
    found = np.empty((3, count, hub.dim), np.float32)

    def write(start, *rows):
        found[:, start : start + len(rows[0])] = rows

    embed_rows(hub, dataset, SimpleNamespace(write=write), 0, count, batch_size, workers=0)
    return found


def sentence_clip(cfg, titles, vocabulary, folder, device="cpu"):
    """A ``SentenceTransformer`` whose only module is CLIP, loaded from a folder as published ones.

    Args:
        cfg: our configuration; both towers get its sizes, and run in its ``compute_dtype``.
        titles: list of strings to learn the vocabulary from.
        vocabulary: tokens at most.
        folder: an empty folder to write the model to.
        device: where it runs.
    """
    library, transformers = optional("sentence_transformers"), optional("transformers")
    # Of each model: that its class has a new name, and what it can read.
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    module, side = folder / CLIP_MODULE, cfg.image_size
    tokenizer = clip_tokenizer(transformers, titles, vocabulary)
    tokenizer.model_max_length = cfg.max_title_length + 2
    images = transformers.CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    transformers.CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(module)
    specials = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    rivals.clip_body(cfg, len(tokenizer), specials).save_pretrained(module)
    kind = "sentence_transformers.models.CLIPModel"
    modules = [{"idx": 0, "name": "0", "path": CLIP_MODULE, "type": kind}]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    model = library.SentenceTransformer(str(folder), device=device)
    # As loading with this torch_dtype does:
    return model.bfloat16() if cfg.compute_dtype == "bfloat16" else model


def clip_tokenizer(transformers, titles, vocabulary):
    """CLIP's tokenizer with tokens of its own, learnt as all of its steps cut the titles."""
    with tempfile.TemporaryDirectory() as folder:
        ids = {"<|startoftext|>": 0, "<|endoftext|>": 1}
        Path(folder, "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
        Path(folder, "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
        blank = transformers.CLIPTokenizerFast.from_pretrained(folder)
    return blank.train_new_from_iterator(titles, vocabulary, show_progress=False)


def encode(clip, titles, paths, batch_size):
    """(title, image) by a SentenceTransformer: float32 (n, d) each, L2-normalised."""
    settings = {"batch_size": batch_size, "normalize_embeddings": True, "show_progress_bar": False}
    images = [Image.open(path) for path in paths]  # decoded where they are read
    return tuple(clip.encode(inputs, **settings) for inputs in (titles, images))


def main(argv=None):
    """Entry point."""
    args = rivals.parse(rivals.parser(__doc__), argv)
    models(args).write(args.out)
    with tempfile.TemporaryDirectory(prefix="embedding-") as work:
        end_to_end(args, work).write(args.out)


if __name__ == "__main__":
    run(main)
