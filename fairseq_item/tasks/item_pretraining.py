"""The pre-training task: a data-bin in, masked and mismatched products out."""

import logging
from dataclasses import dataclass, field
from typing import Optional

import numpy as np
import torch
from fairseq.dataclass import ChoiceEnum
from fairseq.tasks import register_task
from omegaconf import II

from fairseq_item.data.augment import center_crop
from fairseq_item.data.item_dataset import Corruption, ItemDataset
from fairseq_item.data.masked_titles import BlankImages
from fairseq_item.data.patches import patchify
from fairseq_item.data.second_view import SecondViewDataset
from fairseq_item.data.settings import Views
from fairseq_item.data.siblings import open_siblings
from fairseq_item.errors import InputError
from fairseq_item.tasks.patch_images import PatchImagesConfig, ShowsPatches
from fairseq_item.tasks.product_task import AugmentedTaskConfig, ProductTask
from fairseq_item.tasks.retrieval import RetrievalConfig, SearchesWhenValidating

logger = logging.getLogger(__name__)


@dataclass
class ItemPretrainingConfig(PatchImagesConfig, RetrievalConfig, AugmentedTaskConfig):
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
            "help": "greatest change of contrast and colours in the second view's image, as a share"
        },
    )
    view_photos: float = field(
        default=0.0,
        metadata={
            "help": "share of second views that are made of another row of the same product (equal "
            "in column product of the catalogue), where it has several; such rows are then no "
            "negatives of one another"
        },
    )
    view_contrast_weight: float = II("oc.select:criterion.view_contrast_weight,0.0")


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
        data = (
            titles,
            self.images(split) if self.sees_images else BlankImages(len(titles)),
            self.dictionary,
            self.geometry(),
            corruption,
            self.augmentation(split),
        )
        if cfg.view_contrast_weight > 0:
            views = Views(
                cfg.view_word_drop, cfg.view_single, cfg.view_split, cfg.view_light, cfg.view_photos
            )
            siblings = self._siblings(split) if cfg.view_photos > 0 else None
            dataset = SecondViewDataset(
                *data, views=views, siblings=siblings, **self.sampling(split)
            )
        else:
            dataset = ItemDataset(*data, **self.sampling(split))
        self.datasets[split] = dataset

    def _siblings(self, split):
        siblings = open_siblings(self.cfg.data, split)
        if not siblings.shared:  # no label is of use: train as without
            return None
        rows = len(siblings.product)
        logger.info("%d of %d rows of %s share their product", siblings.shared, rows, split)
        return siblings

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
