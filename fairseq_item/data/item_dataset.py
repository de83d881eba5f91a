"""Products as a fairseq dataset: masked, mismatched and augmented from (seed, epoch, index)."""

from dataclasses import dataclass
from typing import Tuple

import numpy as np
import torch
from fairseq.data import FairseqDataset

from fairseq_item.data.augment import center_crop, random_resized_crop
from fairseq_item.data.masking import mask_patches, mask_title
from fairseq_item.data.patches import patchify
from fairseq_item.data.views import second_title, word_starts


@dataclass(frozen=True)
class Geometry:
    """How much of a product the model sees."""

    image_size: int = 224
    patch_size: int = 16
    max_title_length: int = 36

    @property
    def patches(self):
        return (self.image_size // self.patch_size) ** 2


@dataclass(frozen=True)
class Corruption:
    """What pre-training hides or exchanges; the defaults are the paper's."""

    title_mask_prob: float = 0.15
    patch_mask_prob: float = 0.15
    mismatch_prob: float = 0.5
    masked_losses_on: str = "all"


@dataclass(frozen=True)
class Augmentation:
    """Random resized crop and flip of the stored picture."""

    crop_scale: Tuple[float, float] = (0.6, 1.0)
    flip_prob: float = 0.5


@dataclass(frozen=True)
class Views:
    """The second view of a product: its title with words dropped and shuffled, a picture of it.

    Attributes:
        word_drop_prob: share of words left out.
        single_prob: share of views that have only the title or only the picture, half of each, so
            that neither embedding can lean on the other modality.
    """

    word_drop_prob: float = 0.35
    single_prob: float = 0.5


class ItemDataset(FairseqDataset):
    """Titles and pictures of one split.

    Args:
        titles: store of piece ids that end with [SEP]: ``len``, ``[i]``, ``sizes``.
        images: store of pictures: ``len``, ``picture(i)`` as uint8 (height, width, 3).
        dictionary: fairseq ``Dictionary`` with ``<mask>``.
        geometry: sizes the model expects.
        corruption: masks and mismatches, or None for plain products (embedding, classification).
        augmentation: None takes the centre of the picture.
        views: how each product is shown a second time, uncorrupted; None for no second view.
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
        views=None,
        seed=1,
        fixed=False,
        shuffle=False,
    ):
        if len(titles) != len(images):
            raise ValueError(f"{len(titles)} titles beside {len(images)} pictures")
        self.titles, self.images = titles, images
        self.geometry, self.corruption, self.augmentation = geometry, corruption, augmentation
        self.views, self.word_starts = views, word_starts(dictionary)
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

    def _title(self, index):
        """Pieces of a title without [SEP], cut to the model's length, shape (n,)."""
        pieces = self.titles[index][:-1][: self.geometry.max_title_length]
        return pieces.astype(np.int64)

    def _other_title(self, index, own, rng):
        """The title of another product that does not read the same as this one's."""
        for _ in range(8):
            other = int(rng.integers(len(self) - 1))
            title = self._title(other + (other >= index))
            if not np.array_equal(title, own):
                return title, False
        return own, True

    def _patches(self, index, rng):
        picture, size = self.images.picture(index), self.geometry.image_size
        if self.augmentation is None:
            picture = center_crop(picture, size)
        else:
            scale, flip = self.augmentation.crop_scale, self.augmentation.flip_prob
            picture = random_resized_crop(picture, size, rng, scale, flip)
        return torch.from_numpy(np.ascontiguousarray(patchify(picture, self.geometry.patch_size)))

    def __getitem__(self, index):
        index = int(index)
        rng = self._rng(index)
        sample = {"id": index, "title": self._title(index), "patches": self._patches(index, rng)}
        if self.views is not None:
            sample.update(self._second_view(index, sample["title"], rng))
        if self.corruption is not None:
            self._corrupt(sample, rng)
        return sample

    def _second_view(self, index, title, rng):
        lacks = rng.random() / max(self.views.single_prob, 1e-9)
        has_picture = not lacks < 0.5
        if has_picture and lacks < 1.0:
            title = title[:0]
        return {
            "view_title": second_title(title, self.word_starts, rng, self.views.word_drop_prob),
            "view_patches": self._patches(index, rng),
            "view_has_picture": has_picture,
        }

    def _corrupt(self, sample, rng):
        corruption, title, match = self.corruption, sample["title"], True
        if rng.random() < corruption.mismatch_prob and len(self) > 1:
            title, match = self._other_title(sample["id"], title, rng)
        masked, places = mask_title(title, rng, self.mask, *self.vocab, corruption.title_mask_prob)
        patch_places, hidden = mask_patches(self.geometry.patches, rng, corruption.patch_mask_prob)
        sample.update(
            title=masked,
            match=match,
            title_places=places,
            title_targets=title[places],
            patch_places=patch_places,
            hidden_patches=patch_places[hidden],
            # The masks stay on mismatched pairs even where their losses do not count:
            # otherwise a [MASK] would give the match away.
            counted=match or corruption.masked_losses_on == "all",
        )

    def collater(self, samples):
        """Make a batch of B products; T is the longest title with [CLS] and [SEP], m the patches.

        Returns:
            dict with ``id`` (B,), ``nsentences``, ``ntokens`` and ``net_input``: ``title`` int64
            (B, T), padded; ``patches`` uint8 (B, m, p*p*3). For pre-training ``net_input`` also
            has flat places ``masked_title`` (K,) into B*T, ``masked_patches`` (M,) and
            ``hidden_patches`` into B*m, and the batch has ``match`` (B,), ``title_targets`` (K,),
            ``title_weights`` (K,) and ``patch_weights`` (M,): one over the number of masked places
            of the product, 0 where its masked losses do not count. With second views ``net_input``
            has ``view_title``, ``view_patches`` and ``view_has_picture`` (B,). Empty if no samples.
        """
        if not samples:
            return {}
        title = self._collate_titles([s["title"] for s in samples])
        batch = {
            "id": torch.tensor([s["id"] for s in samples]),
            "nsentences": len(samples),
            "ntokens": sum(len(s["title"]) for s in samples),
            "net_input": {
                "title": title,
                "patches": torch.stack([s["patches"] for s in samples]),
            },
        }
        if "view_title" in samples[0]:
            batch["net_input"].update(
                view_title=self._collate_titles([s["view_title"] for s in samples]),
                view_patches=torch.stack([s["view_patches"] for s in samples]),
                view_has_picture=torch.tensor([s["view_has_picture"] for s in samples]),
            )
        if "match" in samples[0]:
            self._collate_targets(batch, samples, title.size(1))
        return batch

    def _collate_titles(self, titles):
        """[CLS] pieces [SEP] of each title, padded to the longest: int64 (B, T)."""
        rows = np.full((len(titles), max(map(len, titles)) + 2), self.pad, np.int64)
        for row, pieces in zip(rows, titles):
            row[0], row[1 : len(pieces) + 1], row[len(pieces) + 1] = self.cls, pieces, self.sep
        return torch.from_numpy(rows)

    def _collate_targets(self, batch, samples, width):
        def flat(key, stride, shift):
            places = [s[key] + (row * stride + shift) for row, s in enumerate(samples)]
            return torch.from_numpy(np.concatenate(places))

        def weights(key):
            lists = [np.full(len(s[key]), s["counted"] / max(1, len(s[key]))) for s in samples]
            return torch.from_numpy(np.concatenate(lists).astype(np.float32))

        patches = self.geometry.patches
        batch["net_input"].update(
            masked_title=flat("title_places", width, 1),
            masked_patches=flat("patch_places", patches, 0),
            hidden_patches=flat("hidden_patches", patches, 0),
        )
        batch.update(
            match=torch.tensor([int(s["match"]) for s in samples]),
            title_targets=torch.from_numpy(np.concatenate([s["title_targets"] for s in samples])),
            title_weights=weights("title_places"),
            patch_weights=weights("patch_places"),
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
