"""ITEm as the input module of a sentence-transformers model (5.4 and later).

``SentenceTransformer(folder, trust_remote_code=True)`` of a folder that item-export wrote comes
here; the flag, needed from 6.0 on, lets it import this class.

One vector a product: the three L2-normalised embeddings side by side, each times the square root of
its weight, the weights adding up to 1. The inner product of two such vectors is

    sum over the similarities s_p that both products have of  w_p s_p

the project's "sum" without whitening, calibration and the lexical similarity, which belong to an
index. The folder names ``dot`` as its similarity; under the cosine, products that lack a title or
an image would be divided by the weight of what they have.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sentence_transformers.base.modality import infer_modality
from sentence_transformers.base.modules.input_module import InputModule

from fairseq_item import ItemModel
from fairseq_item.errors import InputError
from fairseq_item.export import folder
from fairseq_item.files import atomic_path
from fairseq_item.search.embeddings import EMBEDDINGS

TYPE = f"{__name__}.ItemModule"
SETTINGS = ("modules.json", "config_sentence_transformers.json")
KEYS = {"text", "image"}


class ItemModule(InputModule):
    """Products to one vector each.

    Args:
        hub: the model.
        source: the folder that it was loaded from.
        weights: of the global, title and image similarity; only their ratio counts.
    """

    save_in_root = True

    def __init__(self, hub, source, weights):
        super().__init__()
        self.hub, self.source = hub, source
        shares = torch.tensor(weights, dtype=torch.float32) / sum(weights)
        self.register_buffer("scales", shares.sqrt(), persistent=False)

    @property
    def modalities(self):
        # "message" is what sentence-transformers calls a batch of several kinds of input.
        return ["text", "image", ("image", "text"), "message"]

    @property
    def max_seq_length(self):
        return self.hub.geometry.max_title_length

    def get_embedding_dimension(self):
        return len(EMBEDDINGS) * self.hub.dim

    def preprocess(self, inputs, prompt=None, **kwargs):
        """Titles and images as the model reads them.

        Args:
            inputs: list of titles, of images (PIL, array (H, W, 3), or the path of a file with the
                ending of an image), or of dicts with ``text``, ``image`` or both.
            prompt: put before each title.

        Returns:
            dict of tensors: ``title``, ``patches``, ``has_image``.

        Raises:
            InputError: something else is given, or an image cannot be read.
        """
        titles, images = zip(*map(_product, inputs))
        if prompt:
            titles = [title and prompt + title for title in titles]
        title, patches, has_image = self.hub.inputs(titles, images)
        if has_image is None:
            has_image = torch.ones(len(title), dtype=torch.bool)
        return {"title": title, "patches": patches, "has_image": has_image}

    def forward(self, features, **kwargs):
        """Adds ``sentence_embedding``, float32 (B, 3 d)."""
        embeddings = self.hub.model.embed(
            features["title"], features["patches"], features["has_image"]
        )
        scaled = [
            torch.nn.functional.normalize(embedding, dim=-1) * scale
            for embedding, scale in zip(embeddings, self.scales)
        ]
        return {**features, "sentence_embedding": torch.cat(scaled, -1)}

    def save(self, output_path, *args, **kwargs):
        """Copy the folder that it was loaded from; sentence-transformers writes the rest."""
        for path in Path(self.source).iterdir():
            if path.is_file() and path.name not in SETTINGS:
                shutil.copyfile(path, Path(output_path) / path.name)

    @classmethod
    def load(cls, model_name_or_path, subfolder="", **kwargs):
        """Load an exported folder, on the CPU."""
        path = Path(cls.load_dir_path(model_name_or_path, subfolder, **_places(kwargs)))
        config = folder.read_config(path)
        return cls(ItemModel.from_pretrained(path), path, config["weights"])


def _places(kwargs):
    names = ("token", "cache_folder", "revision", "local_files_only")
    return {name: kwargs[name] for name in names if name in kwargs}


def _product(value):
    """(title or None, image or None) of one input."""
    if isinstance(value, dict):
        if not value or not set(value) <= KEYS:
            keys = ", ".join(map(str, value)) or "none"
            raise InputError(f"a product has the keys text and image, not {keys}")
        return value.get("text"), _image(value.get("image"))
    if isinstance(value, str) and infer_modality(value) == "text":
        return value, None
    return None, _image(value)


def _image(value):
    if torch.is_tensor(value):
        value = value.cpu().numpy()
    if isinstance(value, np.ndarray):
        if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3:
            raise InputError("an image as an array is uint8 of shape (height, width, 3)")
        return Image.fromarray(value)
    if value is None or isinstance(value, (str, Path, Image.Image)):
        return value
    raise InputError(f"{type(value).__name__} is no title and no image; give a dict, str or image")


def write(hub, source, out, weights=(1, 1, 1), dtype="float32", facts=None):
    """Write a folder that ``SentenceTransformer`` and ``ItemModel.from_pretrained`` load.

    Args:
        hub, source, out, dtype, facts: as of ``folder.write``.
        weights: of the global, title and image similarity.

    Returns:
        dict: what went into ``config.json``.
    """
    formats = ("sentence-transformers", "safetensors")
    more = {"weights": [float(weight) for weight in weights]}
    config = folder.write(hub, source, out, dtype, facts, formats, more)
    modules = [{"idx": 0, "name": "0", "path": "", "type": TYPE}]
    settings = {"model_type": "SentenceTransformer", "similarity_fn_name": "dot"}
    for name, content in zip(SETTINGS, (modules, settings)):
        with atomic_path(Path(out) / name) as path:
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return config
