"""Products as a fairseq dataset: masked, mismatched and augmented from (seed, epoch, index)."""

import numpy as np
import torch
from fairseq.data import FairseqDataset

from fairseq_item.data.augment import stored_center_crop, stored_random_crop
from fairseq_item.data.collate import (
    ImageRoom,
    Samples,
    collate_titles,
    flat_places,
    place_weights,
    stack_images,
)
from fairseq_item.data.masking import mask_patches, mask_title
from fairseq_item.data.patches import patchify
from fairseq_item.data.second_view import (
    change_light,
    second_title,
    split_tokens,
    token_halves,
    word_starts,
)
from fairseq_item.data.settings import Augmentation, Corruption, Geometry, Views

__all__ = ["Augmentation", "Corruption", "Geometry", "ItemDataset", "Views"]


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
            raise ValueError(f"{len(titles)} titles beside {len(images)} images")
        self.titles, self.images = titles, images
        self.geometry, self.corruption, self.augmentation = geometry, corruption, augmentation
        self.views, self.word_starts = views, word_starts(dictionary)
        self.halves = token_halves(dictionary) if views is not None and views.split_prob else {}
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
        """Tokens of a title without [SEP], cut to the model's length, shape (n,)."""
        tokens = self.titles[index][:-1][: self.geometry.max_title_length]
        return tokens.astype(np.int64)

    def _other_title(self, index, own, rng):
        """The title of another product that does not read the same as this one's."""
        for _ in range(8):
            other = int(rng.integers(len(self) - 1))
            title = self._title(other + (other >= index))
            if not np.array_equal(title, own):
                return title, False
        return own, True

    def _patches(self, index, rng, out):
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
        return self.sample(int(index), self._room(1), 0)

    def __getitems__(self, indices):
        """The samples of a batch, a list; torch's loader asks for them so, all at once."""
        if self.shuffle:  # what is read in order the system fetches ahead by itself, and cheaper
            self.images.prefetch(np.asarray(indices, np.int64))
        room = self._room(len(indices))
        samples = [self.sample(int(index), room, row) for row, index in enumerate(indices)]
        return Samples(samples, room)

    def _room(self, count):
        return ImageRoom(count, (self.geometry.patches, 3 * self.geometry.patch_size**2))

    def sample(self, index, room, row):
        """A product, its images written to place ``row`` of ``room``."""
        rng = self._rng(index)
        patches = self._patches(index, rng, room.place("patches", row))
        sample = {"id": index, "title": self._title(index), "patches": patches}
        if self.views is not None:
            out = room.place("view_patches", row)
            sample.update(self._second_view(index, sample["title"], rng, out))
        if self.corruption is not None:
            self._corrupt(sample, rng)
        return sample

    def _second_view(self, index, title, rng, out):
        views = self.views
        lacks = rng.random() / max(views.single_prob, 1e-9)
        has_image = not lacks < 0.5
        if has_image and lacks < 1.0:
            title = title[:0]
        title = second_title(title, self.word_starts, rng, views.word_drop_prob)
        if views.split_prob:
            title = split_tokens(title, self.halves, rng, views.split_prob)
        patches = self._patches(index, rng, out)
        if views.light:
            change_light(patches.numpy(), rng, views.light)
        return {
            "view_title": title[: self.geometry.max_title_length],
            "view_patches": patches,
            "view_has_image": has_image,
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
            has ``view_title``, ``view_patches`` and ``view_has_image`` (B,). Empty if no samples.
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
                "patches": stack_images(samples, "patches"),
            },
        }
        if "view_title" in samples[0]:
            batch["net_input"].update(
                view_title=self._collate_titles([s["view_title"] for s in samples]),
                view_patches=stack_images(samples, "view_patches"),
                view_has_image=torch.tensor([s["view_has_image"] for s in samples]),
            )
        if "match" in samples[0]:
            self._collate_targets(batch, samples, title.size(1))
        return batch

    def _collate_titles(self, titles):
        return collate_titles(titles, self.cls, self.sep, self.pad)

    def _collate_targets(self, batch, samples, width):
        def column(key):
            return [sample[key] for sample in samples]

        patches, counted = self.geometry.patches, column("counted")
        batch["net_input"].update(
            masked_title=flat_places(column("title_places"), width, 1),
            masked_patches=flat_places(column("patch_places"), patches, 0),
            hidden_patches=flat_places(column("hidden_patches"), patches, 0),
        )
        batch.update(
            match=torch.tensor([int(match) for match in column("match")]),
            title_targets=torch.from_numpy(np.concatenate(column("title_targets"))),
            title_weights=place_weights(column("title_places"), counted),
            patch_weights=place_weights(column("patch_places"), counted),
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
