"""BERT's bidirectional encoder: post-norm layers over torch's fused attention."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from fairseq_item.modules.attention import Layout, attend
from fairseq_item.modules.dropout import Dropout, quick

# Leaving padding out costs two copies a layer: below this share of it they are not worth it.
WORTH_PACKING = 0.04


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
        self.dropout = Dropout(dropout)

    def forward(self, x, layout, wanted=None):
        """One layer.

        Args:
            x: (N, dim), a row for each place.
            layout: :class:`fairseq_item.modules.attention.Layout` of the rows.
            wanted: int64 (K,), the only rows whose state is asked for, or None for all.

        Returns:
            (N, dim), or (K, dim).
        """
        dropout = self.attention_dropout if self.training else 0.0
        mixed = attend(self.qkv(x), layout, self.heads, dropout)
        if wanted is not None:
            mixed, x = mixed.index_select(0, wanted), x.index_select(0, wanted)
        x = self.attention_norm(self.dropout.add(x, self.out(mixed)))
        return self.ffn_norm(self.dropout.add(x, self.fc2(F.gelu(self.fc1(x)))))


class Encoder(nn.Module):
    """A stack of :class:`EncoderLayer`.

    Args:
        layers, dim, heads, ffn_dim, dropout, attention_dropout: sizes and probabilities.
        recompute: keep only what goes into each layer in training, and compute the rest again in
            the backward pass (activation checkpointing).
        compiled: put each layer through ``torch.compile`` at its first use.
    """

    def __init__(
        self,
        layers,
        dim,
        heads,
        ffn_dim,
        dropout=0.1,
        attention_dropout=0.1,
        recompute=False,
        compiled=False,
    ):
        super().__init__()
        self.recompute, self.compiled = recompute, compiled
        self.layers = nn.ModuleList(
            EncoderLayer(dim, heads, ffn_dim, dropout, attention_dropout) for _ in range(layers)
        )
        if compiled:
            for layer in self.layers:  # in place: the names of the parameters stay
                layer.compile(dynamic=True)

    def _layer(self, layer, *args):
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(layer, *args, use_reentrant=False)
        return layer(*args)

    def _start(self, x, present):
        """Rows of (B, L, dim), their layout, and which row a place has, None if each has its own.

        On a CPU, where asking how much padding there is costs nothing, it gets no row.
        """
        layout, rows = Layout(*x.shape[:2], present), x.flatten(0, 1)
        if present is None or self.compiled or not quick(x):
            return rows, layout, None
        present = present.flatten()
        places = present.nonzero().flatten()
        if len(places) == len(present):
            return rows, Layout(*x.shape[:2]), None
        if len(places) > (1 - WORTH_PACKING) * len(present):
            return rows, layout, None
        packed = Layout(layout.batch, layout.length, layout.present, places)
        return rows.index_select(0, places), packed, present.cumsum(0) - 1

    def states(self, x, present=None):
        """Yield the output of each layer in turn; arguments as in :meth:`forward`."""
        shape, (x, layout, _) = x.shape, self._start(x, present)
        for layer in self.layers:
            x = self._layer(layer, x, layout)
            yield layout.spread(x).view(shape)

    def forward(self, x, present=None):
        """Encode.

        Args:
            x: (B, L, dim).
            present: bool (B, L), false where a place is padding, or None if there is none.

        Returns:
            (B, L, dim); what padding holds is undefined.
        """
        for state in self.states(x, present):
            x = state
        return x

    def at(self, x, present, wanted):
        """What :meth:`forward` returns at some places, for less: the last layer works there only.

        Args:
            x, present: as of :meth:`forward`.
            wanted: int64 (K,), flat places in B * L, none of them padding.

        Returns:
            (K, dim).
        """
        x, layout, row = self._start(x, present)
        if row is not None:
            wanted = row[wanted]
        for layer in self.layers[:-1]:
            x = self._layer(layer, x, layout)
        return self._layer(self.layers[-1], x, layout, wanted)

    def first(self, x, present=None):
        """The state of each sequence's first place, [CLS]: (B, dim)."""
        places = torch.arange(0, x.size(0) * x.size(1), x.size(1), device=x.device)
        return self.at(x, present, places)
