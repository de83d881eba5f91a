"""What makes training on a CPU faster; optional: ``--no-cpu-kernels`` does without this file.

- Padding has no rows: :class:`CpuLayout`.
- torch's attention for CPUs knows no dropout, and in bfloat16 takes many times as long as plain
  products on sequences of 40 positions: :class:`_Attention` is made of batched products.
- torch draws a float for each value that dropout may drop; 16 random bits decide as well:
  :func:`draw_kept`.
"""

import torch

from fairseq_item.modules.attention import Layout

# Leaving padding out costs two copies a layer: below this share of it they are not worth it.
WORTH_PACKING = 0.04
STEPS = 1 << 16


def usable(x):
    """Whether ``x`` is on the CPU and computed by torch's own kernels, not by compiled ones."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


class CpuLayout(Layout):
    """A :class:`Layout` on a CPU, where asking how much padding there is costs nothing.

    Where there is enough of it, only the other positions have rows: N is their number.
    """

    def __init__(self, batch, length, present=None):
        positions = None if present is None else present.flatten().nonzero().flatten()
        if positions is not None and len(positions) == batch * length:
            present = positions = None
        super().__init__(batch, length, present)
        self.positions = None
        if positions is not None and len(positions) <= (1 - WORTH_PACKING) * batch * length:
            self.positions, self._rows = positions, present.flatten().cumsum(0) - 1

    def to_rows(self, x):
        rows = super().to_rows(x)
        return rows if self.positions is None else rows.index_select(0, self.positions)

    def to_sequences(self, rows):
        if self.positions is None:
            return super().to_sequences(rows)
        spread = rows.new_zeros(self.batch * self.length, rows.size(1))
        return super().to_sequences(spread.index_copy_(0, self.positions, rows))

    def row_of(self, positions):
        return positions if self.positions is None else self._rows[positions]

    def attend(self, qkv, heads, dropout=0.0):
        if dropout == 0 and qkv.dtype == torch.float32 and self.positions is None:
            return super().attend(qkv, heads)
        return _Attention.apply(qkv, self, heads, dropout)

    def add(self, x, y, dropout=0.0):
        return _AddDropped.apply(x, y, dropout) if dropout > 0 else x + y


class _Attention(torch.autograd.Function):
    """Attention out of batched products; one copy each of what goes in and comes out."""

    @staticmethod
    def forward(ctx, qkv, layout, heads, dropout):
        ctx.layout, ctx.heads, ctx.scale = layout, heads, (qkv.size(1) // 3 // heads) ** -0.5
        q, k, v = split = _to_heads(qkv, layout, 3, heads)
        weights = _scores(q, k, layout, ctx.scale).softmax(-1)
        kept, ctx.keep_scale, mixing = None, 1.0, weights
        if dropout > 0:
            kept, ctx.keep_scale = draw_kept(weights.shape, dropout)
            mixing = (weights * kept).mul_(ctx.keep_scale)
        ctx.save_for_backward(split, weights, kept, mixing if dropout > 0 else None)
        return _from_heads(torch.bmm(mixing, v), layout, 1, heads)

    @staticmethod
    def backward(ctx, gradient):
        split, weights, kept, mixing = ctx.saved_tensors
        layout, (q, k, v) = ctx.layout, split
        (mixed,) = _to_heads(gradient, layout, 1, ctx.heads)
        back = torch.empty_like(split)
        torch.bmm((weights if mixing is None else mixing).transpose(1, 2), mixed, out=back[2])
        to_weights = torch.bmm(mixed, v.transpose(1, 2))
        if kept is not None:
            to_weights.mul_(kept).mul_(ctx.keep_scale)
        to_scores = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype)
        to_scores.mul_(ctx.scale)
        torch.bmm(to_scores, k, out=back[0])
        torch.bmm(to_scores.transpose(1, 2), q, out=back[1])
        return _from_heads(back, layout, 3, ctx.heads), None, None, None


def _scores(q, k, layout, scale):
    """Scaled products of queries and keys, (B * heads, L, L), -inf at keys that are padding."""
    mask = layout.mask(q.dtype)
    if mask is None:
        return torch.bmm(q, k.transpose(1, 2)).mul_(scale)
    heads = len(q) // layout.batch
    mask = mask.expand(-1, heads, -1, -1).reshape(len(q), 1, -1)
    return torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale)


def _to_heads(rows, layout, count, heads):
    """(N, count * heads * d) to (count, B * heads, L, d)."""
    split = layout.to_sequences(rows).unflatten(-1, (count, heads, -1)).permute(2, 0, 3, 1, 4)
    return split.reshape(count, layout.batch * heads, layout.length, -1)


def _from_heads(split, layout, count, heads):
    """The way back from :func:`_to_heads`."""
    split = split.view(count, layout.batch, heads, layout.length, -1)
    return layout.to_rows(split.permute(1, 3, 0, 2, 4).flatten(2))


class _AddDropped(torch.autograd.Function):
    """A residual connection with dropout, whose choices take one byte a value."""

    @staticmethod
    def forward(ctx, x, y, probability):
        kept, ctx.scale = draw_kept(y.shape, probability)
        ctx.save_for_backward(kept)
        ctx.dtype = y.dtype
        return torch.add(x, y * kept, alpha=ctx.scale)

    @staticmethod
    def backward(ctx, gradient):
        (kept,) = ctx.saved_tensors
        return gradient, (gradient.to(ctx.dtype) * kept).mul_(ctx.scale), None


def draw_kept(shape, probability):
    """Choose what dropout keeps, on the CPU, from torch's own generator.

    Args:
        shape: of what is chosen from.
        probability: of being dropped, in [0, 1]; rounded to 1/65536, and never quite 1.

    Returns:
        (kept, scale): int8 of that shape, 1 for what stays and else 0, and the factor that keeps
        the expectation, one over the probability (after rounding) of staying.
    """
    count = torch.Size(shape).numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
    dropped = min(round(probability * STEPS), STEPS - 1)
    # In place and never as bool: torch's kernels from and to bool take many times as long.
    kept = bits.view(torch.int16)[:count].view(shape).ge_(dropped - STEPS // 2)
    return kept.to(torch.int8), STEPS / (STEPS - dropped)
