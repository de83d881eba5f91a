"""Titles alone, masked for BERT's objective."""

import numpy as np
import torch

from fairseq_item.data.item_dataset import ItemDataset
from fairseq_item.data.masking import mask_title
from fairseq_item.data.settings import check_shares


class BlankImages:
    """In place of images where a model does not look at them: nothing is read or decoded."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def side(self, i):
        return 1

    def rows(self, i, top, bottom):
        return np.zeros((bottom - top, 1, 3), np.uint8)

    def prefetch(self, indices):
        pass


class MaskedTitleDataset(ItemDataset):
    """Titles in which BERT's share of tokens is hidden, drawn from (seed, epoch, index).

    Args:
        titles, dictionary, geometry, seed, fixed, shuffle: as of :class:`ItemDataset`.
        mask_prob: share of tokens to predict.
    """

    def __init__(self, titles, dictionary, geometry, mask_prob=0.15, **kwargs):
        check_shares(title_mask_prob=mask_prob)
        super().__init__(titles, BlankImages(len(titles)), dictionary, geometry, **kwargs)
        self.mask_prob = mask_prob

    def sample(self, index, buffer, row):
        title, rng = self.title(index), self._rng(index)
        masked, positions = mask_title(title, rng, self.mask, *self.vocab, self.mask_prob)
        target = np.full(len(title), self.pad, np.int64)
        target[positions] = title[positions]
        return {"id": index, "title": masked, "target": target}

    def collater(self, samples):
        """A batch for fairseq's ``masked_lm``; T is the longest title with [CLS] and [SEP].

        Returns:
            dict with ``id`` (B,), ``nsentences``, ``ntokens``, ``net_input`` with ``title``, int64
            (B, T), and ``target`` (B, T): the hidden tokens, padding elsewhere. Empty for no
            samples.
        """
        if not samples:
            return {}
        title = self.collate_titles([s["title"] for s in samples])
        target = torch.full_like(title, self.pad)
        for row, sample in zip(target, samples):
            row[1 : len(sample["target"]) + 1] = torch.from_numpy(sample["target"])
        return {
            "id": torch.tensor([s["id"] for s in samples]),
            "nsentences": len(samples),
            "ntokens": sum(len(s["title"]) for s in samples),
            "net_input": {"title": title},
            "target": target,
        }
