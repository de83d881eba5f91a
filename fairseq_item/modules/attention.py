"""Self-attention over the sequences of a batch, whose places lie below one another as rows.

On a GPU, and in float32 without dropout, it is torch's fused kernel. torch 2.15's kernel for CPUs
knows no dropout, and in bfloat16 takes six times as long as plain products on sequences of 40
places; for these cases there is a kernel of our own, made of batched products.
"""

import torch
import torch.nn.functional as F

from fairseq_item.modules.dropout import draw_kept, quick

# Values that are held as float32 at a time: 4 MB.
WIDE = 1 << 20


class Layout:
    """How rows (N, dim) make up B sequences of L places.

    Without ``places`` row ``b * L + l`` is place ``l`` of sequence ``b``, and N = B * L. With them
    only these places have rows, and what is missing is padding.

    Args:
        batch: B.
        length: L.
        present: bool (B, L), false where a place is padding, or None if there is none.
        places: int64 (N,), the flat places in B * L that have rows, or None.
    """

    def __init__(self, batch, length, present=None, places=None):
        self.batch, self.length, self.present, self.places = batch, length, present, places
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

    def spread(self, rows):
        """Rows (N, c) at their places: (B * L, c), zeros where there is padding."""
        if self.places is None:
            return rows
        spread = rows.new_zeros(self.batch * self.length, rows.size(1))
        return spread.index_copy_(0, self.places, rows)

    def collect(self, spread):
        """The rows (N, c) of (B * L, c)."""
        return spread if self.places is None else spread.index_select(0, self.places)


def attend(qkv, layout, heads, dropout=0.0):
    """Multi-head self-attention between the places of each sequence.

    Args:
        qkv: (N, 3 * dim), queries, keys and values side by side.
        layout: :class:`Layout` of the rows.
        heads: number of heads.
        dropout: probability, of the attention weights.

    Returns:
        (N, dim), the heads side by side.
    """
    if quick(qkv) and (dropout > 0 or qkv.dtype != torch.float32 or layout.places is not None):
        return _Attention.apply(qkv, layout, heads, dropout)
    batch, length = layout.batch, layout.length
    q, k, v = qkv.view(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
    mask = layout.mask(qkv.dtype)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
    return mixed.transpose(1, 2).reshape(batch * length, -1)


class _Attention(torch.autograd.Function):
    """Attention out of batched products; one copy each of what goes in and comes out."""

    @staticmethod
    def forward(ctx, qkv, layout, heads, dropout):
        ctx.layout, ctx.heads, ctx.scale = layout, heads, (qkv.size(1) // 3 // heads) ** -0.5
        q, k, v = split = _to_heads(layout.spread(qkv), layout, 3, heads)
        scores = _scores(q, k, layout, ctx.scale)
        weights = _softmax_(scores) if scores.dtype == torch.bfloat16 else scores.softmax(-1)
        kept, ctx.keep_scale, mixing = None, 1.0, weights
        if dropout > 0:
            kept, ctx.keep_scale = draw_kept(weights.shape, dropout)
            mixing = (weights * kept).mul_(ctx.keep_scale)
        ctx.save_for_backward(split, weights, kept, mixing if dropout > 0 else None)
        mixed = torch.bmm(mixing, v)
        return layout.collect(_from_heads(mixed, layout, 1, heads))

    @staticmethod
    def backward(ctx, gradient):
        split, weights, kept, mixing = ctx.saved_tensors
        layout, (q, k, v) = ctx.layout, split
        (mixed,) = _to_heads(layout.spread(gradient), layout, 1, ctx.heads)
        back = torch.empty_like(split)
        torch.bmm((weights if mixing is None else mixing).transpose(1, 2), mixed, out=back[2])
        to_weights = torch.bmm(mixed, v.transpose(1, 2))
        if kept is not None:
            to_weights.mul_(kept).mul_(ctx.keep_scale)
        to_scores = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype)
        to_scores.mul_(ctx.scale)
        torch.bmm(to_scores, k, out=back[0])
        torch.bmm(to_scores.transpose(1, 2), q, out=back[1])
        back = _from_heads(back, layout, 3, ctx.heads)
        return layout.collect(back), None, None, None


def _scores(q, k, layout, scale):
    """Scaled products of queries and keys, (B * heads, L, L), -inf at keys that are padding."""
    mask = layout.mask(q.dtype)
    if mask is None:
        return torch.bmm(q, k.transpose(1, 2)).mul_(scale)
    heads = len(q) // layout.batch
    mask = mask.expand(-1, heads, -1, -1).reshape(len(q), 1, -1)
    return torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale)


def _softmax_(scores):
    """Softmax of bfloat16 (B * heads, L, L) in its place, by way of float32.

    torch's own takes four times as long on odd lengths. A few sequences at a time, for the system
    has to be asked for large tokens of memory anew each time.
    """
    step = max(1, WIDE // scores[0].numel())
    wide, result = (scores.new_empty(scores[:step].shape, dtype=torch.float32) for _ in range(2))
    for some in scores.split(step):
        torch.softmax(wide[: len(some)].copy_(some), -1, out=result[: len(some)])
        some.copy_(result[: len(some)])
    return scores


def _to_heads(rows, layout, parts, heads):
    """(B * L, parts * heads * d) to (parts, B * heads, L, d)."""
    split = rows.view(layout.batch, layout.length, parts, heads, -1).permute(2, 0, 3, 1, 4)
    return split.reshape(parts, layout.batch * heads, layout.length, -1)


def _from_heads(split, layout, parts, heads):
    """The way back from :func:`_to_heads`."""
    split = split.view(parts, layout.batch, heads, layout.length, -1)
    return split.permute(1, 3, 0, 2, 4).reshape(layout.batch * layout.length, -1)
