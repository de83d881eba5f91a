"""A second view of each product, as another seller might have listed it: beyond the paper."""

import numpy as np
import torch

from fairseq_item.data.collate import stack_images
from fairseq_item.data.item_dataset import ItemDataset


class SecondViewDataset(ItemDataset):
    """An :class:`ItemDataset` whose batches also hold a second view of each product, uncorrupted.

    The second view is drawn after the first is cropped and before it is masked, from the same
    generator.

    Args:
        views: :class:`fairseq_item.data.settings.Views`.
        siblings: :class:`fairseq_item.data.siblings.Siblings` of the rows, for ``views.photos``.
    """

    def __init__(self, titles, images, dictionary, *args, views, siblings=None, **kwargs):
        super().__init__(titles, images, dictionary, *args, **kwargs)
        self.views, self.word_starts, self.siblings = views, word_starts(dictionary), siblings
        self.splits = token_splits(dictionary) if views.split else {}

    def show(self, index, rng, buffer, row):
        sample = super().show(index, rng, buffer, row)
        lacks = rng.random() / max(self.views.single, 1e-9)
        has_image, has_title = not lacks < 0.5, not 0.5 <= lacks < 1.0
        shown = index
        if self.siblings is not None:
            sample["product"] = self.siblings.product[index]
            if rng.random() < self.views.photos:
                shown = self.siblings.other(index, rng)
        title = self.title(shown)
        title = self.second_title(title if has_title else title[:0], rng)
        patches = self.patches(shown, rng, buffer.row("view_patches", row))
        if self.views.light:
            change_light(patches.numpy(), rng, self.views.light)
        sample.update(view_title=title, view_patches=patches, view_has_image=has_image)
        return sample

    def second_title(self, title, rng):
        """The title as another seller might write it, cut to the model's length."""
        title = second_title(title, self.word_starts, rng, self.views.word_drop)
        if self.views.split:
            title = split_tokens(title, self.splits, rng, self.views.split)
        return title[: self.geometry.max_title_length]

    def collater(self, samples):
        """As ``ItemDataset.collater``, and ``view``: a dict with ``title`` int64 (B, T'),
        ``patches`` uint8 (B, m, p*p*3) and ``has_image`` bool (B,) of the second views; with
        siblings also ``product`` int64 (B,), equal for rows of one product."""
        batch = super().collater(samples)
        if batch:
            batch["view"] = {
                "title": self.collate_titles([s["view_title"] for s in samples]),
                "patches": stack_images(samples, "view_patches"),
                "has_image": torch.tensor([s["view_has_image"] for s in samples]),
            }
            if self.siblings is not None:
                batch["product"] = torch.tensor([s["product"] for s in samples])
        return batch


def second_title(tokens, starts, rng, drop_prob=0.35):
    """Drop words and shuffle the rest; at least one word stays.

    Args:
        tokens: int array of shape (n,), a title without [CLS] and [SEP].
        starts: bool array over the vocabulary, true for tokens that begin a word.
        rng: ``numpy.random.Generator``.
        drop_prob: probability that a word is left out.

    Returns:
        int array of shape (k,), k <= n: whole words of the title in a new order.
    """
    if len(tokens) == 0:
        return tokens
    begins = starts[tokens].copy()
    begins[0] = True
    words = np.split(tokens, np.flatnonzero(begins)[1:])
    order = rng.permutation(len(words))
    kept = order[rng.random(len(words)) >= drop_prob]
    if len(kept) == 0:
        kept = order[:1]
    return np.concatenate([words[i] for i in kept])


def word_starts(dictionary):
    """Which symbols of a fairseq ``Dictionary`` of SentencePiece tokens begin a word."""
    return np.array([symbol.startswith("\u2581") for symbol in dictionary.symbols])


def token_splits(dictionary):
    """How each symbol of a fairseq ``Dictionary`` can be written as two others.

    Returns:
        dict: symbol number -> int64 array (n, 2), for those symbols with n >= 1 ways.
    """
    symbols = dictionary.symbols
    known = {symbol: i for i, symbol in enumerate(symbols) if i >= dictionary.nspecial}
    splits = {}
    for symbol, number in known.items():
        ways = [(symbol[:i], symbol[i:]) for i in range(1, len(symbol))]
        pairs = [(known[a], known[b]) for a, b in ways if a in known and b in known]
        if pairs:
            splits[number] = np.array(pairs, np.int64)
    return splits


def split_tokens(tokens, splits, rng, prob):
    """Break tokens in two, so that a word is met in other spellings of it (compare BPE-dropout,
    Provilkov et al. 2020, which needs the text; this needs the tokens alone).

    Args:
        tokens: int array of shape (n,).
        splits: what :func:`token_splits` returns.
        rng: ``numpy.random.Generator``.
        prob: probability that a token is broken, where it can be.

    Returns:
        int array of shape (k,), k >= n.
    """
    broken = rng.random(len(tokens)) < prob
    written = []
    for token, torn in zip(tokens.tolist(), broken):
        ways = splits.get(token) if torn else None
        written += [token] if ways is None else ways[rng.integers(len(ways))].tolist()
    return np.array(written, tokens.dtype)


def change_light(patches, rng, strength):
    """Change an image's contrast and brightness, and its colours a little, in place.

    Args:
        patches: uint8 array of shape (..., p*p*3), colours last.
        rng: ``numpy.random.Generator``.
        strength: greatest change, as a share: 0.4 multiplies by 0.6 to 1.4. Colours change against
            one another by a quarter of it: products often differ in nothing else.
    """
    contrast, brightness = rng.uniform(1 - strength, 1 + strength, 2)
    colours = rng.uniform(1 - strength / 4, 1 + strength / 4, 3)
    pixels = patches.reshape(-1, 3).astype(np.float32)
    middle = pixels.mean()
    pixels = (pixels - middle) * np.float32(contrast) + middle
    changed = pixels * (brightness * colours).astype(np.float32)
    patches[...] = changed.clip(0, 255).reshape(patches.shape)
