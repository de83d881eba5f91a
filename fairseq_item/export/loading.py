"""Loading what item-export wrote: nothing in it is run, and nothing is built that it has no
weights for."""

from pathlib import Path

import torch
from omegaconf import OmegaConf

from fairseq_item.data.dictionary import load_dictionary
from fairseq_item.data.titles import open_tokenizer
from fairseq_item.errors import InputError
from fairseq_item.export.config import CONFIG, MEND, WEIGHTS, check_files, read_config
from fairseq_item.models.hub_interface import ItemHubInterface, build
from fairseq_item.models.sizes import LARGEST
from fairseq_item.modules.precision import resolve_compute_dtype


def load(folder, device="cpu"):
    """Load a folder that has safetensors.

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
