"""Registered criterions."""

import fairseq_item.criterions.clip
import fairseq_item.criterions.item_classification
import fairseq_item.criterions.item_pretraining  # noqa: F401
