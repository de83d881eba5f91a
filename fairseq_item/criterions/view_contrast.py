"""Two views of one product belong together: a symmetric contrastive loss beyond the paper."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from fairseq_item.modules.contrastive import gather_rows

MAX_SCALE = 100.0


class ViewContrast(nn.Module):
    """InfoNCE between two views, for the global, title and image embedding each.

    Every product is told from all others of the batch, of all processes, by the cosine over a
    learned temperature, one a part (as in CLIP, Radford et al. 2021). Products that were shown with
    another product's title are no anchors, but their second view, which is their own, still is a
    negative.

    A view may lack its title or its image: that part is all zeros and is not compared.

    Args:
        temperature: where the three temperatures start.
        learned: whether they change in training.
    """

    def __init__(self, temperature=0.07, learned=True):
        super().__init__()
        log_scale = torch.full((3,), -math.log(temperature))
        self.log_scale = nn.Parameter(log_scale, requires_grad=learned)

    def forward(self, anchors, views, match):
        """Compare.

        Args:
            anchors: three tensors (B, d), the parts of the first view.
            views: three tensors (B, d), those of the second.
            match: int64 (B,), 1 where the first view shows the product's own title.

        Returns:
            (loss, right): the mean of the three parts' losses, summed over the matched products,
            and in how many of these, in the mean over the parts, the nearest view is the product's
            own; scalars.
        """
        scales = self.log_scale.clamp(max=math.log(MAX_SCALE)).exp()
        own = torch.cat([*anchors, *views, match[:, None].to(anchors[0].dtype)], dim=1)
        everyone, first = gather_rows(own)
        *parts, matched = everyone.split([*(part.size(1) for part in (*anchors, *views)), 1], dim=1)
        rows = slice(first, first + len(match))
        results = [
            _contrast(anchor, view, scale, matched[:, 0] > 0, rows)
            for anchor, view, scale in zip(parts[:3], parts[3:], scales)
        ]
        loss, right = (sum(values) / len(results) for values in zip(*results))
        return loss, right


def _contrast(anchor, view, scale, matched, rows):
    """The loss of one part, summed over those pairs of ``rows`` that have it, and how many of these
    are told right; the other rows, of other processes, are candidates only."""
    has_anchor, has_view = matched & anchor.any(-1), view.any(-1)
    anchor, view = F.normalize(anchor, dim=-1), F.normalize(view, dim=-1)
    own = torch.arange(rows.start, rows.stop, device=view.device)
    # -1e4 rather than -inf: rows without any candidate must not turn into NaN.
    forward = (scale * (anchor[rows] @ view.T)).masked_fill(~has_view[None, :], -1e4)
    # Backwards only matched anchors are candidates: the others are mixtures of products.
    backward = (scale * (view[rows] @ anchor.T)).masked_fill(~has_anchor[None, :], -1e4)
    both = F.cross_entropy(forward, own, reduction="none")
    both = 0.5 * (both + F.cross_entropy(backward, own, reduction="none"))
    pair = (has_anchor & has_view)[rows].to(both.dtype)
    return (both * pair).sum(), ((forward.argmax(1) == own) * pair).sum()
