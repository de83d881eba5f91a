"""The pre-training task: a data-bin in, masked and mismatched products out."""

from dataclasses import dataclass, field
from typing import Optional

import numpy as np
import torch
from fairseq.dataclass import ChoiceEnum
from fairseq.tasks import register_task

from fairseq_item.data.augment import center_crop
from fairseq_item.data.item_dataset import Corruption
from fairseq_item.data.masked_titles import BlankImages
from fairseq_item.data.patches import patchify
from fairseq_item.errors import InputError
from fairseq_item.tasks.patch_images import PatchImagesConfig, ShowsPatches
from fairseq_item.tasks.product_task import ProductTask
from fairseq_item.tasks.retrieval import RetrievalConfig, SearchesWhenValidating
from fairseq_item.tasks.second_views import SecondViewsConfig, with_second_views


@dataclass
class ItemPretrainingConfig(PatchImagesConfig, RetrievalConfig, SecondViewsConfig):
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


@register_task("item_pretraining", dataclass=ItemPretrainingConfig)
class ItemPretrainingTask(ShowsPatches, SearchesWhenValidating, ProductTask):
    """Pre-training on one data-bin (formats: the README).

    Raises:
        InputError: the data-bin lacks a file.
    """

    def load_dataset(self, split, **kwargs):
        """Load a split: shuffled and augmented anew each epoch if its name begins with "train"."""
        cfg, titles = self.cfg, self.titles(split)
        corruption = Corruption(
            cfg.title_mask_prob,
            cfg.patch_mask_prob if self.sees_images else 0.0,
            cfg.mismatch_prob,
            str(cfg.masked_losses_on),
        )
        self.datasets[split] = with_second_views(
            cfg,
            split,
            titles,
            self.images(split) if self.sees_images else BlankImages(len(titles)),
            self.dictionary,
            self.geometry(),
            corruption,
            self.augmentation(split),
            **self.sampling(split),
        )

    def build_model(self, cfg, from_checkpoint=False):
        model = super().build_model(cfg, from_checkpoint)
        mean = self._mean_patch() if self.sees_images else None
        if mean is not None:
            model.set_mean_pixels(mean)
        return model

    def _mean_patch(self, sample=256) -> Optional[torch.Tensor]:
        """Mean training patch in [0, 1], from at most ``sample`` images spread evenly.

        Of an image whose side is no multiple of the patches' the middle counts.
        """
        try:
            images = self.images("train")
        except InputError:
            return None  # a checkpoint in use elsewhere, without its training data
        chosen = np.unique(np.linspace(0, len(images) - 1, sample).astype(int))
        p = self.cfg.patch_size
        squares = (center_crop(images.image(i), max(1, images.side(i) // p) * p) for i in chosen)
        patches = [patchify(square, p).mean(0) for square in squares]
        return torch.from_numpy(np.mean(patches, axis=0) / 255.0).float()
