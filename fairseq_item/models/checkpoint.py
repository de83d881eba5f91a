"""Reading checkpoints, which may come from anywhere: no code is run, and nothing is believed."""

import math
import pickle
import zipfile
import zlib
from pathlib import Path

import torch

from fairseq_item.data.images import FITS
from fairseq_item.data.settings import LONGEST
from fairseq_item.data.token_store import vocabulary_digests
from fairseq_item.errors import InputError


def read_checkpoint(checkpoint):
    """What fairseq-train wrote: a dict with ``cfg``, ``model``, ``task_state`` and more.

    Raises:
        InputError: the file is something else, or damaged.
    """
    try:
        # weights_only: tensors and plain containers, so loading runs no code from the file.
        state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise InputError(f"{checkpoint} is missing; name a checkpoint") from None
    except pickle.UnpicklingError:
        reason = "it holds more than tensors and settings, or is damaged"
        raise InputError(f"{checkpoint} is no usable checkpoint: {reason}") from None
    except Exception:  # torch raises many kinds for damaged files, and some advise to trust them
        reason = "it is damaged, cut off or of another format"
        raise InputError(f"{checkpoint} is no usable checkpoint: {reason}") from None
    if not _is_checkpoint(state):
        raise InputError(f"{checkpoint} is not a checkpoint that fairseq-train wrote")
    _check_kept(state, checkpoint)
    return state


def check_bytes(checkpoint):
    """Read a checkpoint from end to end and compare it with its own checksums.

    Raises:
        InputError: a part of it was changed or damaged after it was written.
    """
    try:
        with zipfile.ZipFile(checkpoint) as file:
            damaged = file.testzip()
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, zlib.error):
        damaged = "the archive"
    if damaged:
        raise InputError(f"{checkpoint} is no usable checkpoint: {damaged} in it is damaged")


def _is_checkpoint(state):
    return (
        isinstance(state, dict)
        and isinstance(state.get("cfg"), dict)
        and isinstance(state["cfg"].get("model"), dict)
        and isinstance(state.get("model"), dict)
        and all(isinstance(name, str) for name in state["model"])
        and all(isinstance(value, torch.Tensor) for value in state["model"].values())
        and isinstance(state.get("task_state") or {}, dict)
    )


def _check_kept(state, checkpoint):
    """Refuse what no task of ours keeps."""
    kept = kept_by_task(state)
    categories, vocabulary = kept.get("categories"), kept.get("vocabulary", {})
    good = (
        (categories is None or _strings(categories, list))
        and _strings(vocabulary, dict)
        and all(isinstance(value, str) for value in vocabulary.values())
        and kept.get("fit", FITS[0]) in FITS
        and _side(kept.get("stored_image_size", 1))
    )
    if not good:
        raise InputError(f"{checkpoint} keeps what fairseq-train does not write; take another")


def _strings(values, kind):
    return isinstance(values, kind) and all(isinstance(value, str) for value in values)


def _side(value):
    return type(value) is int and 1 <= value <= LONGEST


def kept_by_task(state):
    """What the task keeps in a checkpoint: dict, {} in those of others."""
    return state.get("task_state") or {}


def check_vocabulary(state, folder, checkpoint):
    """Refuse a dictionary or tokenizer that is not the one a checkpoint was trained with.

    Args:
        state: of :func:`read_checkpoint`; those of earlier versions hold no digests, and pass.
        folder: where ``dict.txt`` and its like lie.
        checkpoint: for the message.

    Raises:
        InputError: a file is another one.
    """
    kept = kept_by_task(state).get("vocabulary", {})
    for name, found in vocabulary_digests(folder).items():
        if kept.get(name, found) != found:
            raise InputError(
                f"{Path(folder) / name} is not the one that {checkpoint} was trained with; put "
                "that one there, and where titles were made with another run item-binarize again"
            )


def check_weights(state, least, checkpoint):
    """Refuse weights that are fewer than their settings ask for, or not numbers.

    Args:
        state: of :func:`read_checkpoint`.
        least: parameters that a model of these settings has at least.
        checkpoint: for the message.

    Raises:
        InputError: they do not fit.
    """
    weights = state["model"].values()
    held = sum(value.numel() for value in weights)
    if not least <= held:
        raise InputError(
            f"{checkpoint} has settings of a model of {_count(least)} parameters, and holds "
            f"{_count(held)}; take another"
        )
    if not all(bool(value.isfinite().all()) for value in weights if value.is_floating_point()):
        raise InputError(
            f"{checkpoint} has weights that are not finite numbers: its training failed; take an "
            "earlier one"
        )


def _count(number):
    return f"{number:,}" if math.isfinite(number) else "too many"
