"""Two views of one product belong together: a symmetric contrastive loss beyond the paper."""

import math
import sys
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from fairseq.dataclass import FairseqDataclass
from torch import nn

from fairseq_item.data.settings import check_range
from fairseq_item.modules.contrastive import gather_rows, scale_of, symmetric_contrast
from fairseq_item.old_checkpoints import rename_keys


@dataclass
class ViewContrastConfig(FairseqDataclass):
    """How much the contrast of two views counts beside a criterion's own objectives."""

    view_contrast_weight: float = field(
        default=0.0,
        metadata={"help": "contrast of two views of a product, beyond the paper; 0: no views"},
    )
    view_temperature: float = field(
        default=0.07, metadata={"help": "where the temperatures of the contrast start"}
    )
    freeze_view_temperature: bool = field(
        default=False, metadata={"help": "keep the temperatures instead of learning them"}
    )


class ViewContrast(nn.Module):
    """InfoNCE between two views, for several pairs of embeddings each.

    Every product is told from all others of the batch, of all processes, by the cosine over a
    temperature, one a pair. Products that were shown with another product's title are no
    anchors, but their second view, which is their own, still is a negative.

    A view may lack its title or its image: that embedding is all zeros and is not compared.
    Rows of one product are not told from one another.

    Args:
        temperature: where the temperatures start.
        learned: whether they change in training.
        pairs: how many pairs of embeddings are compared, k.
    """

    def __init__(self, temperature=0.07, learned=True, pairs=3):
        super().__init__()
        logit_scale = torch.full((pairs,), -math.log(temperature))
        if learned:
            self.logit_scale = nn.Parameter(logit_scale)
        else:  # a parameter that never has a gradient makes DistributedDataParallel stop
            self.register_buffer("logit_scale", logit_scale)

    @classmethod
    def of(cls, cfg, pairs=3):
        """That of a :class:`ViewContrastConfig`, None where it has no weight.

        Raises:
            InputError: an option is out of range.
        """
        check_range("--view-contrast-weight", cfg.view_contrast_weight, 0, sys.float_info.max)
        if not cfg.view_contrast_weight:
            return None
        check_range("--view-temperature", cfg.view_temperature, 0.01, 100)
        return cls(cfg.view_temperature, not cfg.freeze_view_temperature, pairs)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        rename_keys(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, anchors, views, match, product=None):
        """Compare.

        Args:
            anchors: k tensors (B, d), embeddings of the first view.
            views: k tensors (B, d), those of the second.
            match: int64 (B, k), 1 where the anchor shows the product's own title; or (B,) for all.
            product: int64 (B,), equal for rows of one product; None where each is another one.

        Returns:
            (loss, right): each pair's loss, summed over the matched products, and in how many of
            these the nearest view is the product's own; (k,) each.
        """
        matched = match.view(len(match), -1).expand(-1, len(anchors)).to(anchors[0].dtype)
        (*embeddings, matched), own = gather_rows(*anchors, *views, matched)
        same = None
        if product is not None:
            (everyone,), _ = gather_rows(product[:, None])
            same = product[:, None] == everyone[:, 0]
            same.diagonal(own.start).fill_(False)  # but each is its own
        results = [
            _contrast(anchor, view, scale, there > 0, own, same)
            for anchor, view, scale, there in zip(
                embeddings[: len(anchors)],
                embeddings[len(anchors) :],
                scale_of(self.logit_scale),
                matched.unbind(1),
            )
        ]
        loss, right = (torch.stack(values) for values in zip(*results))
        return loss, right


def _contrast(anchor, view, scale, matched, own, same):
    """The loss of one pair, summed over those of ``own`` that have both, and how many of
    these are told right."""
    # Only matched anchors are candidates, too: the others are mixtures of products.
    has_anchor, has_view = matched & anchor.any(-1), view.any(-1)
    anchor, view = F.normalize(anchor, dim=-1), F.normalize(view, dim=-1)
    losses, found = symmetric_contrast(anchor, view, scale, own, has_anchor, has_view, same)
    pair = (has_anchor & has_view)[own].to(losses.dtype)
    return (losses * pair).sum(), (found[0] * pair).sum()
