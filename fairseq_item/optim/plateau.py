"""A learning rate that falls when validation no longer gains, and that resumes exactly.

fairseq's ``reduce_lr_on_plateau`` forgets at every restart how many epochs it has waited.
"""

from dataclasses import dataclass, field
from typing import List

from fairseq import checkpoint_utils
from fairseq.dataclass import FairseqDataclass
from fairseq.optim.lr_scheduler import FairseqLRScheduler, register_lr_scheduler
from omegaconf import II


@dataclass
class PlateauConfig(FairseqDataclass):
    """The defaults are those of the paper's ResNet50."""

    plateau_epochs: int = field(
        default=5, metadata={"help": "epochs without gain after which the rate falls"}
    )
    plateau_factor: float = field(default=0.1, metadata={"help": "by which it is then multiplied"})
    maximize_best_checkpoint_metric: bool = II("checkpoint.maximize_best_checkpoint_metric")
    lr: List[float] = II("optimization.lr")


@register_lr_scheduler("plateau", dataclass=PlateauConfig)
class Plateau(FairseqLRScheduler):
    """Watches the metric of ``--best-checkpoint-metric``, once an epoch."""

    def __init__(self, cfg, optimizer):
        super().__init__(cfg, optimizer)
        self.lr, self.waited, self.epoch = float(cfg.lr[0]), 0, 0
        self.resuming = False
        self.optimizer.set_lr(self.lr)

    def state_dict(self):
        return {"best": self.best, "lr": self.lr, "waited": self.waited, "epoch": self.epoch}

    def load_state_dict(self, state_dict):
        for name in ("best", "lr", "waited", "epoch"):
            setattr(self, name, state_dict[name])
        self.resuming = True

    def step(self, epoch, val_loss=None):
        """Take note of an epoch that has ended, or of the one that training resumes in.

        Args:
            epoch: its number, from 1.
            val_loss: the metric; None where nothing was validated, and when training resumes.
        """
        if self.resuming and val_loss is None:
            # A checkpoint at the end of an epoch is written before the epoch is noted here, but
            # fairseq keeps in it the best value so far: enough to tell whether there was a gain.
            best = getattr(checkpoint_utils.save_checkpoint, "best", None)
            if epoch > self.epoch + 1 and best is not None:
                self._note(epoch - 1, best)
        else:
            self._note(epoch, val_loss)
        self.optimizer.set_lr(self.lr)
        return self.lr

    def _note(self, epoch, value):
        self.epoch, self.resuming = epoch, False
        sign = 1 if self.cfg.maximize_best_checkpoint_metric else -1
        if value is None:
            return
        if self.best is None or sign * value > sign * self.best:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited == self.cfg.plateau_epochs:
            self.lr, self.waited = self.lr * self.cfg.plateau_factor, 0

    def step_update(self, num_updates):
        """Nothing changes within an epoch."""
        return self.optimizer.get_lr()
