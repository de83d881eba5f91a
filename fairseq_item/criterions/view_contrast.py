"""Two views of one product belong together: a symmetric contrastive loss beyond the paper."""

import math

import torch
import torch.nn.functional as F
from torch import nn

MAX_SCALE = 100.0


class ViewContrast(nn.Module):
    """InfoNCE between two views, for the global, title and image embedding each.

    Every product is told from all others of the batch by the cosine over a learned temperature,
    one a part (as in CLIP, Radford et al. 2021). Products that were shown with another product's
    title are no anchors, but their second view, which is their own, still is a negative.

    Args:
        temperature: where the three temperatures start.
    """

    def __init__(self, temperature=0.07):
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((3,), -math.log(temperature)))

    def forward(self, anchors, views, match):
        """Compare.

        Args:
            anchors: three tensors (B, d), the parts of the first view.
            views: three tensors (B, d), those of the second.
            match: int64 (B,), 1 where the first view shows the product's own title.

        Returns:
            (loss, right): the mean of the three parts' losses, summed over the matched products,
            and how often, over the three parts, the nearest view is the product's own; scalars.
        """
        scales = self.log_scale.clamp(max=math.log(MAX_SCALE)).exp()
        own = torch.arange(len(match), device=match.device)
        counted = match.to(anchors[0].dtype)
        loss, right = 0.0, 0.0
        for anchor, view, scale in zip(anchors, views, scales):
            cosines = F.normalize(anchor, dim=-1) @ F.normalize(view, dim=-1).T
            forward = F.cross_entropy(scale * cosines, own, reduction="none")
            # Backwards only matched anchors are candidates: the others are mixtures of products.
            allowed = (scale * cosines.T).masked_fill(match[None, :] == 0, float("-inf"))
            backward = -allowed.diagonal() + allowed.logsumexp(1)
            both = torch.where(match > 0, forward + backward, torch.zeros_like(forward))
            loss = loss + both.sum() / 6
            right = right + ((cosines.argmax(1) == own) * counted).sum() / 3
        return loss, right
