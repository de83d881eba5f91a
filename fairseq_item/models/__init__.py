"""Registered models and their sizes."""

import fairseq_item.models.clip
import fairseq_item.models.item
import fairseq_item.models.resnet
import fairseq_item.models.roberta  # noqa: F401
