"""Registered models and their sizes."""

import fairseq_item.models.item  # noqa: F401
