"""A trained model in use: strings and images in, embeddings or leaf categories out.

All that is needed lies in one folder: the checkpoint, ``dict.txt`` and ``bpe.model`` (or
``wordpiece.json``).
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

from fairseq_item.data.augment import center_crop
from fairseq_item.data.collate import collate_titles
from fairseq_item.data.dictionary import load_dictionary
from fairseq_item.data.images import ImageError, decode_image, fit_square, to_rgb
from fairseq_item.data.patches import patchify
from fairseq_item.data.titles import TOKENIZERS, open_tokenizer
from fairseq_item.errors import InputError
from fairseq_item.models.checkpoint import (
    check_bytes,
    check_vocabulary,
    check_weights,
    kept_by_task,
    read_checkpoint,
)
from fairseq_item.models.product_model import with_defaults
from fairseq_item.models.sizes import check_sizes, least_parameters
from fairseq_item.modules.precision import resolve_compute_dtype
from fairseq_item.search.image_features import join


class ItemHubInterface(nn.Module):
    """What :meth:`ItemModel.from_pretrained` returns.

    Attributes:
        model: the network, in evaluation mode.
        cfg: the whole configuration it was trained with.
        dictionary: fairseq ``Dictionary`` with ``<mask>``.
        geometry: sizes of its input.
        stored_image_size, fit: how training images were brought to a square, and so queries.
        digest: SHA-256 of the checkpoint file.
        dim: width d of each embedding.
        categories: names of the leaf categories that it predicts, None if it predicts none.
    """

    def __init__(
        self, model, cfg, dictionary, tokenizer, digest, stored_image_size, fit, categories=None
    ):
        super().__init__()
        self.model = model.eval()
        self.cfg, self.dictionary, self.tokenizer = cfg, dictionary, tokenizer
        self.digest, self.stored_image_size, self.fit = digest, stored_image_size, fit
        self.dim, self.categories = model.embedding_dim, categories
        self.geometry = model.geometry

    @property
    def device(self):
        return next(self.parameters()).device

    def encode(self, titles=None, images=None, batch_size=64, features=None):
        """Embed products given by title, image or both.

        Args:
            titles: list of n strings, None where a product has no title; or None for no titles.
            images: list of n images: a path, the bytes of a file, a PIL image, or None; or None
                for no images. Files are read exactly as the images of a catalogue are.
            batch_size: products computed at once; it does not change the result.
            features: ``FrozenNetwork`` of ``load_network``, the one that item-features used for
                the catalogue: its features are joined to the image embedding, as item-embed does.

        Returns:
            (global, title, image): float32 arrays of shape (n, d), L2-normalised; with features
            the image embedding is wider by ``features.dim``. What a product lacks is all zeros.

        Raises:
            InputError: an image cannot be read, or the lists differ in length.
        """
        titles, images = _one_each(titles, images)
        embeddings = [np.zeros((len(titles), self.dim), np.float32) for _ in range(3)]
        seen = np.zeros((len(titles), features.dim if features else 0), np.float32)
        for start in range(0, len(titles), batch_size):
            block = slice(start, start + batch_size)
            inputs = self.inputs(titles[block], images[block])
            for embedding, rows in zip(embeddings, self.embed(*inputs)):
                embedding[block] = rows
            if features:
                seen[block] = _pooled(features, images[block])
        if features:
            embeddings[2] = join(seen, embeddings[2])
        return tuple(embeddings)

    def predict(self, titles=None, images=None, k=5, batch_size=64):
        """The most probable leaf categories of products given by title, image or both.

        Args:
            titles, images, batch_size: as of :meth:`encode`.
            k: how many categories a product, at most.

        Returns:
            a list of n lists of (category, probability), the most probable first.

        Raises:
            InputError: as of :meth:`encode`, or the model was not trained to predict categories.
        """
        titles, images = _one_each(titles, images)
        result = []
        for start in range(0, len(titles), batch_size):
            block = slice(start, start + batch_size)
            classes, probabilities = self.best(*self.inputs(titles[block], images[block]), k=k)
            result += [
                [(self.categories[c], float(p)) for c, p in zip(*row)]
                for row in zip(classes, probabilities)
            ]
        return result

    def best(self, title, patches, has_image=None, k=5):
        """The most probable classes of a batch that is on the device already.

        Returns:
            (classes, probabilities): int64 and float32 arrays of shape (B, k), the most probable
            first; fewer columns where there are fewer categories.

        Raises:
            InputError: the model was not trained to predict categories.
        """
        if self.categories is None:
            raise InputError(
                "this model predicts no categories; fine-tune it with --task item_classification"
            )
        with torch.inference_mode():
            logits = self.model.classify(title, patches, has_image)
            probabilities, classes = logits.softmax(-1).topk(min(k, len(self.categories)))
        return classes.cpu().numpy(), probabilities.cpu().numpy()

    def inputs(self, titles, images):
        """Title, patches and which products have images, as tensors on the device."""
        symbols = self.dictionary
        title = collate_titles(
            [self._tokens(title) for title in titles], symbols.bos(), symbols.eos(), symbols.pad()
        )
        patches = torch.from_numpy(self._all_patches(images))
        has_image = None
        if any(image is None for image in images):
            has_image = torch.tensor([image is not None for image in images], device=self.device)
        return title.to(self.device), patches.to(self.device), has_image

    def embed(self, title, patches, has_image=None):
        """Embed a batch that is on the device already; see ``ItemModel.embed``.

        Returns:
            (global, title, image): float32 arrays of shape (B, d), L2-normalised.
        """
        return tuple(self.start_embedding(title, patches, has_image).cpu().numpy())

    def start_embedding(self, title, patches, has_image=None):
        """:meth:`embed` without waiting for a GPU: float32 (3, B, d) on the device."""
        with torch.inference_mode():
            embeddings = self.model.embed(title, patches, has_image)
            return nn.functional.normalize(torch.stack(embeddings), dim=-1)

    def _tokens(self, title):
        ids = self.tokenizer.encode(title or "")[: self.geometry.max_title_length]
        return np.asarray(ids, np.int64)

    def _all_patches(self, images):
        """Decoding takes longer than small models do, and Pillow lets threads do it side by side.

        Not images that were opened elsewhere: one object may be asked for more than once.
        """
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            begun = [
                pool.submit(self._patches, image) if isinstance(image, (str, bytes, Path)) else None
                for image in images
            ]
            return np.stack(
                [one.result() if one else self._patches(image) for one, image in zip(begun, images)]
            )

    def _patches(self, image):
        geometry = self.geometry
        if image is None:
            return np.zeros((geometry.patches, geometry.patch_dim), np.uint8)
        image = _open(image, self.stored_image_size)
        square = fit_square(image, self.stored_image_size, self.fit)
        return patchify(center_crop(np.asarray(square), geometry.image_size), geometry.patch_size)


def _pooled(network, images):
    """The pooled features of images: (b, dim) float32, zeros where an image is None."""
    rows = np.zeros((len(images), network.dim), np.float32)
    given = [i for i, image in enumerate(images) if image is not None]
    if given:
        side = network.image_size
        squares = [np.asarray(fit_square(_open(images[i], side), side)) for i in given]
        # As they are stored in a data-bin.
        rows[given] = network.pooled(np.stack(squares)).half().float().cpu().numpy()
    return rows


def _one_each(titles, images):
    """Both as lists of one length, None for what is not given."""
    if isinstance(titles, (str, bytes)) or isinstance(images, (str, bytes, Path, Image.Image)):
        raise InputError("titles and images are lists; put the title or image into one")
    if titles is None and images is None:
        raise InputError("give titles, images or both")
    n = len(images if titles is None else titles)
    titles = [None] * n if titles is None else list(titles)
    images = [None] * n if images is None else list(images)
    if len(titles) != len(images):
        raise InputError(f"{len(titles)} titles beside {len(images)} images; give one each")
    return titles, images


def _open(image, target):
    if isinstance(image, Image.Image):
        try:
            return to_rgb(image)
        except Exception as error:  # the pixels of an opened file are read only here
            raise InputError(f"{image} cannot be used: {error}; give another image") from None
    name = "the image" if isinstance(image, bytes) else image
    try:
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        return decode_image(data, target)
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror}); check the path") from None
    except ImageError as error:
        raise InputError(f"{name} cannot be used: {error}; give another image") from None


def load(path, checkpoint_file="checkpoint_best.pt", device="cpu"):
    """Load a model folder or a checkpoint file; see ``ItemModel.from_pretrained``."""
    path = Path(path)
    if (path / "model.safetensors").exists() and not (path / checkpoint_file).exists():
        from fairseq_item.export.loading import load as load_export

        return load_export(path, device)
    checkpoint = path / checkpoint_file if path.is_dir() else path
    folder = checkpoint.parent
    tokenizer = next((name for name in TOKENIZERS if (folder / name).exists()), TOKENIZERS[0])
    for needed in (checkpoint, folder / "dict.txt", folder / tokenizer):
        if not needed.exists():
            raise InputError(
                f"{needed} is missing; a model folder holds a checkpoint, dict.txt and bpe.model"
            )
    state = read_checkpoint(checkpoint)
    check_bytes(checkpoint)
    check_vocabulary(state, folder, checkpoint)
    dictionary = load_dictionary(folder / "dict.txt")
    cfg, model = _restore(state, dictionary, device, checkpoint)
    with open(checkpoint, "rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    kept = kept_by_task(state)
    hub = ItemHubInterface(
        model,
        cfg,
        dictionary,
        open_tokenizer(folder),
        digest,
        kept.get("stored_image_size", cfg.model.image_size),
        kept.get("fit", "pad"),
        kept.get("categories"),
    )
    return hub.to(device)


def _restore(state, dictionary, device, checkpoint):
    """The configuration of a checkpoint and its model, with its weights."""
    try:
        cfg = OmegaConf.create(state["cfg"])
        sizes = with_defaults(cfg.model, _kind(cfg.model, checkpoint))
        check_sizes(sizes)
        check_weights(state, least_parameters(sizes), checkpoint)
        if "compile" in cfg.model:
            cfg.model.compile = (
                False  # worth the wait in training, and compilers are not everywhere
            )
        if "compute_dtype" in cfg.model:
            cfg.model.compute_dtype = resolve_compute_dtype(cfg.model, device)
        model = build(cfg.model, dictionary, checkpoint)
        if kept_by_task(state).get("categories"):
            model.add_classifier(len(kept_by_task(state)["categories"]))
    except InputError as error:
        names = str(error).startswith(str(checkpoint))
        raise (error if names else InputError(f"{checkpoint}: {error}")) from None
    except Exception as error:  # of settings that no model has: OmegaConf's, torch's, Python's
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{checkpoint} has settings of no model: {reason}") from None
    try:
        model.load_state_dict(state["model"])
    except Exception as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise InputError(
            f"{checkpoint} does not fit {checkpoint.parent}/dict.txt: {reason}"
        ) from None
    return cfg, model


class _Vocabulary:
    """The one thing of a task that ``build_model`` asks for."""

    def __init__(self, dictionary):
        self.source_dictionary = dictionary


def build(cfg, dictionary, checkpoint):
    """The model of a configuration, its weights drawn anew; ``checkpoint`` is for messages."""
    return _kind(cfg, checkpoint).build_model(cfg, _Vocabulary(dictionary))


def _kind(cfg, checkpoint):
    """The class of the model that a configuration is of."""
    name = cfg.get("_name")
    kind = ARCH_MODEL_REGISTRY.get(name) or MODEL_REGISTRY.get(name)
    if kind is None or not hasattr(kind, "embed"):
        raise InputError(f"{checkpoint} holds a model {name!r}, which this plugin does not know")
    return kind
