"""A model as a folder that no pickle is in: safetensors, ``config.json``, dictionary, BPE and card.

``ItemModel.from_pretrained`` reads it like a model folder of fairseq-train's. ``config.json`` says
the sizes of the model, how its images are prepared, and the SHA-256 of the other files.
"""

import copy
import json
import shutil
from pathlib import Path

import torch
from omegaconf import OmegaConf

import fairseq_item
from fairseq_item.errors import InputError
from fairseq_item.export import card
from fairseq_item.export.config import (
    CARD,
    CONFIG,
    FILES,
    FORMAT,
    VERSION,
    VOCABULARY,
    WEIGHTS,
    digest_of,
    is_export,
)
from fairseq_item.folders import NewFolder

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def new_folder(out):
    """A :class:`fairseq_item.folders.NewFolder`, which replaces nothing but an export.

    Raises:
        InputError: something else is in ``out``, or it cannot be written.
    """
    out = Path(out)
    if out.is_dir() and any(out.iterdir()) and not is_export(out):
        raise InputError(f"{out} holds other things, which would be lost; name another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    return NewFolder(out, FILES.__contains__)


def write(hub, source, out, dtype="float32", facts=None):
    """Write a model as safetensors; arguments and result as of :func:`write_weights`."""
    with new_folder(out) as new:
        config = write_weights(hub, source, new.work, dtype, facts)
        new.put()
    return config


def write_weights(
    hub, source, out, dtype="float32", facts=None, formats=("safetensors",), more=None, also=None
):
    """Write weights, dictionary, tokenizer, card and ``config.json`` into an empty folder.

    Args:
        hub: :class:`fairseq_item.models.hub_interface.ItemHubInterface`.
        source: folder of its dictionary and tokenizer.
        out: the folder.
        dtype: of the weights: "float32", which is exact, or "bfloat16", half as large.
        facts: dict, what is known of its training.
        formats: ways to use the folder, for the model card.
        more: dict of further entries of ``config.json``.
        also: further safetensors files: dict of name -> dict of tensors.

    Returns:
        dict: what went into ``config.json``.
    """
    from safetensors.torch import save_file

    names = copy_vocabulary(source, out)
    model = hub.model if dtype == "float32" else copy.deepcopy(hub.model).to(DTYPES[dtype])
    files = {WEIGHTS: _tensors(model), **(also or {})}
    for name, tensors in files.items():
        save_file(tensors, str(out / name), {"format": "pt"})
        shutil.copymode(out / names[0], out / name)  # safetensors lets nobody else read it
    more = {"dtype": dtype, "formats": list(formats), **(more or {})}
    return finish(hub, out, [*files, *names], more, facts)


def _tensors(model):
    """Its parameters and buffers by name: dict. Of names for one tensor the first is taken."""
    first = {}
    for name, value in model.state_dict().items():
        first.setdefault((value.data_ptr(), value.shape), (name, value.contiguous()))
    return dict(first.values())


def copy_vocabulary(source, out):
    """Copy the dictionary and the tokenizer; returns the names of their files."""
    names = [name for name in VOCABULARY if (Path(source) / name).exists()]
    for name in names:
        shutil.copyfile(Path(source) / name, out / name)
    return names


def finish(hub, out, files, more, facts=None):
    """Write the model card and ``config.json``, which makes the folder whole.

    Args:
        hub, facts: as of :func:`write_weights`.
        out: the folder.
        files: names of what else is in it.
        more: dict of further entries of ``config.json``, ``dtype`` and ``formats`` among them.

    Returns:
        dict: what went into ``config.json``.
    """
    digests = {name: digest_of(out / name) for name in files}
    config = {
        "format": FORMAT,
        "version": VERSION,
        "library": f"fairseq-item {fairseq_item.__version__}",
        # Embeddings of exact weights go with those of the checkpoint, of rounded ones they do not.
        "digest": hub.digest if more["dtype"] == "float32" else digests[files[0]],
        "checkpoint": hub.digest,
        "model": _settings(hub.model.cfg),
        "stored_image_size": hub.stored_image_size,
        "fit": hub.fit,
        "categories": None if hub.categories is None else list(hub.categories),
        **more,
        "training": facts or {},
        "files": digests,
    }
    (out / CARD).write_text(card.text(hub, config), encoding="utf-8")
    write_json(out / CONFIG, config)
    return config


def _settings(cfg):
    """A model's configuration as a dict, without the folders of this machine."""
    settings = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    for name in ("init_text", "init_image"):  # that there was a file makes a difference
        if settings.get(name):
            settings[name] = Path(settings[name]).name
    return settings


def write_json(path, content):
    """Write ``content`` as JSON of several lines."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")
