"""CLIP's loss over the batch of all processes."""

from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics

from fairseq_item.criterions.logged import totals
from fairseq_item.modules.contrastive import gather_rows, symmetric_contrast


@register_criterion("clip", dataclass=FairseqDataclass)
class ClipCriterion(FairseqCriterion):
    """Symmetric contrast of titles and images; negatives are all products of the update.

    Under ``--update-freq`` each micro-batch is contrasted on its own.
    """

    def forward(self, model, sample, reduce=True):
        """Returns (loss summed over products, number of products, what to log)."""
        titles, images, scale = model(**sample["net_input"])
        (titles, images), own = gather_rows(titles, images)
        losses, right = symmetric_contrast(titles, images, scale, own)
        loss, right = losses.sum(), right.sum(1)
        products = sample["nsentences"]
        log = {
            "sample_size": products,
            "nsentences": products,
            "ntokens": sample["ntokens"],
            "loss_sum": loss.detach(),
            "title_right": right[0],
            "image_right": right[1],
            "temperature_sum": products / scale.detach(),
        }
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
            ):
                metrics.log_scalar(name, times * (total[key] / products), products, round=digits)

    @staticmethod
    def logging_outputs_can_be_summed():
        return True
