"""Leaf-category prediction: fine-tuned from a checkpoint, or supervised from scratch."""

import logging
from dataclasses import dataclass, field

from fairseq.tasks import register_task

from fairseq_item.data.labelled_dataset import LabelledDataset
from fairseq_item.data.masked_titles import BlankImages
from fairseq_item.data.settings import check_shares
from fairseq_item.data.targets import NO_CATEGORY, UNKNOWN, read_categories, read_targets
from fairseq_item.errors import InputError
from fairseq_item.models.checkpoint import kept_by_task
from fairseq_item.tasks.product_task import AugmentedTaskConfig, ProductTask
from fairseq_item.tasks.retrieval import RetrievalConfig, SearchesWhenValidating

logger = logging.getLogger(__name__)


@dataclass
class ItemClassificationConfig(RetrievalConfig, AugmentedTaskConfig):
    """The classifier on top of the model's features."""

    classifier_dropout: float = field(
        default=0.1, metadata={"help": "dropout of the features before the classifier"}
    )


@register_task("item_classification", dataclass=ItemClassificationConfig)
class ItemClassificationTask(SearchesWhenValidating, ProductTask):
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

    def check_kept(self, state, checkpoint):
        super().check_kept(state, checkpoint)
        if kept_by_task(state).get("categories", self.categories) != self.categories:
            raise InputError(
                f"{checkpoint} predicts other leaf categories than {self.cfg.data}/label/dict.txt "
                "has; fine-tune it anew, with --finetune-from-model"
            )

    def build_model(self, cfg, from_checkpoint=False):
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
