"""Contrast over the batch of all processes: every other product of the update is a negative."""

import math

import torch
import torch.distributed as dist
import torch.nn.functional as F

# The least temperature is 0.01 (as in CLIP, Radford et al. 2021).
MAX_LOGIT_SCALE = math.log(100.0)


class _GatherRows(torch.autograd.Function):
    """Rows of all processes, one process after another; the gradient finds its way back."""

    @staticmethod
    def forward(ctx, rows, counts, rank):
        ctx.own = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
        padded = rows.new_zeros(max(counts), rows.size(1))
        padded[: len(rows)] = rows
        gathered = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(gathered, padded)
        return torch.cat([block[:count] for block, count in zip(gathered, counts)])

    @staticmethod
    def backward(ctx, gradient):
        # Every process' loss depends on these rows: what it says of them is summed.
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[ctx.own], None, None


def gather_rows(*tensors):
    """Rows of all processes, of which each may have another number.

    Args:
        tensors: (B, d) each, d may differ.

    Returns:
        (the same tensors with the rows of all processes, slice of this process' own rows).
    """
    own = slice(0, len(tensors[0]))
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return tensors, own
    rows = torch.cat(tensors, dim=1)
    count = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(count) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, count)
    counts, rank = torch.cat(counts).tolist(), dist.get_rank()
    first = sum(counts[:rank])
    rows = _GatherRows.apply(rows, counts, rank)
    return rows.split([tensor.size(1) for tensor in tensors], dim=1), slice(
        first, first + counts[rank]
    )


def scale_of(logit_scale):
    """One over the temperature, whose logarithm is a parameter or a buffer.

    The parameter itself is clipped and not what is computed from it: that lets it come back.
    """
    with torch.no_grad():
        logit_scale.clamp_(max=MAX_LOGIT_SCALE)
    return logit_scale.exp()


def symmetric_contrast(left, right, scale, own, has_left=None, has_right=None, same=None):
    """Each row of ``left`` is to find its own row of ``right`` among all, and the other way round.

    Args:
        left, right: (N, d), rows of norm 1 of all processes.
        scale: scalar tensor, one over the temperature.
        own: slice of the B rows of this process; the others are candidates only.
        has_left, has_right: bool (N,), which rows are there to be found, or None for all.
        same: bool (B, N), which other rows belong to a row, too, and are not told from it, or None.

    Returns:
        (losses (B,), found (2, B)): the mean cross-entropy of both directions, and whether the
        nearest candidate is a row's own, from left to right and from right to left.
    """
    target = torch.arange(own.start, own.stop, device=left.device)
    losses, found = [], []
    for rows, candidates, there in ((left, right, has_right), (right, left, has_left)):
        scores = scale * (rows[own] @ candidates.T)
        if there is not None:
            # -1e4 rather than -inf: rows without any candidate must not turn into NaN.
            scores = scores.masked_fill(~there[None, :], -1e4)
        if same is not None:
            scores = scores.masked_fill(same, -1e4)
        losses.append(F.cross_entropy(scores, target, reduction="none"))
        found.append(scores.argmax(1) == target)
    return 0.5 * (losses[0] + losses[1]), torch.stack(found)


def sigmoid_contrast(left, right, scale, bias, own):
    """Each pair of rows is told for itself: own or not (SigLIP, Zhai et al. 2023, equation 1).

    Args:
        left, right, scale, own: as of :func:`symmetric_contrast`.
        bias: scalar tensor, added to all scores.

    Returns:
        (losses (B,), found (2, B)): the sum over all pairs of a row of ``left``, and what
        :func:`symmetric_contrast` has found.
    """
    scores = scale * (left @ right.T)
    target = torch.arange(own.start, own.stop, device=left.device)
    sign = 2 * torch.eye(len(left), device=left.device)[own] - 1
    losses = -F.logsigmoid(sign * (scores[own] + bias)).sum(1)
    return losses, torch.stack([scores[own].argmax(1), scores.T[own].argmax(1)]) == target
