"""The pre-training task: a data-bin in, masked and mismatched products out."""

from dataclasses import dataclass, field
from typing import Optional

import numpy as np
import torch
from fairseq.dataclass import ChoiceEnum
from fairseq.tasks import register_task
from omegaconf import II

from fairseq_item.data.item_dataset import Corruption, ItemDataset, Views
from fairseq_item.data.patches import patchify
from fairseq_item.errors import InputError
from fairseq_item.tasks.product_task import AugmentedTaskConfig, ProductTask


@dataclass
class ItemPretrainingConfig(AugmentedTaskConfig):
    """Corruption of the pre-training; the defaults are the paper's."""

    title_mask_prob: float = field(default=0.15, metadata={"help": "share of tokens to predict"})
    patch_mask_prob: float = field(
        default=0.15, metadata={"help": "share of patches to reconstruct"}
    )
    mismatch_prob: float = field(
        default=0.5, metadata={"help": "share of products shown with another product's title"}
    )
    masked_losses_on: ChoiceEnum(["all", "matched"]) = field(
        default="all", metadata={"help": "pairs on which the masked losses count"}
    )
    view_word_drop: float = field(
        default=0.35,
        metadata={"help": "share of words that the second view's title leaves out"},
    )
    view_single: float = field(
        default=0.5,
        metadata={"help": "share of second views with only a title or only an image"},
    )
    view_split: float = field(
        default=0.0,
        metadata={"help": "share of tokens that the second view's title breaks in two"},
    )
    view_light: float = field(
        default=0.0,
        metadata={
            "help": "greatest change of contrast and colours in the second view's image, as a part"
        },
    )
    view_contrast_weight: float = II("oc.select:criterion.view_contrast_weight,0.0")


@register_task("item_pretraining", dataclass=ItemPretrainingConfig)
class ItemPretrainingTask(ProductTask):
    """Pre-training on one data-bin (formats: the README).

    Raises:
        InputError: the data-bin lacks a file.
    """

    def _views(self):
        if self.cfg.view_contrast_weight > 0:
            names = ("view_word_drop", "view_single", "view_split", "view_light")
            return Views(*(getattr(self.cfg, name) for name in names))
        return None

    def load_dataset(self, split, **kwargs):
        """Load a split: shuffled and augmented anew each epoch if its name begins with "train"."""
        self.datasets[split] = ItemDataset(
            self.titles(split),
            self.images(split),
            self.dictionary,
            self.geometry(),
            Corruption(
                self.cfg.title_mask_prob,
                self.cfg.patch_mask_prob,
                self.cfg.mismatch_prob,
                str(self.cfg.masked_losses_on),
            ),
            self.augmentation(split),
            views=self._views(),
            **self.sampling(split),
        )

    def build_model(self, cfg, from_checkpoint=False):
        model = super().build_model(cfg, from_checkpoint)
        mean = self._mean_patch()
        if mean is not None:
            model.set_mean_pixels(mean)
        return model

    def _mean_patch(self, sample=256) -> Optional[torch.Tensor]:
        """Mean training patch in [0, 1], from at most ``sample`` images spread evenly."""
        try:
            images = self.images("train")
        except InputError:
            return None  # a checkpoint in use elsewhere, without its training data
        chosen = np.unique(np.linspace(0, len(images) - 1, sample).astype(int))
        patches = [patchify(images.image(i), self.cfg.patch_size).mean(0) for i in chosen]
        return torch.from_numpy(np.mean(patches, axis=0) / 255.0).float()
