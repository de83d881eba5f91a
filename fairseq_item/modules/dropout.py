"""Dropout whose choices cost little on a CPU.

torch draws a float for each value there, which takes longer than all else that is done to the
value. 16 random bits decide as well: four values share one draw of 64 bits.
"""

import torch
import torch.nn.functional as F
from torch import nn

STEPS = 1 << 16


def quick(x):
    """Whether ``x`` is on the CPU and computed by torch's own kernels, not by compiled ones."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def draw_kept(shape, probability):
    """Choose what stays, on the CPU, from torch's own generator.

    Args:
        shape: of what is chosen from.
        probability: of being dropped, in [0, 1); rounded to 1/65536.

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


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, probability):
        kept, ctx.scale = draw_kept(x.shape, probability)
        ctx.save_for_backward(kept)
        return (x * kept).mul_(ctx.scale)

    @staticmethod
    def backward(ctx, gradient):
        (kept,) = ctx.saved_tensors
        return (gradient * kept).mul_(ctx.scale), None


class _AddDropped(torch.autograd.Function):
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


class Dropout(nn.Dropout):
    """``nn.Dropout``, on a CPU with cheaper draws (p rounded to 1/65536)."""

    def forward(self, x):
        if self.training and self.p > 0 and quick(x):
            return _Dropout.apply(x, self.p)
        return F.dropout(x, self.p, self.training)

    def add(self, x, y):
        """``x`` plus ``y`` with dropout, of one shape: a residual connection."""
        if self.training and self.p > 0 and quick(x):
            return _AddDropped.apply(x, y, self.p)
        return x + F.dropout(y, self.p, self.training)
