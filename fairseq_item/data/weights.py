"""Pretrained weights in a file: safetensors, or what ``torch.save`` writes."""

import pickle
from pathlib import Path

import torch

from fairseq_item.errors import InputError


def read_weights(file, what="weights"):
    """Read a state dict; no code of the file is run.

    Args:
        file: path; ``.safetensors``, or any other name for torch's own format.
        what: it should hold, for the message.

    Returns:
        dict: name -> tensor on the CPU.

    Raises:
        InputError: the file is missing, damaged or something else, or the library is missing.
    """
    try:
        if Path(file).suffix == ".safetensors":
            return _read_safetensors(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror or error})") from None
    except (pickle.UnpicklingError, RuntimeError, AttributeError, EOFError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{file} does not hold {what} ({reason})") from None
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise InputError(f"{file} does not hold {what}; give the file of a state dict")
    return state


def _read_safetensors(file):
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise InputError(
            f"{file} needs a library; run pip install 'fairseq-item[pretrained]'"
        ) from None
    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(str(error)) from None
