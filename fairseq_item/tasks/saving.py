"""Checkpoints that cannot be written: one line instead of fairseq's three tries and traceback."""

from pathlib import Path

import torch
from fairseq import checkpoint_utils

from fairseq_item.errors import InputError


def say_why_checkpoints_fail():
    """Let training end with one line where a checkpoint cannot be written: the disk is full, say.

    fairseq writes it to ``NAME.tmp`` first, which is removed: what was saved before stays whole.
    """
    checkpoint_utils._torch_persistent_save = _save


def _save(state, file):
    """In place of fairseq's function of the same arguments; ``file`` is open for writing."""
    try:
        torch.save(state, file)
        file.flush()
    except (OSError, RuntimeError) as error:  # torch's, of writing, is the latter
        name = str(getattr(file, "name", "the checkpoint"))
        Path(name).unlink(missing_ok=True)
        reason = (
            getattr(error, "strerror", None) or "the disk is full, or files may not be so large"
        )
        raise InputError(
            f"{name.removesuffix('.tmp')} cannot be written ({reason}); make room and run again: "
            "training goes on from the last checkpoint that is whole"
        ) from None
