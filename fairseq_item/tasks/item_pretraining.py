"""The pre-training task: a data-bin in, masked and mismatched products out."""

import filecmp
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.tasks import FairseqTask, register_task
from omegaconf import II, MISSING

from fairseq_item.cli import end_input_errors_with_one_line
from fairseq_item.data.concatenated import open_split, shard_names
from fairseq_item.data.image_store import ImageStore, read_meta
from fairseq_item.data.item_dataset import Augmentation, Corruption, Geometry, ItemDataset
from fairseq_item.data.patches import patchify
from fairseq_item.data.token_store import TokenStore
from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path

logger = logging.getLogger(__name__)


@dataclass
class ItemPretrainingConfig(FairseqDataclass):
    """Data and corruption of the pre-training; the defaults are the paper's."""

    data: str = field(default=MISSING, metadata={"help": "the data-bin folder"})
    title_mask_prob: float = field(default=0.15, metadata={"help": "share of pieces to predict"})
    patch_mask_prob: float = field(
        default=0.15, metadata={"help": "share of patches to reconstruct"}
    )
    mismatch_prob: float = field(
        default=0.5, metadata={"help": "share of products shown with another product's title"}
    )
    masked_losses_on: ChoiceEnum(["all", "matched"]) = field(
        default="all", metadata={"help": "pairs on which the masked losses count"}
    )
    crop_min_scale: float = field(
        default=0.6, metadata={"help": "smallest share of the area that a training crop keeps"}
    )
    flip_prob: float = field(default=0.5, metadata={"help": "share of pictures that are mirrored"})
    view_word_drop: float = field(
        default=0.35,
        metadata={"help": "share of words that the second view's title leaves out"},
    )
    view_contrast_weight: float = II("criterion.view_contrast_weight")
    image_size: int = II("model.image_size")
    patch_size: int = II("model.patch_size")
    max_title_length: int = II("model.max_title_length")
    seed: int = II("common.seed")
    save_dir: str = II("checkpoint.save_dir")
    no_save: bool = II("checkpoint.no_save")
    # Batches, masks and mismatches are drawn anew in each epoch; fairseq's other settings would
    # freeze them at the first epoch's.
    rebuild_batches: bool = True
    reuse_dataloader: bool = False
    persistent_workers: bool = False


@register_task("item_pretraining", dataclass=ItemPretrainingConfig)
class ItemPretrainingTask(FairseqTask):
    """Pre-training on one data-bin (DESIGN of the formats: the README).

    Raises:
        InputError: the data-bin lacks a file, or its pictures do not fit the model's patches.
    """

    def __init__(self, cfg, dictionary):
        super().__init__(cfg)
        self.dictionary = dictionary
        # The task's state is kept in the checkpoint: pictures met later, away from the data-bin,
        # have to be prepared in the same way.
        self.state.merge_state_dict(_preparation(cfg.data))

    @classmethod
    def setup_task(cls, cfg, **kwargs):
        end_input_errors_with_one_line()
        path = Path(cfg.data) / "title" / "dict.txt"
        if not path.exists():
            raise InputError(f"{path} is missing; run preprocess/train_bpe.py")
        return cls(cfg, load_dictionary(path))

    @property
    def source_dictionary(self):
        return self.dictionary

    @property
    def target_dictionary(self):
        return self.dictionary

    def max_positions(self):
        return None

    def geometry(self):
        return Geometry(self.cfg.image_size, self.cfg.patch_size, self.cfg.max_title_length)

    def load_dataset(self, split, **kwargs):
        """Load a split: shuffled and augmented anew each epoch if its name begins with "train"."""
        training = split.startswith("train")
        self.datasets[split] = ItemDataset(
            open_split(self.cfg.data, split, "title", TokenStore),
            open_split(self.cfg.data, split, "image", ImageStore),
            self.dictionary,
            self.geometry(),
            Corruption(
                self.cfg.title_mask_prob,
                self.cfg.patch_mask_prob,
                self.cfg.mismatch_prob,
                str(self.cfg.masked_losses_on),
            ),
            Augmentation((self.cfg.crop_min_scale, 1.0), self.cfg.flip_prob) if training else None,
            self.cfg.view_word_drop if self.cfg.view_contrast_weight > 0 else None,
            seed=self.cfg.seed,
            fixed=not training,
            shuffle=training,
        )

    def build_model(self, cfg, from_checkpoint=False):
        model = super().build_model(cfg, from_checkpoint)
        mean = self._mean_patch()
        if mean is not None:
            model.set_mean_pixels(mean)
        return model

    def _mean_patch(self, sample=256) -> Optional[torch.Tensor]:
        """Mean training patch in [0, 1], from at most ``sample`` pictures spread evenly."""
        try:
            images = open_split(self.cfg.data, "train", "image", ImageStore)
        except InputError:
            return None  # a checkpoint in use elsewhere, without its training data
        chosen = np.unique(np.linspace(0, len(images) - 1, sample).astype(int))
        patches = [patchify(images.picture(i), self.cfg.patch_size).mean(0) for i in chosen]
        return torch.from_numpy(np.mean(patches, axis=0) / 255.0).float()

    def begin_epoch(self, epoch, model):
        """Put the dictionary and the BPE model beside the checkpoints, which then stand alone.

        Raises:
            InputError: files of another vocabulary lie there.
        """
        if self.cfg.no_save:
            return
        for name in ("dict.txt", "bpe.model"):
            source = Path(self.cfg.data) / "title" / name
            target = Path(self.cfg.save_dir) / name
            if not source.exists():
                continue
            # Every process may come here; each puts the same whole file in place.
            if not target.exists():
                with atomic_path(target) as temporary:
                    shutil.copyfile(source, temporary)
            elif not filecmp.cmp(source, target, shallow=False):
                raise InputError(f"{target} differs from {source}; choose another --save-dir")


def _preparation(data):
    """How the training pictures of a data-bin were brought to a square; {} without them."""
    try:
        meta = read_meta(Path(data) / "image" / shard_names(data, "train")[0])
    except InputError:
        return {}
    return {"stored_image_size": meta.image_size, "fit": meta.fit}


def load_dictionary(path):
    """fairseq's ``Dictionary`` of ``dict.txt`` with ``<mask>`` as its last symbol."""
    dictionary = Dictionary.load(str(path))
    dictionary.add_symbol("<mask>")
    return dictionary
