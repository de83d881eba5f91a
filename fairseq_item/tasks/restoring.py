"""The checkpoint that fairseq-train is about to go on from, looked at before fairseq loads it."""

import filecmp
import logging
import os
import shutil
from pathlib import Path

import torch.distributed as dist
from omegaconf.errors import OmegaConfBaseException

from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.models.checkpoint import check_bytes, check_vocabulary, read_checkpoint

logger = logging.getLogger(__name__)

LAST = "checkpoint_last.pt"
# Settings of a model that say which weights it has.
SIZES = (
    "_name", "image_size", "patch_size", "max_title_length", "encoder_layers", "encoder_embed_dim",
    "encoder_ffn_embed_dim", "encoder_attention_heads", "joint_dim", "depth", "width",
)  # fmt: skip


def restored_from(cfg):
    """The checkpoint that training resumes from: a path, or None where it starts anew.

    A damaged ``checkpoint_last.pt``, as a killed run leaves it, is set aside, and the newest other
    checkpoint of the folder takes its place.

    Args:
        cfg: of the task, with ``save_dir``, ``restore_file`` and ``no_save``.

    Raises:
        InputError: it is damaged, and there is no other.
    """
    file = given(cfg, "restore_file")
    if file is None:
        return None
    path = Path(file)
    if file == LAST:
        path = Path(cfg.save_dir) / LAST
        if not dist.is_initialized() or dist.get_rank() == 0:
            _mend(path)
        if dist.is_initialized():
            dist.barrier()
    return path if path.is_file() else None


def given(cfg, name):
    """A setting of fairseq's; None where a task is used without fairseq's configuration."""
    try:
        value = getattr(cfg, name, None)
    except OmegaConfBaseException:
        return None
    return None if isinstance(value, str) and value.startswith("${") else value


def _mend(path):
    """Put the newest other checkpoint in the place of one that is there and damaged."""
    if not path.is_file():
        return
    try:
        read_checkpoint(path)
        check_bytes(path)
    except InputError as error:
        others = {}
        for other in path.parent.glob("checkpoint*.pt"):
            try:
                history = read_checkpoint(other)["optimizer_history"]
                check_bytes(other)
                others[history[-1]["num_updates"], other.name] = other
            except (InputError, LookupError, TypeError):
                continue
        if not others:
            raise InputError(
                f"{error}; there is no other in {path.parent} to go on from: remove it to start "
                "anew"
            ) from None
        (updates, _), newest = max(others.items())
        logger.warning("%s; going on from %s, of update %d", error, newest, updates)
        os.replace(path, path.with_suffix(".pt.damaged"))
        with atomic_path(path) as temporary:
            shutil.copyfile(newest, temporary)


def check_settings(state, cfg, checkpoint):
    """Refuse to resume a model of other sizes.

    Args:
        state: of :func:`read_checkpoint`.
        cfg: the model's configuration.
        checkpoint: for the message.

    Raises:
        InputError: it names what differs.
    """
    kept = state["cfg"]["model"]
    differ = [
        f"--{'arch' if name == '_name' else name.replace('_', '-')} {kept[name]} there and "
        f"{getattr(cfg, name)} here"
        for name in SIZES
        if name in kept and hasattr(cfg, name) and str(kept[name]) != str(getattr(cfg, name))
    ]
    if differ:
        raise InputError(
            f"{checkpoint} is of another model: {', '.join(differ)}; give its settings, or "
            "another --save-dir"
        )


def check_start(checkpoint, dictionary):
    """Refuse to fine-tune a checkpoint that is missing, or of another dictionary.

    Raises:
        InputError: it cannot be started from.
    """
    if not Path(checkpoint).is_file():
        raise InputError(f"{checkpoint} is missing; name a checkpoint file to start from")
    own = Path(checkpoint).parent / "dict.txt"
    if own.exists() and not filecmp.cmp(own, dictionary, shallow=False):
        raise InputError(
            f"{dictionary} is not the dictionary of {checkpoint}; put dict.txt and bpe.model of "
            f"its folder into {dictionary.parent} and run item-binarize again"
        )
    check_vocabulary(read_checkpoint(checkpoint), dictionary.parent, checkpoint)
