"""Products as a fairseq dataset: masked, mismatched and augmented from (seed, epoch, index)."""

import numpy as np
import torch
from fairseq.data import FairseqDataset

from fairseq_item.data.augment import stored_center_crop, stored_random_crop
from fairseq_item.data.collate import (
    ImageBuffer,
    Samples,
    collate_titles,
    flat_positions,
    position_weights,
    stack_images,
)
from fairseq_item.data.masking import mask_patches, mask_title
from fairseq_item.data.patches import patchify
from fairseq_item.data.settings import Augmentation, Corruption, Geometry
from fairseq_item.errors import InputError

__all__ = ["Augmentation", "Corruption", "Geometry", "ItemDataset"]


class ItemDataset(FairseqDataset):
    """Titles and images of one split.

    Args:
        titles: store of token ids that end with [SEP]: ``len``, ``[i]``, ``sizes``.
        images: store of square images: ``len``, ``side(i)`` in pixels, ``rows(i, top, bottom)``
            as uint8 (bottom - top, side, 3); with ``shuffle`` also ``prefetch(indices)``.
        dictionary: fairseq ``Dictionary`` with ``<mask>``.
        geometry: sizes the model expects.
        corruption: masks and mismatches, or None for plain products (embedding, classification).
        augmentation: None takes the centre of the image.
        seed: with the epoch and the product's index it fixes every random choice.
        fixed: draw the same masks in every epoch (validation).
        shuffle: order products at random, anew in each epoch.
    """

    def __init__(
        self,
        titles,
        images,
        dictionary,
        geometry,
        corruption=None,
        augmentation=None,
        seed=1,
        fixed=False,
        shuffle=False,
    ):
        if len(titles) != len(images):
            raise InputError(
                f"{len(titles)} titles beside {len(images)} images; run item-binarize again"
            )
        self.titles, self.images = titles, images
        self.geometry, self.corruption, self.augmentation = geometry, corruption, augmentation
        self.seed, self.fixed, self.shuffle = seed, fixed, shuffle
        self.epoch = 0
        self.cls, self.sep, self.pad = dictionary.bos(), dictionary.eos(), dictionary.pad()
        self.mask = dictionary.index("<mask>")
        self.vocab = (dictionary.nspecial, self.mask)  # <mask> is the last symbol

    def __len__(self):
        return len(self.titles)

    @property
    def can_reuse_epoch_itr_across_epochs(self):
        # fairseq then calls set_epoch and, with rebuild_batches, makes new batches each epoch.
        return True

    def set_epoch(self, epoch):
        self.epoch = epoch

    def _rng(self, index):
        return np.random.default_rng([self.seed, 0 if self.fixed else self.epoch, index])

    def title(self, index):
        """Tokens of a title without [SEP], cut to the model's length, shape (n,)."""
        tokens = self.titles[index][:-1][: self.geometry.max_title_length]
        return tokens.astype(np.int64)

    def _other_title(self, index, own, rng):
        """The title of another product that does not read the same as this one's."""
        for _ in range(8):
            other = int(rng.integers(len(self) - 1))
            title = self.title(other + (other >= index))
            if not np.array_equal(title, own):
                return title, False
        return own, True

    def patches(self, index, rng, out):
        """Write the image of a product to ``out``, uint8 (m, p*p*3), and return it."""
        size, augmentation = self.geometry.image_size, self.augmentation
        if augmentation is None:
            image = stored_center_crop(self.images, index, size)
        else:
            scale, flip = augmentation.crop_scale, augmentation.flip_prob
            image = stored_random_crop(self.images, index, size, rng, scale, flip)
        patchify(image, self.geometry.patch_size, out.numpy())
        return out

    def __getitem__(self, index):
        return self.sample(int(index), self._buffer(1), 0)

    def __getitems__(self, indices):
        """The samples of a batch, a list; torch's loader asks for them so, all at once."""
        if self.shuffle:  # what is read in order the system fetches ahead by itself, and cheaper
            self.images.prefetch(np.asarray(indices, np.int64))
        buffer = self._buffer(len(indices))
        samples = [self.sample(int(index), buffer, row) for row, index in enumerate(indices)]
        return Samples(samples, buffer)

    def _buffer(self, count):
        return ImageBuffer(count, (self.geometry.patches, self.geometry.patch_dim))

    def sample(self, index, buffer, row):
        """A product, its images written to row ``row`` of ``buffer``."""
        rng = self._rng(index)
        sample = self.show(index, rng, buffer, row)
        if self.corruption is not None:
            self._corrupt(sample, rng)
        return sample

    def show(self, index, rng, buffer, row):
        """A product as it is: a dict with its index ``id``, its ``title`` and its ``patches``."""
        patches = self.patches(index, rng, buffer.row("patches", row))
        return {"id": index, "title": self.title(index), "patches": patches}

    def _corrupt(self, sample, rng):
        corruption, title, match = self.corruption, sample["title"], True
        if rng.random() < corruption.mismatch_prob and len(self) > 1:
            title, match = self._other_title(sample["id"], title, rng)
        masked, positions = mask_title(
            title, rng, self.mask, *self.vocab, corruption.title_mask_prob
        )
        patch_positions, hidden = mask_patches(
            self.geometry.patches, rng, corruption.patch_mask_prob
        )
        sample.update(
            title=masked,
            match=match,
            title_positions=positions,
            title_targets=title[positions],
            patch_positions=patch_positions,
            hidden_patches=patch_positions[hidden],
            # The masks stay on mismatched pairs even where their losses do not count:
            # otherwise a [MASK] would give the match away.
            counted=match or corruption.masked_losses_on == "all",
        )

    def collater(self, samples):
        """Make a batch of B products; T is the longest title with [CLS] and [SEP], m the patches.

        Returns:
            dict with ``id`` (B,), ``nsentences``, ``ntokens`` and ``net_input``: ``title`` int64
            (B, T), padded; ``patches`` uint8 (B, m, p*p*3). For pre-training ``net_input`` also
            has flat positions ``masked_title`` (K,) into B*T, ``masked_patches`` (M,) and
            ``hidden_patches`` into B*m, and the batch has ``match`` (B,), ``title_targets`` (K,),
            ``title_weights`` (K,) and ``patch_weights`` (M,): one over the number of masked
            positions of the product, 0 where its masked losses do not count. Empty if no samples.
        """
        if not samples:
            return {}
        title = self.collate_titles([s["title"] for s in samples])
        batch = {
            "id": torch.tensor([s["id"] for s in samples]),
            "nsentences": len(samples),
            "ntokens": sum(len(s["title"]) for s in samples),
            "net_input": {"title": title, "patches": stack_images(samples, "patches")},
        }
        if "match" in samples[0]:
            self._collate_targets(batch, samples, title.size(1))
        return batch

    def collate_titles(self, titles):
        return collate_titles(titles, self.cls, self.sep, self.pad)

    def _collate_targets(self, batch, samples, width):
        def column(key):
            return [sample[key] for sample in samples]

        patches, counted = self.geometry.patches, column("counted")
        batch["net_input"].update(
            masked_title=flat_positions(column("title_positions"), width, 1),
            masked_patches=flat_positions(column("patch_positions"), patches, 0),
            hidden_patches=flat_positions(column("hidden_patches"), patches, 0),
        )
        batch.update(
            match=torch.tensor([int(match) for match in column("match")]),
            title_targets=torch.from_numpy(np.concatenate(column("title_targets"))),
            title_weights=position_weights(column("title_positions"), counted),
            patch_weights=position_weights(column("patch_positions"), counted),
        )

    def num_tokens(self, index):
        return min(int(self.titles.sizes[index]) + 1, self.geometry.max_title_length + 2)

    def num_tokens_vec(self, indices):
        sizes = np.asarray(self.titles.sizes)[indices] + 1
        return np.minimum(sizes, self.geometry.max_title_length + 2).astype(np.int64)

    def size(self, index):
        return self.num_tokens(index)

    def ordered_indices(self):
        if not self.shuffle:
            return np.arange(len(self))
        return np.random.default_rng([self.seed, self.epoch]).permutation(len(self))
