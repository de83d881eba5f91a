"""BERT's objective on titles alone: for ``item_roberta`` and fairseq's criterion ``masked_lm``."""

from dataclasses import dataclass, field

from fairseq.tasks import register_task

from fairseq_item.data.masked_titles import MaskedTitleDataset
from fairseq_item.tasks.product_task import ProductTask, ProductTaskConfig
from fairseq_item.tasks.retrieval import RetrievalConfig, SearchesWhenValidating


@dataclass
class TitlePretrainingConfig(RetrievalConfig, ProductTaskConfig):
    """What is hidden; the default is the paper's."""

    title_mask_prob: float = field(default=0.15, metadata={"help": "share of tokens to predict"})


@register_task("title_pretraining", dataclass=TitlePretrainingConfig)
class TitlePretrainingTask(SearchesWhenValidating, ProductTask):
    """Masked titles of one data-bin.

    Raises:
        InputError: the data-bin lacks a file.
    """

    def load_dataset(self, split, **kwargs):
        """Load a split: shuffled and masked anew each epoch if its name begins with "train"."""
        self.datasets[split] = MaskedTitleDataset(
            self.titles(split),
            self.dictionary,
            self.geometry(),
            self.cfg.title_mask_prob,
            **self.sampling(split),
        )
