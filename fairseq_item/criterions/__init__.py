"""Registered criterions."""

import fairseq_item.criterions.item_pretraining  # noqa: F401
