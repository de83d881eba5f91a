"""Products as they are, augmented: for ``item_clip`` and the criterion ``clip``."""

from dataclasses import dataclass

from fairseq.tasks import register_task

from fairseq_item.tasks.product_task import ProductTask
from fairseq_item.tasks.retrieval import RetrievalConfig, SearchesWhenValidating
from fairseq_item.tasks.second_views import SecondViewsConfig, with_second_views


@dataclass
class ClipPretrainingConfig(RetrievalConfig, SecondViewsConfig):
    """Nothing but the data, its augmentation and second views."""


@register_task("clip_pretraining", dataclass=ClipPretrainingConfig)
class ClipPretrainingTask(SearchesWhenValidating, ProductTask):
    """Titles and images of one data-bin.

    Raises:
        InputError: the data-bin lacks a file.
    """

    def load_dataset(self, split, **kwargs):
        """Load a split: shuffled and augmented anew each epoch if its name begins with "train"."""
        self.datasets[split] = with_second_views(
            self.cfg,
            split,
            self.titles(split),
            self.images(split),
            self.dictionary,
            self.geometry(),
            augmentation=self.augmentation(split),
            **self.sampling(split),
        )
