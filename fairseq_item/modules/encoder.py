"""BERT's bidirectional encoder: post-norm layers."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from fairseq_item.modules import cpu_kernels
from fairseq_item.modules.attention import Layout


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward block, each followed by residual and LayerNorm."""

    def __init__(self, dim, heads, ffn_dim, dropout=0.1, attention_dropout=0.1):
        super().__init__()
        if dim % heads:
            raise ValueError(f"width {dim} is not a multiple of {heads} heads")
        self.heads = heads
        self.dropout, self.attention_dropout = dropout, attention_dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.attention_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, ffn_dim)
        self.fc2 = nn.Linear(ffn_dim, dim)
        self.ffn_norm = nn.LayerNorm(dim)

    def forward(self, x, layout, wanted=None):
        """One layer.

        Args:
            x: (N, dim), a row for each position.
            layout: :class:`fairseq_item.modules.attention.Layout` of the rows.
            wanted: int64 (K,), the only rows whose state is asked for, or None for all.

        Returns:
            (N, dim), or (K, dim).
        """
        dropout = self.dropout if self.training else 0.0
        attention_dropout = self.attention_dropout if self.training else 0.0
        mixed = layout.attend(self.qkv(x), self.heads, attention_dropout)
        if wanted is not None:
            mixed, x = mixed.index_select(0, wanted), x.index_select(0, wanted)
        x = self.attention_norm(layout.add(x, self.out(mixed), dropout))
        return self.ffn_norm(layout.add(x, self.fc2(F.gelu(self.fc1(x))), dropout))


class Encoder(nn.Module):
    """A stack of :class:`EncoderLayer`.

    Args:
        layers, dim, heads, ffn_dim, dropout, attention_dropout: sizes and probabilities.
        recompute: keep only what goes into each layer in training, and compute the rest again in
            the backward pass (activation checkpointing).
        compiled: put each layer through ``torch.compile`` at its first use.
        cpu_kernels: use ``modules/cpu_kernels.py`` where it can be.
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
        cpu_kernels=True,
    ):
        super().__init__()
        self.recompute, self.compiled, self.cpu_kernels = recompute, compiled, cpu_kernels
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
        """The :class:`Layout` of (B, L, dim) and its rows."""
        fast = self.cpu_kernels and not self.compiled and cpu_kernels.usable(x)
        layout = (cpu_kernels.CpuLayout if fast else Layout)(*x.shape[:2], present)
        return layout, layout.to_rows(x)

    def states(self, x, present=None):
        """Yield the output of each layer in turn.

        Args:
            x: (B, L, dim).
            present: bool (B, L), false where a position is padding, or None if there is none.

        Yields:
            (B, L, dim); what padding holds is undefined.
        """
        layout, x = self._start(x, present)
        for layer in self.layers:
            x = self._layer(layer, x, layout)
            yield layout.to_sequences(x)

    def last(self, x, present=None):
        """The output of the last layer alone; arguments and shape as of :meth:`states`."""
        layout, x = self._start(x, present)
        for layer in self.layers:
            x = self._layer(layer, x, layout)
        return layout.to_sequences(x)

    def last_and_mean(self, x, present=None):
        """The output of the last layer, and the mean of the input and all outputs in float32.

        Arguments and shapes as of :meth:`states`.
        """
        total = x.float()
        for state in self.states(x, present):
            total = total + state.float()
        return state, total / (1 + len(self.layers))

    def at(self, x, present, wanted):
        """What :meth:`last` returns at some positions, for less: the last layer works there only.

        Args:
            x, present: as of :meth:`states`.
            wanted: int64 (K,), flat positions in B * L, none of them padding.

        Returns:
            (K, dim).
        """
        layout, x = self._start(x, present)
        for layer in self.layers[:-1]:
            x = self._layer(layer, x, layout)
        return self._layer(self.layers[-1], x, layout, layout.row_of(wanted))

    def first(self, x, present=None):
        """The output of the last layer at each sequence's first position, [CLS]: (B, dim)."""
        firsts = torch.arange(0, x.size(0) * x.size(1), x.size(1), device=x.device)
        return self.at(x, present, firsts)
