"""Products with the leaf category to predict."""

import torch

from fairseq_item.data.item_dataset import ItemDataset
from fairseq_item.errors import InputError


class LabelledDataset(ItemDataset):
    """An :class:`ItemDataset` whose batches also hold the classes.

    Args:
        targets: int64 (n,), the class of each product, below 0 where there is none to learn.
    """

    def __init__(self, *args, targets, **kwargs):
        super().__init__(*args, **kwargs)
        if len(targets) != len(self):
            raise InputError(
                f"{len(targets)} labels beside {len(self)} titles; run item-binarize again"
            )
        self.targets = targets

    def sample(self, index, buffer, row):
        return {**super().sample(index, buffer, row), "target": int(self.targets[index])}

    def collater(self, samples):
        """As ``ItemDataset.collater``, and ``target`` int64 (B,) and ``labelled``, an int: how
        many products have a class."""
        batch = super().collater(samples)
        if batch:
            batch["target"] = torch.tensor([s["target"] for s in samples])
            batch["labelled"] = sum(s["target"] >= 0 for s in samples)
        return batch
