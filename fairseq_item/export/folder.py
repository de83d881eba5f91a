"""A model as a folder that no pickle is in: safetensors, ``config.json``, dictionary, BPE and card.

``ItemModel.from_pretrained`` reads it like a model folder of fairseq-train's. ``config.json`` says
the sizes of the model, how its images are prepared, and the SHA-256 of the other files.
"""

import copy
import hashlib
import json
import shutil
from pathlib import Path

import torch
from omegaconf import OmegaConf

import fairseq_item
from fairseq_item.data.dictionary import load_dictionary
from fairseq_item.data.image_store_meta import LARGEST as LARGEST_IMAGE
from fairseq_item.data.images import FITS
from fairseq_item.data.titles import TOKENIZERS, open_tokenizer
from fairseq_item.errors import InputError
from fairseq_item.export import card
from fairseq_item.files import atomic_path
from fairseq_item.models.hub_interface import ItemHubInterface, build
from fairseq_item.models.sizes import LARGEST
from fairseq_item.modules.precision import resolve_compute_dtype

FORMAT, VERSION = "fairseq-item", 1
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
VOCABULARY = ("dict.txt", *TOKENIZERS)  # one of the tokenizers
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LONGEST_CONFIG = 16 << 20  # bytes; thousands of leaf categories are in it
MEND = "run item-export again"


def prepare(out):
    """The folder ``out``, made or empty, or one that item-export wrote before.

    Raises:
        InputError: something else is in it, which would be mixed with the model or overwritten.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not is_export(out))):
        raise InputError(f"--out {out} holds something else; name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    return out


def is_export(folder):
    """Whether item-export wrote this folder."""
    try:
        return read_config(folder)["format"] == FORMAT
    except InputError:
        return False


def write(
    hub, source, out, dtype="float32", facts=None, formats=("safetensors",), more=None, also=None
):
    """Write a model as safetensors.

    Args:
        hub: :class:`fairseq_item.models.hub_interface.ItemHubInterface`.
        source: folder of its dictionary and tokenizer.
        out: folder to write, see :func:`prepare`.
        dtype: of the weights: "float32", which is exact, or "bfloat16", half as large.
        facts: dict, what is known of its training.
        formats: ways to use the folder, for the model card.
        more: dict of further entries of ``config.json``.
        also: further safetensors files: dict of name -> dict of tensors.

    Returns:
        dict: what went into ``config.json``.
    """
    out = prepare(out)
    from safetensors.torch import save_file

    (out / CONFIG).unlink(missing_ok=True)  # it is written last: without it nothing is whole
    names = copy_vocabulary(source, out)
    model = hub.model if dtype == "float32" else copy.deepcopy(hub.model).to(DTYPES[dtype])
    files = {WEIGHTS: _tensors(model), **(also or {})}
    for name, tensors in files.items():
        with atomic_path(out / name) as path:
            save_file(tensors, str(path), {"format": "pt"})
            shutil.copymode(out / VOCABULARY[0], path)  # safetensors lets nobody else read it
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
    if Path(source).resolve() != out.resolve():
        for name in VOCABULARY:
            (out / name).unlink(missing_ok=True)
        for name in names:
            with atomic_path(out / name) as path:
                shutil.copyfile(Path(source) / name, path)
    return names


def finish(hub, out, files, more, facts=None):
    """Write the model card and ``config.json``, which makes the folder whole.

    Args:
        hub, facts: as of :func:`write`.
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
        "model": OmegaConf.to_container(hub.model.cfg, resolve=True, enum_to_str=True),
        "stored_image_size": hub.stored_image_size,
        "fit": hub.fit,
        "categories": None if hub.categories is None else list(hub.categories),
        **more,
        "training": facts or {},
        "files": digests,
    }
    with atomic_path(out / CARD) as path:
        path.write_text(card.text(hub, config), encoding="utf-8")
    with atomic_path(out / CONFIG) as path:
        path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return config


def digest_of(path):
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_config(folder):
    """``config.json`` of an exported folder.

    Raises:
        InputError: it is missing, damaged, too large, or of another version.
    """
    path = Path(folder) / CONFIG
    try:
        if path.stat().st_size > LONGEST_CONFIG:
            raise InputError(f"{path} has more than {LONGEST_CONFIG} bytes; {MEND}")
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {MEND}") from None
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is damaged ({reason}); {MEND}") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise InputError(f"{path} was not written by item-export; name another folder")
    if config.get("version") != VERSION:
        raise InputError(
            f"{path} has version {config.get('version')}, this program reads {VERSION}; {MEND}"
        )
    categories = config.get("categories") or []
    right = {
        "digest": isinstance(config.get("digest"), str),
        "model": isinstance(config.get("model"), dict),
        "files": isinstance(config.get("files"), dict),
        "fit": config.get("fit") in FITS,
        "stored_image_size": config.get("stored_image_size") in range(1, LARGEST_IMAGE + 1),
        "categories": isinstance(categories, list) and all(isinstance(c, str) for c in categories),
    }
    for name, is_right in right.items():
        if not is_right:
            raise InputError(f"{path} is damaged ({name} is missing or wrong); {MEND}")
    return config


def load(folder, device="cpu"):
    """Load what :func:`write` wrote; nothing in it is run.

    Args:
        folder: the folder.
        device: where the model computes.

    Returns:
        :class:`fairseq_item.models.hub_interface.ItemHubInterface`.

    Raises:
        InputError: a file is missing, damaged or not the one that was written, or the sizes in
            ``config.json`` are not those of the weights.
    """
    folder = Path(folder)
    config = read_config(folder)
    check_files(folder, config)
    if WEIGHTS not in config["files"]:
        raise InputError(f"{folder} has no {WEIGHTS}; run item-export --format safetensors")
    cfg = OmegaConf.create(config["model"])
    dictionary = load_dictionary(folder / "dict.txt")
    categories = config.get("categories")
    model = _load_weights(folder / WEIGHTS, cfg, dictionary, categories)
    cfg.compute_dtype = model.cfg.compute_dtype = resolve_compute_dtype(model.cfg, device)
    tokenizer = open_tokenizer(folder)
    hub = ItemHubInterface(
        model,
        OmegaConf.create({"model": cfg}),
        dictionary,
        tokenizer,
        config["digest"],
        config["stored_image_size"],
        config["fit"],
        categories,
    )
    return hub.to(device)


def check_files(folder, config):
    """Refuse files that are missing or not those that ``config.json`` was written for."""
    for name, digest in config["files"].items():
        path = folder / Path(name).name
        if not path.is_file():
            raise InputError(f"{path} is missing; {MEND}")
        if digest_of(path) != digest:
            raise InputError(f"{path} is not the file that {CONFIG} was written for; {MEND}")


def _load_weights(path, cfg, dictionary, categories):
    """The model with its weights; its sizes are compared with the file before it is built."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_model

    try:
        with safe_open(str(path), "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({error}); {MEND}") from None
    _check_sizes(path, cfg, shapes)

    def make():
        model = build(cfg, dictionary, path)
        if categories:
            model.add_classifier(len(categories))
        return model

    try:
        with torch.device("meta"):  # shapes only: no memory is taken
            planned = {name: tuple(value.shape) for name, value in make().state_dict().items()}
    except InputError:
        raise
    except Exception as error:  # of settings that no model has: OmegaConf's, torch's, Python's
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path.parent / CONFIG} has settings of no model: {reason}") from None
    wrong = [name for name in shapes if planned.get(name) != shapes[name]]
    if wrong:
        raise InputError(
            f"{path} does not fit {CONFIG}: {wrong[0]} has shape {shapes[wrong[0]]}, not "
            f"{planned.get(wrong[0])}; {MEND}"
        )
    model = make()
    try:
        load_model(model, str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise InputError(f"{path} does not fit {CONFIG}: {reason}; {MEND}") from None
    return model


def _check_sizes(path, cfg, shapes):
    """Refuse numbers that would take long to build even without memory."""
    for name, value in cfg.items():
        if isinstance(value, int) and not isinstance(value, bool) and value > LARGEST:
            raise InputError(f"{path.parent / CONFIG}: {name} is {value}, at most {LARGEST} goes")
        if name.endswith("layers") and isinstance(value, int) and value > len(shapes):
            raise InputError(
                f"{path.parent / CONFIG}: {name} is {value}, but {path} has {len(shapes)} tensors"
            )
