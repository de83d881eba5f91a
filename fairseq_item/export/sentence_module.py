"""ITEm as the input module of a sentence-transformers model (5.4 and later).

``SentenceTransformer(folder, trust_remote_code=True)`` of a folder that item-export wrote comes
here; the flag, needed from 6.0 on, lets it import this class.

One vector a product: the three L2-normalised embeddings side by side, each times the square root of
its weight, the weights adding up to 1. The inner product of two such vectors is

    sum over the similarities s_p that both products have of  w_p s_p

With an index the embeddings are whitened as it does, and w_p is divided by the scale of its
calibration: what is left out of the project's "sum" is the lexical similarity alone. The folder
names ``dot`` as its similarity; under the cosine, products that lack a title or an image would be
divided by the weight of what they have.
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from sentence_transformers.base.modality import infer_modality
from sentence_transformers.base.modules.input_module import InputModule
from torch.nn.functional import normalize

from fairseq_item import ItemModel
from fairseq_item.errors import InputError
from fairseq_item.export import folder
from fairseq_item.export.config import SENTENCE_TRANSFORMERS, TRANSFORMS, read_config
from fairseq_item.search.embeddings import EMBEDDINGS

TYPE = f"{__name__}.ItemModule"
KEYS = {"text", "image"}


class ItemModule(InputModule):
    """Products to one vector each.

    Args:
        hub: the model.
        source: the folder that it was loaded from.
        weights: of the global, title and image similarity; only their ratio counts.
        transforms: ``title.mean``, ``title.matrix``, ...: tensor; those of the index.
    """

    save_in_root = True

    def __init__(self, hub, source, weights, transforms=None):
        super().__init__()
        self.hub, self.source = hub, source
        shares = torch.tensor(weights, dtype=torch.float32) / sum(weights)
        self.register_buffer("scales", shares.sqrt(), persistent=False)
        for name, tensor in (transforms or {}).items():
            self.register_buffer(name.replace(".", "_"), tensor, persistent=False)
        self._widths = [self._width(name) for name in EMBEDDINGS]

    @property
    def modalities(self):
        # "message" is what sentence-transformers calls a batch of several kinds of input.
        return ["text", "image", ("image", "text"), "message"]

    @property
    def max_seq_length(self):
        return self.hub.geometry.max_title_length

    def get_embedding_dimension(self):
        return sum(self._widths)

    def _width(self, name):
        matrix = getattr(self, f"{name}_matrix", None)
        return self.hub.dim if matrix is None else matrix.size(1)

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
        """Adds ``sentence_embedding``, float32 (B, D)."""
        embeddings = self.hub.model.embed(
            features["title"], features["patches"], features["has_image"]
        )
        scaled = [
            self._transformed(name, embedding) * scale
            for name, embedding, scale in zip(EMBEDDINGS, embeddings, self.scales)
        ]
        return {**features, "sentence_embedding": torch.cat(scaled, -1)}

    def _transformed(self, name, embedding):
        """One kind of embeddings as they are compared, L2-normalised; absent ones stay zero."""
        rows = normalize(embedding, dim=-1)
        mean, matrix = (getattr(self, f"{name}_{key}", None) for key in ("mean", "matrix"))
        if mean is None:
            return rows
        centred = (rows - mean) * rows.any(-1, keepdim=True)
        return normalize(centred if matrix is None else centred @ matrix, dim=-1)

    def save(self, output_path, *args, **kwargs):
        """Copy the folder that it was loaded from; sentence-transformers writes the rest."""
        for path in Path(self.source).iterdir():
            if path.is_file() and path.name not in SENTENCE_TRANSFORMERS:
                shutil.copyfile(path, Path(output_path) / path.name)

    @classmethod
    def load(cls, model_name_or_path, subfolder="", **kwargs):
        """Load an exported folder, on the CPU."""
        path = Path(cls.load_dir_path(model_name_or_path, subfolder, **_places(kwargs)))
        config, transforms = read_config(path), None
        hub = ItemModel.from_pretrained(path)  # which looks at the digests of all files
        if TRANSFORMS in config["files"]:
            transforms = load_file(path / TRANSFORMS)
        return cls(hub, path, config["weights"], transforms)


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


def write(hub, source, out, weights=(1, 1, 1), dtype="float32", facts=None, index=None):
    """Write a folder that ``SentenceTransformer`` and ``ItemModel.from_pretrained`` load.

    Args:
        hub, source, out, dtype, facts: as of ``folder.write_weights``.
        weights: of the global, title and image similarity.
        index: ``ItemIndex`` whose transforms and calibrations are taken, None for none.

    Returns:
        dict: what went into ``config.json``.

    Raises:
        InputError: the index is of another model, or its image embeddings have more than the
            model's.
    """
    also = {}
    if index is not None:
        _check_index(hub, index)
        also[TRANSFORMS] = {
            f"{name}.{key}": torch.from_numpy(array).contiguous()
            for name in EMBEDDINGS
            for key, array in index.transforms[name].arrays().items()
        }
        weights = [w / index.calibrations[name].scale for w, name in zip(weights, EMBEDDINGS)]
    formats = ("sentence-transformers", "safetensors")
    more = {"weights": [float(weight) for weight in weights]}
    settings = (
        [{"idx": 0, "name": "0", "path": "", "type": TYPE}],
        {"model_type": "SentenceTransformer", "similarity_fn_name": "dot"},
    )
    with folder.new_folder(out) as new:
        config = folder.write_weights(hub, source, new.work, dtype, facts, formats, more, also)
        for name, content in zip(SENTENCE_TRANSFORMERS, settings):
            folder.write_json(new.work / name, content)
        new.put()
    return config


def _check_index(hub, index):
    if index.meta.get("checkpoint_digest") != hub.digest:
        raise InputError("--index was made with another model; name an index of this one")
    if index.meta.get("features"):
        raise InputError(
            "--index has a pretrained network's features in its image embeddings, which the export "
            "has not; name an index of item-embed --features none"
        )
