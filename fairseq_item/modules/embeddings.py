"""The input layer: titles and patches become one sequence of vectors (paper, figure 4)."""

import torch
from torch import nn


class ItemEmbedding(nn.Module):
    """Title = token + position + modality; patch = projection + position + modality.

    Then LayerNorm and dropout over the whole sequence, as in BERT.

    Args:
        vocabulary: number of tokens, special ones included.
        padding: index of the padding token.
        dim: width of the model.
        title_positions: longest title with [CLS] and [SEP].
        patches: patches of an image.
        patch_dim: values of a patch (patch_size^2 * 3).
        dropout: probability.
    """

    def __init__(self, vocabulary, padding, dim, title_positions, patches, patch_dim, dropout=0.1):
        super().__init__()
        self.token = nn.Embedding(vocabulary, dim, padding_idx=padding)
        self.title_position = nn.Embedding(title_positions, dim)
        self.patch = nn.Linear(patch_dim, dim)
        self.mask_patch = nn.Parameter(torch.zeros(dim))
        self.patch_position = nn.Embedding(patches, dim)
        self.modality = nn.Embedding(2, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, title, patches, hidden_patches=None):
        """Embed a batch.

        Args:
            title: int64 (B, T).
            patches: uint8 (B, m, patch_dim); m is 0 where no product shows its image.
            hidden_patches: int64, flat positions into B*m that show the mask patch, or None.

        Returns:
            (B, T + m, dim).
        """
        tokens = self.token(title) + self.title_position.weight[: title.size(1)]
        pixels = patches.to(self.patch.weight.dtype).div_(127.5).sub_(1.0)
        image = self.patch(pixels)
        if hidden_patches is not None:
            flat = image.flatten(0, 1)
            mask = self.mask_patch.to(flat.dtype).expand(len(hidden_patches), -1)
            image = flat.index_copy(0, hidden_patches, mask).view_as(image)
        image = image + self.patch_position.weight[: image.size(1)]
        of_title, of_image = self.modality.weight
        sequence = torch.cat([tokens + of_title, image + of_image], dim=1)
        return self.dropout(self.norm(sequence))
