"""AdamW with torch's fused kernel; fairseq's own Adam loops over the tensors in Python."""

from dataclasses import dataclass, field
from typing import List, Tuple

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import register_optimizer
from omegaconf import II

from fairseq_item.optim.torch_optimizer import TorchOptimizer


@dataclass
class FusedAdamWConfig(FairseqDataclass):
    """The defaults are the paper's."""

    adamw_betas: Tuple[float, float] = field(
        default=(0.9, 0.98), metadata={"help": "decay of the two moments"}
    )
    adamw_eps: float = field(default=1e-8, metadata={"help": "added to the denominator"})
    weight_decay: float = field(default=1e-4, metadata={"help": "decoupled weight decay"})
    adamw_decay_matrices_only: bool = field(
        default=False, metadata={"help": "leave gains, biases and temperatures undecayed, as CLIP"}
    )
    lr: List[float] = II("optimization.lr")


@register_optimizer("fused_adamw", dataclass=FusedAdamWConfig)
class FusedAdamW(TorchOptimizer):
    """``torch.optim.AdamW(fused=True)`` (Loshchilov and Hutter, 2019), on CPU and GPU."""

    def __init__(self, cfg, params):
        super().__init__(cfg)
        groups = params = list(params)
        if cfg.adamw_decay_matrices_only:
            others = {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0}
            groups = [{"params": [p for p in params if p.ndim >= 2]}, others]
        self._optimizer = torch.optim.AdamW(groups, fused=True, **self.optimizer_config)

    @property
    def optimizer_config(self):
        """Arguments that override those of a checkpoint when training resumes."""
        return {
            "lr": self.cfg.lr[0],
            "betas": tuple(self.cfg.adamw_betas),
            "eps": self.cfg.adamw_eps,
            "weight_decay": self.cfg.weight_decay,
        }

    def clip_grad_norm(self, max_norm, aggregate_norm_fn=None):
        """The norm of all gradients, which are scaled down to ``max_norm`` if that is above 0.

        As fairseq's, but by torch's kernels for lists of tensors: two for each tensor less.

        Args:
            max_norm: the greatest norm that is left alone; 0 only measures.
            aggregate_norm_fn: makes the norm of all shards out of this one's, or None.
        """
        gradients = [p.grad for p in self.params if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if aggregate_norm_fn is not None:
            norm = aggregate_norm_fn(norm)
        if max_norm > 0:
            torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp_(max=1))
        return norm
