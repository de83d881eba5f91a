"""Leaf-category prediction: cross-entropy, with Acc@1 and Acc@5."""

import torch.nn.functional as F
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics

from fairseq_item.criterions.logged import totals
from fairseq_item.data.targets import NO_CATEGORY

FIRST = 5


@register_criterion("item_classification", dataclass=FairseqDataclass)
class ItemClassificationCriterion(FairseqCriterion):
    """Mean cross-entropy of the products whose category training knows.

    ``accuracy`` and ``accuracy_at_5`` are percentages of the products that have a category; one
    that training does not have cannot be right.
    """

    def forward(self, model, sample, reduce=True):
        """Returns (loss summed over labelled products, their number, what to log)."""
        logits, target = model(**sample["net_input"]), sample["target"]
        # Every negative target is ignored, by the one that cross_entropy knows.
        loss = F.cross_entropy(logits, target.clamp(min=-1), ignore_index=-1, reduction="sum")
        best = logits.detach().topk(min(FIRST, logits.size(1))).indices == target[:, None]
        log = {
            "sample_size": sample["labelled"],
            "nsentences": sample["nsentences"],
            "ntokens": sample["ntokens"],
            "loss_sum": loss.detach(),
            "counted": (target != NO_CATEGORY).sum(),
            "right": best[:, 0].sum(),
            "right_at_5": best.sum(),
        }
        return loss, sample["labelled"], log

    @staticmethod
    def reduce_metrics(logging_outputs):
        """Log the loss in nats and both accuracies in percent."""
        total = totals(logging_outputs)
        labelled, counted = total["sample_size"], total["counted"]
        if labelled > 0:
            metrics.log_scalar("loss", total["loss_sum"] / labelled, labelled, round=4)
        if counted > 0:
            for name, right in (("accuracy", "right"), ("accuracy_at_5", "right_at_5")):
                metrics.log_scalar(name, 100 * total[right] / counted, counted, round=3)

    @staticmethod
    def logging_outputs_can_be_summed():
        return True
