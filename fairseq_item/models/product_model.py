"""What embedding, leaf-category prediction and fine-tuning expect of every model."""

import copy
import logging

import torch
from fairseq.models import BaseFairseqModel

from fairseq_item.modules.heads import Classifier

logger = logging.getLogger(__name__)


class ProductModel(BaseFairseqModel):
    """A model of products: it embeds them, and can become a classifier of leaf categories.

    Besides ``forward``, ``reset_parameters`` and ``build_model`` a subclass has

    - ``embed(title, patches, has_image=None)``: (global, title, image), float32
      (B, embedding_dim) each, not normalised; a part that the model or the product lacks is zero;
    - ``features(title, patches, has_image=None)``: float32 (B, feature_dim), what the classifier
      reads.

    Args:
        cfg: configuration with ``image_size``, ``patch_size``, ``max_title_length`` and
            ``compute_dtype``.

    Attributes:
        pretraining_parts: names of the attributes that only pre-training needs.
        sees_images: whether images make a difference.
        classifier: the head that :meth:`become_classifier` adds, else None.
    """

    pretraining_parts = ()
    sees_images = True

    def __init__(self, cfg):
        super().__init__()
        if cfg.image_size % cfg.patch_size:
            raise ValueError(
                f"image size {cfg.image_size} is not a multiple of patch size {cfg.patch_size}"
            )
        self.cfg = copy.copy(cfg)
        self.classifier = None

    @classmethod
    def build_model(cls, cfg, task):
        dictionary = task.source_dictionary
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
        """The forward pass in ``compute_dtype``; parameters stay float32."""
        low = self.cfg.compute_dtype == "bfloat16"
        return torch.autocast(device.type, torch.bfloat16, enabled=low)

    def become_classifier(self, classes, dropout=0.1):
        """Drop what only pre-training needs, and put a new head on the features.

        Args:
            classes: number of leaf categories.
            dropout: probability, on the features.
        """
        for name in self.pretraining_parts:
            delattr(self, name)
        self.classifier = Classifier(self.feature_dim, classes, dropout)

    def classify(self, title, patches=None, has_image=None):
        """Scores of the leaf categories: float32 logits (B, classes)."""
        return self.classifier(self.features(title, patches, has_image))

    def upgrade_state_dict_named(self, state_dict, name):
        """Let a classifier start from a pre-trained checkpoint: ``--finetune-from-model``."""
        super().upgrade_state_dict_named(state_dict, name)
        if self.classifier is None:
            return
        for key in list(state_dict):
            if key.split(".")[0] in self.pretraining_parts:
                del state_dict[key]
        own = {f"classifier.{key}": value for key, value in self.classifier.state_dict().items()}
        if any(key not in state_dict or state_dict[key].shape != own[key].shape for key in own):
            logger.info("the checkpoint has no head for these leaf categories; it starts anew")
            state_dict.update(own)
