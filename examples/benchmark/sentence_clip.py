"""CLIP of any size with random weights, bare and in sentence-transformers, nothing downloaded.

For the latter a folder is written as the published models are (``modules.json`` and the folder of
its one CLIP module: weights, image processor, tokenizer) and loaded by
``SentenceTransformer(folder)``, which is what a user calls. The tokenizer is CLIP's own, its
vocabulary learnt from given titles.
"""

import json
import logging
import os
from pathlib import Path

from PIL import Image
from rivals import VOCABULARY, optional, transformers

# Read when the libraries are imported, and they ask their hub for whatever a folder lacks.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

MODULE = "0_CLIPModel"
SPECIALS = ("<|startoftext|>", "<|endoftext|>")


def clip_body(cfg, library, vocabulary=VOCABULARY, specials=(0, 2, 1)):
    """``CLIPModel`` whose towers are of the sizes of ``cfg``, random weights.

    Args:
        cfg: our configuration.
        library: transformers.
        vocabulary: tokens of a title.
        specials: what begins a title, ends and pads it.
    """
    begin, end, pad = specials
    sizes = {
        "hidden_size": cfg.encoder_embed_dim,
        "intermediate_size": cfg.encoder_ffn_embed_dim,
        "num_hidden_layers": cfg.encoder_layers,
        "num_attention_heads": cfg.encoder_attention_heads,
        "projection_dim": cfg.encoder_embed_dim,
    }
    text = {
        "vocab_size": vocabulary,
        "max_position_embeddings": cfg.max_title_length + 2,
        "bos_token_id": begin,
        "eos_token_id": end,
        "pad_token_id": pad,
    }
    vision = {"image_size": cfg.image_size, "patch_size": cfg.patch_size}
    whole = library.CLIPConfig(
        text_config={**sizes, **text},
        vision_config={**sizes, **vision},
        projection_dim=cfg.encoder_embed_dim,
    )
    return library.CLIPModel(whole)


class SentenceClip:
    """A ``SentenceTransformer`` whose only module is CLIP.

    Args:
        cfg: our configuration; both towers get its sizes, and run in its ``compute_dtype``.
        titles: list of strings to learn the vocabulary from.
        vocabulary: tokens at most.
        folder: an empty or missing folder to write the model to.
        device: where it runs.
    """

    def __init__(self, cfg, titles, vocabulary, folder, device="cpu"):
        library = optional("sentence_transformers")
        # Of each model: that its class has a new name, and what it can read.
        logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
        write_model(cfg, titles, vocabulary, Path(folder))
        self.model = library.SentenceTransformer(str(folder), device=device)
        if cfg.compute_dtype == "bfloat16":  # as loading with this torch_dtype does
            self.model.bfloat16()

    def encode(self, titles, paths, batch_size):
        """Embed products.

        Args:
            titles: list of n strings.
            paths: of n images.
            batch_size: titles, and then images, computed at once.

        Returns:
            (title, image): float32 arrays of shape (n, d), L2-normalised in the model's precision.
        """
        settings = {"batch_size": batch_size, "normalize_embeddings": True}
        images = [Image.open(path) for path in paths]  # decoded where they are read
        return tuple(
            self.model.encode(inputs, show_progress_bar=False, **settings)
            for inputs in (titles, images)
        )


def is_here():
    """Whether sentence-transformers can be imported; says so on stderr where it cannot."""
    return optional("sentence_transformers") is not None


def write_model(cfg, titles, vocabulary, folder):
    """Write the folder that ``SentenceTransformer`` loads; see :class:`SentenceClip`."""
    library, module = transformers(), folder / MODULE
    library.utils.logging.disable_progress_bar()
    module.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(library, titles, vocabulary, module)
    tokenizer.model_max_length = cfg.max_title_length + 2
    side = cfg.image_size
    images = library.CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    library.CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(module)
    specials = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    clip_body(cfg, library, len(tokenizer), specials).save_pretrained(module)
    kind = "sentence_transformers.models.CLIPModel"
    modules = [{"idx": 0, "name": "0", "path": MODULE, "type": kind}]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")


def _tokenizer(library, titles, vocabulary, folder):
    """CLIP's tokenizer with tokens of its own, learnt as all of its steps cut the titles."""
    ids = {special: number for number, special in enumerate(SPECIALS)}
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    blank = library.CLIPTokenizerFast.from_pretrained(folder)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    return blank.train_new_from_iterator(titles, vocabulary, show_progress=False)
