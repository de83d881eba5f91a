"""Contrast over the batch of all processes: every other product of the update is a negative."""

import torch
import torch.distributed as dist
import torch.nn.functional as F


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


def gather_rows(rows):
    """Rows of all processes, of which each may have another number.

    Args:
        rows: (B, d).

    Returns:
        (all rows (N, d), place of this process' first row among them).
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return rows, 0
    count = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(count) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, count)
    counts, rank = torch.cat(counts).tolist(), dist.get_rank()
    return _GatherRows.apply(rows, counts, rank), sum(counts[:rank])


def symmetric_contrast(titles, images, scale):
    """CLIP's loss: each title is to find its image among all images, and the other way round.

    Args:
        titles, images: (B, d), rows of norm 1.
        scale: scalar tensor, one over the temperature.

    Returns:
        (loss, right): the mean of both directions, summed over the B products, and how many titles
        and images (2 values) are nearest to their own.
    """
    both, first = gather_rows(torch.cat([titles, images], dim=1))
    all_titles, all_images = both.chunk(2, dim=1)
    own = torch.arange(first, first + len(titles), device=titles.device)
    logits = (scale * titles @ all_images.T, scale * images @ all_titles.T)
    loss = sum(F.cross_entropy(scores, own, reduction="sum") for scores in logits) / 2
    right = torch.stack([(scores.argmax(1) == own).sum() for scores in logits])
    return loss, right
