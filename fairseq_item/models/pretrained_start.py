"""Training that starts from pretrained weights, of local files, in place of random ones."""

from dataclasses import dataclass, field
from typing import Optional

import torch
from fairseq.dataclass import FairseqDataclass

from fairseq_item.models.pretrained_image import start_image
from fairseq_item.models.pretrained_text import start_title


@dataclass
class StartConfig(FairseqDataclass):
    """Where training starts from, in place of weights drawn at random."""

    init_text: Optional[str] = field(
        default=None,
        metadata={
            "help": "file of a BERT (Hugging Face's names; safetensors, or a state dict of torch): "
            "its token embeddings, and its encoder where it has this model's sizes; titles must "
            "be in its vocabulary (item-bpe --vocab)"
        },
    )
    init_image: Optional[str] = field(
        default=None,
        metadata={
            "help": "file of a ViT (torchvision's or timm's names) of this width and patch size: "
            "its patch projection and positions"
        },
    )


def starts(cfg):
    """Whether a model's configuration names weights to start from."""
    return any(getattr(cfg, name, None) for name in ("init_text", "init_image"))


def start(model, cfg, dictionary):
    """Put the weights that ``cfg.init_text`` and ``cfg.init_image`` name into a model.

    Args:
        model: one with ``title_parts`` and ``image_parts``; others have no such options.
        cfg: its configuration.
        dictionary: fairseq ``Dictionary`` of its tokens.

    Raises:
        InputError: a file cannot be read, or does not fit the model or the dictionary.
    """
    with torch.no_grad():
        if getattr(cfg, "init_text", None):
            start_title(cfg.init_text, dictionary, **model.title_parts())
        if getattr(cfg, "init_image", None):
            start_image(cfg.init_image, **model.image_parts())
