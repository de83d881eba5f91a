"""One encoder a modality, as in CLIP: a tower for titles and one for images."""

import torch
from torch import nn


class TitleTower(nn.Module):
    """Token and position embeddings, LayerNorm, dropout, then an encoder: BERT.

    Args:
        vocabulary: number of tokens, special ones included.
        padding: index of the padding token.
        dim: width.
        positions: longest title with [CLS] and [SEP].
        encoder: :class:`fairseq_item.modules.encoder.Encoder` of that width.
        dropout: probability.
    """

    def __init__(self, vocabulary, padding, dim, positions, encoder, dropout=0.1):
        super().__init__()
        self.token = nn.Embedding(vocabulary, dim, padding_idx=padding)
        self.position = nn.Embedding(positions, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.encoder = encoder

    def forward(self, title):
        """``title``: int64 (B, T), [CLS] first, padded; returns h([CLS]), (B, dim)."""
        return self.encoder.first(*self.sequence(title))

    def sequence(self, title):
        """What goes into the encoder (B, T, dim), and which positions are no padding."""
        tokens = self.token(title) + self.position.weight[: title.size(1)]
        return self.dropout(self.norm(tokens)), title != self.token.padding_idx


class ImageTower(nn.Module):
    """A learned [CLS] before the projected patches, positions, LayerNorm, dropout, an encoder.

    Args:
        patches: patches of an image.
        patch_dim: values of a patch (patch_size^2 * 3).
        dim, encoder, dropout: as of :class:`TitleTower`.
    """

    def __init__(self, patches, patch_dim, dim, encoder, dropout=0.1):
        super().__init__()
        self.patch = nn.Linear(patch_dim, dim)
        self.cls = nn.Parameter(torch.zeros(dim))
        self.position = nn.Embedding(1 + patches, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.encoder = encoder

    def forward(self, patches):
        """``patches``: uint8 (B, m, patch_dim); returns h([CLS]), (B, dim)."""
        return self.encoder.first(self.sequence(patches))

    def sequence(self, patches):
        """What goes into the encoder: (B, 1 + m, dim), [CLS] first."""
        pixels = self.patch(patches.to(self.patch.weight.dtype) / 127.5 - 1.0)
        cls = self.cls.to(pixels.dtype).expand(len(pixels), 1, -1)
        sequence = torch.cat([cls, pixels], dim=1) + self.position.weight
        return self.dropout(self.norm(sequence))
