"""What embedding, leaf-category prediction and fine-tuning expect of every model."""

import copy
import logging

import torch
from fairseq.models import BaseFairseqModel
from omegaconf import OmegaConf

from fairseq_item.data.settings import Geometry
from fairseq_item.models.sizes import check_sizes
from fairseq_item.modules.heads import Classifier
from fairseq_item.old_checkpoints import rename_keys, rename_settings

logger = logging.getLogger(__name__)


class ProductModel(BaseFairseqModel):
    """A model of products: it embeds them, and can become a classifier of leaf categories.

    Besides ``forward``, ``reset_parameters`` and ``build_model`` a subclass has

    - ``embed(title, patches, has_image=None)``: (global, title, image), float32
      (B, embedding_dim) each, not normalised; what the model or the product lacks is zero;
    - ``features(title, patches, has_image=None)``: float32 (B, feature_dim), what the classifier
      reads.

    Args:
        cfg: :class:`fairseq_item.models.sizes.InputConfig`.

    Attributes:
        geometry: :class:`fairseq_item.data.settings.Geometry`: sizes of what it reads.
        pretraining_only: names of the attributes that only pre-training needs.
        sees_images: whether images make a difference.
        classifier: the head that :meth:`add_classifier` adds, else None.

    Raises:
        InputError: a size or a probability is out of range.
    """

    pretraining_only = ()
    sees_images = True

    def __init__(self, cfg):
        super().__init__()
        check_sizes(cfg)
        self.geometry = Geometry(cfg.image_size, cfg.patch_size, cfg.max_title_length)
        self.cfg = copy.copy(cfg)
        self.classifier = None

    @classmethod
    def build_model(cls, cfg, task):
        dictionary = task.source_dictionary
        cfg = with_defaults(cfg, cls)
        return cls(cfg, len(dictionary), dictionary.pad(), dictionary.bos(), dictionary.eos())

    @property
    def embedding_dim(self):
        """Width of each embedding."""
        return self.cfg.encoder_embed_dim

    @property
    def feature_dim(self):
        """Width of what a classifier reads."""
        return self.cfg.encoder_embed_dim

    def max_positions(self):
        return self.cfg.max_title_length + 2

    def autocast(self, device):
        """The forward pass in ``compute_dtype``; parameters stay float32.

        What is still "auto" here (a task resolves it before training) counts as float32.
        """
        low = self.cfg.compute_dtype == "bfloat16"
        return torch.autocast(device.type, torch.bfloat16, enabled=low)

    def add_classifier(self, classes, dropout=0.1):
        """Drop what only pre-training needs, and put a new head on the features.

        Args:
            classes: number of leaf categories.
            dropout: probability, on the features.
        """
        for name in self.pretraining_only:
            delattr(self, name)
        self.classifier = Classifier(self.feature_dim, classes, dropout)

    def classify(self, title, patches=None, has_image=None):
        """Scores of the leaf categories: float32 logits (B, classes)."""
        return self.classifier(self.features(title, patches, has_image))

    def upgrade_state_dict_named(self, state_dict, name):
        """Read old checkpoints; let a classifier start from a pre-trained one
        (``--finetune-from-model``)."""
        super().upgrade_state_dict_named(state_dict, name)
        rename_keys(state_dict)
        if self.classifier is None:
            return
        for key in list(state_dict):
            if key.split(".")[0] in self.pretraining_only:
                del state_dict[key]
        own = {f"classifier.{key}": value for key, value in self.classifier.state_dict().items()}
        if any(key not in state_dict or state_dict[key].shape != own[key].shape for key in own):
            logger.info("the checkpoint has no head for these leaf categories; it starts anew")
            state_dict.update(own)


def with_defaults(cfg, model):
    """A checkpoint's configuration with the defaults of those options that are younger than it.

    Args:
        cfg: ``OmegaConf``; what else fairseq builds models from is returned as it is.
        model: the registered class.
    """
    if not OmegaConf.is_config(cfg):
        return cfg
    rename_settings(cfg)
    return OmegaConf.merge(getattr(model, "__dataclass")(), cfg)
