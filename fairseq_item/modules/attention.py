"""Self-attention over the sequences of a batch, whose positions lie below one another as rows."""

import torch
import torch.nn.functional as F


class Layout:
    """Rows (N, dim) as B sequences of L positions: row ``b * L + l`` is position l of sequence b.

    It also computes what is faster otherwise on a CPU: see ``modules/cpu_kernels.py``.

    Args:
        batch: B.
        length: L.
        present: bool (B, L), false where a position is padding, or None if there is none.
    """

    def __init__(self, batch, length, present=None):
        self.batch, self.length, self.present = batch, length, present
        self._masks = {}

    def mask(self, dtype):
        """What is added to the scores: (B, 1, 1, L), 0 or -inf where there is padding, or None.

        Made once for all layers; a bool mask would be turned into this one in each of them.
        """
        if self.present is None:
            return None
        if dtype not in self._masks:
            absent = ~self.present[:, None, None, :]
            mask = torch.zeros(absent.shape, dtype=dtype, device=absent.device)
            self._masks[dtype] = mask.masked_fill_(absent, float("-inf"))
        return self._masks[dtype]

    def to_rows(self, x):
        """(B, L, c) to (N, c)."""
        return x.flatten(0, 1)

    def to_sequences(self, rows):
        """(N, c) to (B, L, c); what padding holds is undefined."""
        return rows.view(self.batch, self.length, -1)

    def row_of(self, positions):
        """The rows of flat positions in B * L, none of which is padding; int64 (K,) both."""
        return positions

    def attend(self, qkv, heads, dropout=0.0):
        """Multi-head self-attention between the positions of each sequence, by torch's kernels.

        Args:
            qkv: (N, 3 * dim), queries, keys and values side by side.
            heads: number of heads.
            dropout: probability, of the attention weights.

        Returns:
            (N, dim), the heads side by side.
        """
        q, k, v = self.to_sequences(qkv).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        mask = self.mask(qkv.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.to_rows(mixed.transpose(1, 2).flatten(2))

    def add(self, x, y, dropout=0.0):
        """A residual connection: ``x`` plus ``y``, of which dropout drops values; (K, dim) all."""
        return x + F.dropout(y, dropout)
