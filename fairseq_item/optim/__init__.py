"""Registered optimisers and learning rate schedules."""

import fairseq_item.optim.fused_adamw
import fairseq_item.optim.momentum_sgd
import fairseq_item.optim.plateau  # noqa: F401
