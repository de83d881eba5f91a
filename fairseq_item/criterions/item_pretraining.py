"""The paper's five objectives in one criterion (equation 3)."""

import logging
import sys
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.logging import metrics
from omegaconf import II

from fairseq_item.criterions.logged import totals
from fairseq_item.criterions.view_contrast import ViewContrast, ViewContrastConfig
from fairseq_item.data.settings import check_range

logger = logging.getLogger(__name__)

OBJECTIVES = ("itm", "mlm", "gmlm", "mim", "gmim")
LOGGED = (*OBJECTIVES, "view")


@dataclass
class ItemPretrainingCriterionConfig(ViewContrastConfig):
    """Weights of the objectives; the defaults are the paper's."""

    itm_weight: float = field(default=1.0, metadata={"help": "image-text matching"})
    mlm_weight: float = field(default=0.1, metadata={"help": "masked language modelling"})
    gmlm_weight: float = field(default=0.1, metadata={"help": "the same from h([CLS])"})
    mim_weight: float = field(default=0.01, metadata={"help": "masked image modelling"})
    gmim_weight: float = field(default=0.01, metadata={"help": "the same from h([CLS])"})
    separate_views: bool = field(
        default=False,
        metadata={
            "help": "the second view shows its title and its image one at a time, and each is to "
            "find the product and the other one; --view-single is of no effect then"
        },
    )
    mismatch_prob: float = II("task.mismatch_prob")
    masked_losses_on: str = II("task.masked_losses_on")


@register_criterion("item_pretraining", dataclass=ItemPretrainingCriterionConfig)
class ItemPretrainingCriterion(FairseqCriterion):
    """ITM + 0.1 (MLM + GMLM) + 0.01 (MIM + GMIM).

    Each objective is the mean over a product's own masked positions, then over products. The sum
    over products is what goes back to fairseq, with the number of products as ``sample_size``; so
    the gradient is the same however a batch is cut over micro-batches and processes, and an
    objective without a masked position contributes 0.
    """

    def __init__(self, task, cfg):
        super().__init__(task)
        self.weights = {name: float(getattr(cfg, f"{name}_weight")) for name in OBJECTIVES}
        for name, weight in self.weights.items():
            check_range(f"--{name}-weight", weight, 0, sys.float_info.max)
        # Where the masked losses count on matched pairs only, the sum over products misses the
        # mismatched share; without this the weights would silently be halved.
        self.matched_share = max(1.0 - cfg.mismatch_prob, 1e-8)
        share = self.matched_share if cfg.masked_losses_on == "matched" else 1.0
        self.gradient_weights = {
            name: weight if name == "itm" else weight / share
            for name, weight in self.weights.items()
        }
        self.view_weight = float(cfg.view_contrast_weight)
        self.separate_views = cfg.separate_views
        # Of each pair that is contrasted: how many products its first one shows as they are.
        matched = self.matched_share
        shares = torch.tensor([1.0, *[matched] * 4] if cfg.separate_views else [matched] * 3)
        self.register_buffer("view_shares", shares, persistent=False)
        self.view_contrast = ViewContrast.of(cfg, len(shares))

    def forward(self, model, sample, reduce=True):
        """Returns (loss summed over products, number of products, what to log)."""
        if self.view_contrast is None:
            predictions = model(**sample["net_input"])
        else:
            predictions, anchors = model(**sample["net_input"], with_embeddings=True)
        sums = self._sums(predictions, sample)
        loss = sum(self.gradient_weights[name] * sums[name] for name in OBJECTIVES)
        products = sample["nsentences"]
        log = {"sample_size": products, "nsentences": products, "ntokens": sample["ntokens"]}
        for name, value in sums.items():
            log[f"{name}_sum"] = value.detach()
            log[f"{name}_weighted_sum"] = self.weights[name] * value.detach()
        log.update(self._counts(predictions, sample))
        if self.view_contrast is not None:
            loss = loss + self._contrast(*self._pairs(model, anchors, sample), sample, log)
        return loss, products, log

    def _sums(self, predictions, sample):
        """Each objective summed over products, a float32 scalar each."""
        targets, title, patch = (
            sample[key] for key in ("title_targets", "title_weights", "patch_weights")
        )
        pixels = predictions.patch_targets
        return {
            "itm": F.cross_entropy(predictions.itm, sample["match"], reduction="sum"),
            "mlm": (F.cross_entropy(predictions.mlm, targets, reduction="none") * title).sum(),
            "gmlm": (F.cross_entropy(predictions.gmlm, targets, reduction="none") * title).sum(),
            "mim": ((predictions.mim - pixels).square().sum(-1) * patch).sum(),
            "gmim": ((predictions.gmim - pixels).square().sum(-1) * patch).sum(),
        }

    def _counts(self, predictions, sample):
        """Products behind each objective, and right answers; tensors, so that no GPU waits."""
        with torch.no_grad():
            targets, counted = sample["title_targets"], sample["title_weights"] > 0
            return {
                "title_products": sample["title_weights"].sum(),
                "patch_products": sample["patch_weights"].sum(),
                "title_positions": counted.sum(),
                "itm_right": (predictions.itm.argmax(-1) == sample["match"]).sum(),
                "mlm_right": ((predictions.mlm.argmax(-1) == targets) & counted).sum(),
                "gmlm_right": ((predictions.gmlm.argmax(-1) == targets) & counted).sum(),
            }

    def _pairs(self, model, anchors, sample):
        """The k embeddings to compare of either view, (B, d) each, and ``match``, (B, k)."""
        view, match = sample["view"], sample["match"]
        if not self.separate_views:
            return anchors, model.embed_last(**view), match[:, None].expand(-1, 3)
        whole, title, image = anchors
        of_title, of_image = model.embed_separately(view["title"], view["patches"])
        # The second view is the product's own, so title and image of it always belong together.
        left = (of_title[0], whole, whole, title, image)
        right = (of_image[0], of_title[0], of_image[0], of_title[1], of_image[1])
        return left, right, torch.stack([torch.ones_like(match), *[match] * 4], 1)

    def _contrast(self, anchors, views, match, sample, log):
        """The weighted contrast of the two views, logged beside the five objectives."""
        value, right = self.view_contrast(anchors, views, match, sample.get("product"))
        log.update(
            view_sum=value.detach().mean(),
            view_weighted_sum=self.view_weight * value.detach().mean(),
            view_right=right.detach().mean(),
            view_products=match.to(value.dtype).mean(1).sum(),
        )
        # As with the masked losses: the mismatched products say nothing, the others count more.
        return self.view_weight * (value / self.view_shares).mean()

    def load_state_dict(self, state_dict, *args, **kwargs):
        """Also of a checkpoint that was trained without temperatures to learn."""
        if not state_dict:
            logger.info("the checkpoint has no temperatures; they start at --view-temperature")
            return None
        return super().load_state_dict(state_dict, *args, **kwargs)

    @staticmethod
    def reduce_metrics(logging_outputs):
        """Log each objective unweighted and weighted, their total as ``loss``, and accuracies."""
        total = totals(logging_outputs)
        products, positions = total["sample_size"], total["title_positions"]
        units = {"itm": products}
        units.update(dict.fromkeys(("mlm", "gmlm"), total["title_products"]))
        units.update(dict.fromkeys(("mim", "gmim"), total["patch_products"]))
        units["view"] = total["view_products"]
        for name in LOGGED:
            if units[name] > 0:
                for key in (name, f"{name}_weighted"):
                    metrics.log_scalar(key, total[f"{key}_sum"] / units[name], units[name], round=4)
        metrics.log_derived("loss", _total_loss)
        right = {"itm": products, "mlm": positions, "gmlm": positions, "view": units["view"]}
        for name, count in right.items():
            if count > 0:
                accuracy = 100 * total[f"{name}_right"] / count
                metrics.log_scalar(f"{name}_accuracy", accuracy, count, round=2)

    @staticmethod
    def logging_outputs_can_be_summed():
        return True


def _total_loss(meters):
    weighted = (meters.get(f"{name}_weighted") for name in LOGGED)
    return round(float(sum(meter.avg for meter in weighted if meter is not None)), 5)
