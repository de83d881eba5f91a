"""BERT's bidirectional encoder: post-norm layers over torch's fused attention."""

import torch.nn.functional as F
from torch import nn


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward block, each followed by residual and LayerNorm."""

    def __init__(self, dim, heads, ffn_dim, dropout=0.1, attention_dropout=0.1):
        super().__init__()
        if dim % heads:
            raise ValueError(f"width {dim} is not a multiple of {heads} heads")
        self.heads = heads
        self.attention_dropout = attention_dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.attention_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, ffn_dim)
        self.fc2 = nn.Linear(ffn_dim, dim)
        self.ffn_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def _attend(self, x, mask):
        batch, length, dim = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        dropout = self.attention_dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, dim))

    def forward(self, x, mask=None):
        x = self.attention_norm(x + self.dropout(self._attend(x, mask)))
        return self.ffn_norm(x + self.dropout(self.fc2(F.gelu(self.fc1(x)))))


class Encoder(nn.Module):
    """A stack of :class:`EncoderLayer`."""

    def __init__(self, layers, dim, heads, ffn_dim, dropout=0.1, attention_dropout=0.1):
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(dim, heads, ffn_dim, dropout, attention_dropout) for _ in range(layers)
        )

    def states(self, x, present=None):
        """Yield the output of each layer in turn; arguments as in :meth:`forward`."""
        mask = None if present is None else present[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
            yield x

    def forward(self, x, present=None):
        """Encode.

        Args:
            x: (B, L, dim).
            present: bool (B, L), false where a place is padding, or None if there is none.

        Returns:
            (B, L, dim).
        """
        for state in self.states(x, present):
            x = state
        return x
