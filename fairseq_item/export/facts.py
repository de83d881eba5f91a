"""What a checkpoint tells of its training, for the model card."""

from pathlib import Path

from fairseq_item.criterions.item_pretraining import OBJECTIVES
from fairseq_item.export.config import is_export, read_config
from fairseq_item.models.hub_interface import read_checkpoint


def facts(checkpoint):
    """Settings and length of a training.

    Args:
        checkpoint: what fairseq-train or item-export wrote: a folder, or a checkpoint file.

    Returns:
        dict: ``updates``, ``batch_size``, ``products`` of the train split and ``weights`` of the
        objectives, those of them that the checkpoint knows.
    """
    path = Path(checkpoint)
    if path.is_dir() and is_export(path):
        return read_config(path).get("training") or {}
    state = read_checkpoint(path / "checkpoint_best.pt" if path.is_dir() else path)
    cfg, found = state["cfg"], {}
    history = state.get("optimizer_history") or [{}]
    found["updates"] = history[-1].get("num_updates")
    found["batch_size"] = _get(cfg, "dataset", "batch_size")
    found["products"] = (state.get("task_state") or {}).get("products")
    names = {name: f"{name}_weight" for name in OBJECTIVES} | {"view": "view_contrast_weight"}
    weights = {name: _get(cfg, "criterion", key) for name, key in names.items()}
    found["weights"] = {name: float(value) for name, value in weights.items() if value}
    return {name: value for name, value in found.items() if value}


def _get(cfg, *keys):
    for key in keys:
        cfg = (cfg or {}).get(key)
    return cfg
