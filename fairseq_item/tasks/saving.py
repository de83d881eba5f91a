"""Training that cannot go on: one line instead of fairseq's tries and tracebacks."""

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


def refuse_update(log, sample, update):
    """Refuse an update whose loss or gradient is not finite; the weights are as before it.

    Args:
        log: what the criterion logged, its objectives as ``{name}_sum``.
        sample: the batch.
        update: its number.

    Raises:
        InputError: always; it names the objectives and some products.
    """
    failed = [
        name.removesuffix("_sum")
        for name, value in log.items()
        if name.endswith("_sum") and not torch.as_tensor(value).isfinite().all()
    ]
    failed = [name for name in failed if not name.endswith("_weighted")]
    where = ", ".join(failed) or "the gradient"
    rows = ", ".join(map(str, sample["id"][:8].tolist()))
    raise InputError(
        f"update {update} gave no finite number in {where}; its batch begins with products {rows} "
        "of the split (0 is the first); lower --lr, or go on from an earlier checkpoint"
    )
