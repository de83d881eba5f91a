"""SGD with momentum; fairseq's own would put an object into the checkpoint that torch refuses."""

from dataclasses import dataclass, field
from typing import List

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import register_optimizer
from omegaconf import II

from fairseq_item.optim.torch_optimizer import TorchOptimizer


@dataclass
class MomentumSGDConfig(FairseqDataclass):
    """The defaults are those of the paper's ResNet50."""

    sgd_momentum: float = field(default=0.9, metadata={"help": "decay of the velocity"})
    weight_decay: float = field(default=0.0, metadata={"help": "L2 weight decay"})
    lr: List[float] = II("optimization.lr")


@register_optimizer("momentum_sgd", dataclass=MomentumSGDConfig)
class MomentumSGD(TorchOptimizer):
    """``torch.optim.SGD`` with momentum."""

    def __init__(self, cfg, params):
        super().__init__(cfg)
        self._optimizer = torch.optim.SGD(params, **self.optimizer_config)

    @property
    def optimizer_config(self):
        """Arguments that override those of a checkpoint when training resumes."""
        return {
            "lr": self.cfg.lr[0],
            "momentum": self.cfg.sgd_momentum,
            "weight_decay": self.cfg.weight_decay,
        }
