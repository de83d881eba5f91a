"""A model as ONNX, and its int8 twin for CPUs.

Inputs: ``title`` int64 (B, T), ``patches`` uint8 (B, m, p*p*3), ``has_image`` bool (B,), where B
and T are free. Outputs: the global, title and image embedding, float32 (B, d) each, L2-normalised.
"""

import copy
import importlib
import logging
import warnings

import numpy as np
import torch
from torch import nn

from fairseq_item.data.titles import BOS, EOS
from fairseq_item.errors import InputError
from fairseq_item.export import bundle, folder
from fairseq_item.export.config import ONNX
from fairseq_item.models.item import ItemModel

FILE, INT8, RUNNER = ONNX
INPUTS = ("title", "patches", "has_image")
OUTPUTS = ("global_embedding", "title_embedding", "image_embedding")
# What a product's embeddings may differ by from torch's, any of their values.
TOLERANCE = 1e-5
OPSET = 18


class Embedder(nn.Module):
    """The network from a batch to its normalised embeddings, in float32 and by torch's own
    operators."""

    def __init__(self, model):
        super().__init__()
        self.model = copy.deepcopy(model).float().eval()
        self.model.cfg.compute_dtype = "float32"
        if hasattr(self.model, "encoder"):
            self.model.encoder.cpu_kernels = False

    def forward(self, title, patches, has_image):
        embeddings = self.model.embed(title, patches, has_image)
        return tuple(nn.functional.normalize(embedding, dim=-1) for embedding in embeddings)


def write(hub, source, out, int8=False, facts=None):
    """Write a folder with ``model.onnx`` and what runs it.

    Args:
        hub: the model.
        source: folder of its dictionary and tokenizer.
        out: folder to write.
        int8: write ``model.int8.onnx``, too.
        facts: dict, what is known of its training.

    Returns:
        float: by how much the embeddings differ from torch's, at most, on products drawn at random.

    Raises:
        InputError: the model is no ITEm, or onnxruntime's results are not torch's.
        ImportError: a package that it takes is missing.
    """
    for name in ("onnx", "onnxruntime", "onnxscript"):  # before anything is written
        importlib.import_module(name)
    if not isinstance(hub.model, ItemModel):
        name = type(hub.model).__name__
        raise InputError(f"this is a {name}; only ITEm goes to ONNX, take --format safetensors")
    with folder.new_folder(out) as new:
        difference = _write(hub, source, new.work, int8, facts)
        new.put()
    return difference


def _write(hub, source, out, int8, facts):
    """:func:`write` into an empty folder."""
    embedder = Embedder(hub.model).to("cpu")
    export(embedder, example(hub), out / FILE)
    difference = compare(embedder, hub, out / FILE)
    if not difference <= TOLERANCE:
        raise InputError(
            f"{FILE} differs from torch by {difference:.2g}, more than {TOLERANCE}; please report "
            "it with the versions of torch and onnxruntime"
        )
    if int8:
        quantise(out / FILE, out / INT8)
    (out / RUNNER).write_text(bundle.runner_source(), encoding="utf-8")
    files = [name for name in ONNX if (out / name).exists()]
    files += folder.copy_vocabulary(source, out)
    more = {"dtype": "float32", "formats": ["onnx"], "dim": hub.dim}
    folder.finish(hub, out, files, more, facts)
    return difference


def example(hub, products=3, seed=0):
    """A batch of products drawn at random, one without an image and one without a title.

    Returns:
        (title, patches, has_image) tensors.
    """
    rng, sizes = np.random.default_rng(seed), hub.geometry
    longest = sizes.max_title_length
    title = np.full((products, longest + 2), hub.dictionary.pad(), np.int64)
    for row in range(products):
        tokens = 0 if row == 1 else longest - row % max(1, longest)
        title[row, 0], title[row, tokens + 1] = BOS, EOS
        title[row, 1 : tokens + 1] = rng.integers(4, len(hub.dictionary) - 1, tokens)
    patches = rng.integers(0, 256, (products, sizes.patches, sizes.patch_dim), np.uint8)
    has_image = np.arange(products) != 2
    return tuple(map(torch.from_numpy, (title, patches, has_image)))


def export(embedder, inputs, path):
    """Write the network as ONNX, one file, with free batch and title length."""
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=2)
    shapes = {"title": {0: batch, 1: length}, "patches": {0: batch}, "has_image": {0: batch}}
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            embedder,
            inputs,
            str(path),
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


class _quiet:
    """What the exporter logs of its own passes is of no use to a user."""

    def __enter__(self):
        logging.disable(logging.WARNING)

    def __exit__(self, *_):
        logging.disable(logging.NOTSET)


def compare(embedder, hub, path, products=9):
    """The largest difference of any value between onnxruntime and torch, for other sizes of batch
    and title than those it was exported with: float."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    largest = 0.0
    for cut in (0, hub.geometry.max_title_length // 2):
        title, patches, has_image = example(hub, products, seed=1)
        title = title[:, : title.size(1) - cut]
        with torch.inference_mode():
            expected = embedder(title, patches, has_image)
        feed = dict(zip(INPUTS, (x.numpy() for x in (title, patches, has_image))))
        found = session.run(None, feed)
        for ours, theirs in zip(expected, found):
            largest = max(largest, float(np.abs(ours.numpy() - theirs).max()))
    return largest


def quantise(source, target):
    """Dynamic quantisation: weights of matrix products as int8, one scale a column."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(str(source))
    del model.graph.value_info[:]  # the exporter's shapes are in the way of those found anew
    with _quiet():
        quantize_dynamic(
            model,
            str(target),
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul", "Gemm"],
        )
