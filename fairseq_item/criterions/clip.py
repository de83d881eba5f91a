"""CLIP's loss, or SigLIP's, over the batch of all processes."""

from dataclasses import dataclass, field

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import ChoiceEnum
from fairseq.logging import metrics
from torch import nn

from fairseq_item.criterions.logged import totals
from fairseq_item.criterions.view_contrast import ViewContrast, ViewContrastConfig
from fairseq_item.modules.contrastive import gather_rows, sigmoid_contrast, symmetric_contrast


@dataclass
class ClipCriterionConfig(ViewContrastConfig):
    """Which loss, and second views beside it."""

    contrast: ChoiceEnum(["softmax", "sigmoid"]) = field(
        default="softmax",
        metadata={"help": "softmax: CLIP's; sigmoid: SigLIP's, which tells each pair for itself"},
    )
    contrast_bias: float = field(
        default=-10.0, metadata={"help": "where the learned bias of the sigmoid starts"}
    )


@register_criterion("clip", dataclass=ClipCriterionConfig)
class ClipCriterion(FairseqCriterion):
    """Contrast of titles and images; negatives are all products of the update.

    With ``--view-contrast-weight`` ITEm's contrast of two views comes on top, of the same second
    views and of the same three embeddings: global, title, image. Compare SLIP (Mu et al. 2022).

    Under ``--update-freq`` each micro-batch is contrasted on its own.
    """

    def __init__(self, task, cfg):
        super().__init__(task)
        self.view_weight = float(cfg.view_contrast_weight)
        self.view_contrast = ViewContrast.of(cfg)
        sigmoid = str(cfg.contrast) == "sigmoid"
        self.bias = nn.Parameter(torch.tensor(float(cfg.contrast_bias))) if sigmoid else None

    def forward(self, model, sample, reduce=True):
        """Returns (loss summed over products, number of products, what to log)."""
        if self.view_contrast is None:
            contrasted = model(**sample["net_input"])
        else:
            contrasted, anchors = model(**sample["net_input"], with_embeddings=True)
        titles, images, scale = contrasted
        (titles, images), own = gather_rows(titles, images)
        if self.bias is None:
            losses, right = symmetric_contrast(titles, images, scale, own)
        else:
            losses, right = sigmoid_contrast(titles, images, scale, self.bias, own)
        loss, right = losses.sum(), right.sum(1)
        products = sample["nsentences"]
        log = {"sample_size": products, "nsentences": products, "ntokens": sample["ntokens"]}
        if self.view_contrast is not None:
            views, matched = model.embed_last(**sample["view"]), sample["id"].new_ones(products)
            product = sample.get("product")
            of_pairs = self.view_contrast(anchors, views, matched, product)
            value, view_right = (of_pair.mean() for of_pair in of_pairs)
            loss = loss + self.view_weight * value
            log.update(view_sum=value.detach(), view_right=view_right.detach())
        log.update(
            loss_sum=loss.detach(),
            title_right=right[0],
            image_right=right[1],
            temperature_sum=products / scale.detach(),
        )
        return loss, products, log

    @staticmethod
    def reduce_metrics(logging_outputs):
        """Log the loss in nats, how often each direction is right in percent, the temperature."""
        total = totals(logging_outputs)
        products = total["sample_size"]
        if products > 0:
            for name, key, times, digits in (
                ("loss", "loss_sum", 1, 4),
                ("title_accuracy", "title_right", 100, 2),
                ("image_accuracy", "image_right", 100, 2),
                ("temperature", "temperature_sum", 1, 4),
                ("view", "view_sum", 1, 4),
                ("view_accuracy", "view_right", 100, 2),
            ):
                if key not in total:  # without second views
                    continue
                metrics.log_scalar(name, times * (total[key] / products), products, round=digits)

    @staticmethod
    def logging_outputs_can_be_summed():
        return True
