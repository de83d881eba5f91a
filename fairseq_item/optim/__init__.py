"""Registered optimisers."""

import fairseq_item.optim.fused_adamw  # noqa: F401
