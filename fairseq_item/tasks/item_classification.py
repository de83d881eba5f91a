"""Leaf-category prediction: fine-tuned from a checkpoint, or supervised from scratch."""

import filecmp
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from fairseq.tasks import register_task
from omegaconf import II

from fairseq_item.data.labelled_dataset import LabelledDataset
from fairseq_item.data.masked_titles import BlankImages
from fairseq_item.data.settings import check_shares
from fairseq_item.data.targets import NO_CATEGORY, UNKNOWN, read_categories, read_targets
from fairseq_item.errors import InputError
from fairseq_item.tasks.product_task import AugmentedTaskConfig, ProductTask

logger = logging.getLogger(__name__)


@dataclass
class ItemClassificationConfig(AugmentedTaskConfig):
    """The classifier on top of the model's features."""

    classifier_dropout: float = field(
        default=0.1, metadata={"help": "dropout of the features before the classifier"}
    )
    finetune_from_model: Optional[str] = II("checkpoint.finetune_from_model")


@register_task("item_classification", dataclass=ItemClassificationConfig)
class ItemClassificationTask(ProductTask):
    """Leaf categories of one data-bin, for any model of this plugin.

    With fairseq's ``--finetune-from-model CHECKPOINT`` training starts from the weights of a
    pre-trained checkpoint of the same architecture: what only its pre-training needed is dropped,
    the classifier is new, and so are optimiser and schedule.

    Raises:
        InputError: the data-bin lacks a file or leaf categories, or the checkpoint to start from
            is missing or of another vocabulary.
    """

    def __init__(self, cfg, dictionary):
        super().__init__(cfg, dictionary)
        check_shares(classifier_dropout=cfg.classifier_dropout)
        self.categories = read_categories(cfg.data)
        # Kept in the checkpoint, so that predictions have names.
        self.state.merge_state_dict({"categories": self.categories})

    def build_model(self, cfg, from_checkpoint=False):
        start, own = self.cfg.finetune_from_model, Path(self.cfg.save_dir) / "checkpoint_last.pt"
        if start and not from_checkpoint and not own.exists():
            check_start(start, Path(self.cfg.data) / "title" / "dict.txt")
        model = super().build_model(cfg, from_checkpoint)
        model.add_classifier(len(self.categories), self.cfg.classifier_dropout)
        return model

    def load_dataset(self, split, **kwargs):
        """Load a split: shuffled and augmented anew each epoch if its name begins with "train".

        Products of a category that training does not have count as wrong, those without a
        category do not count at all; neither is learnt from.
        """
        titles = self.titles(split)
        targets = read_targets(self.cfg.data, split, len(self.categories))
        for kind, what in (
            (UNKNOWN, "are of leaf categories that training does not have"),
            (NO_CATEGORY, "have no leaf category"),
        ):
            count = int((targets == kind).sum())
            if count:
                logger.warning("%s: %d of %d products %s", split, count, len(targets), what)
        self.datasets[split] = LabelledDataset(
            titles,
            self.images(split) if self.sees_images else BlankImages(len(titles)),
            self.dictionary,
            self.geometry(),
            augmentation=self.augmentation(split),
            targets=targets,
            **self.sampling(split),
        )


def check_start(checkpoint, dictionary):
    """Refuse a checkpoint that is missing, or beside which another dictionary lies.

    Raises:
        InputError: it cannot be started from.
    """
    if not Path(checkpoint).is_file():
        raise InputError(f"{checkpoint} is missing; name a checkpoint file to start from")
    own = Path(checkpoint).parent / "dict.txt"
    if own.exists() and not filecmp.cmp(own, dictionary, shallow=False):
        raise InputError(
            f"{dictionary} is not the dictionary of {checkpoint}; put dict.txt and bpe.model of "
            f"its folder into {dictionary.parent} and run preprocess/binarize_titles.py again"
        )
