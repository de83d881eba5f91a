import types

import pytest
import torch
from fairseq import checkpoint_utils

from fairseq_item.optim.momentum_sgd import MomentumSGD, MomentumSGDConfig
from fairseq_item.optim.plateau import Plateau, PlateauConfig


@pytest.fixture(autouse=True)
def fairseqs_best(monkeypatch):
    """fairseq's memory of the best value, an attribute of its function."""
    stand_in = types.SimpleNamespace()
    monkeypatch.setattr(checkpoint_utils, "save_checkpoint", stand_in)
    return stand_in


def scheduler(epochs=3, factor=0.1, maximize=True):
    optimizer = MomentumSGD(MomentumSGDConfig(lr=[0.1]), [torch.nn.Parameter(torch.zeros(1))])
    cfg = PlateauConfig(
        plateau_epochs=epochs,
        plateau_factor=factor,
        maximize_best_checkpoint_metric=maximize,
        lr=[0.1],
    )
    return Plateau(cfg, optimizer)


def rates(plateau, values, first_epoch=1):
    return [round(plateau.step(epoch, value), 9) for epoch, value in enumerate(values, first_epoch)]


def test_it_falls_after_so_many_epochs_without_gain():
    values = [50, 60, 60, 59, 58, 57, 61, 60, 60, 60, 60, 60, 60]
    plateau = scheduler()
    expected = [0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001, 0.0001]
    assert rates(plateau, values) == expected
    assert plateau.optimizer.get_lr() == pytest.approx(0.0001)


def test_less_is_a_gain_where_the_metric_is_a_loss():
    assert rates(scheduler(2, 0.5, False), [3, 2, 2, 2.5, 1.9, 2]) == [0.1] * 3 + [0.05] * 3


def test_an_epoch_that_was_not_validated_does_not_count():
    assert rates(scheduler(2), [5, None, 5, None, 5, None]) == [0.1] * 4 + [0.01] * 2


@pytest.mark.parametrize("interrupted_after", range(1, 8))
def test_a_restart_changes_nothing(interrupted_after, fairseqs_best):
    """A checkpoint is written at the end of an epoch, before the scheduler hears of it."""
    values = [50, 49, 48, 51, 50, 50, 50, 52, 50]
    whole = rates(scheduler(), values)
    first = scheduler()
    rates(first, values[: interrupted_after - 1])
    kept = first.state_dict()

    resumed = scheduler()
    resumed.load_state_dict(kept)
    next_epoch = interrupted_after + 1
    resumed.step(next_epoch)  # by the trainer, before the best value is restored
    fairseqs_best.best = max(values[:interrupted_after])
    resumed.step(next_epoch)  # by the checkpoint's loader
    assert resumed.lr == pytest.approx(whole[interrupted_after - 1])
    assert rates(resumed, values[interrupted_after:], next_epoch) == whole[interrupted_after:]


def test_a_restart_within_an_epoch(fairseqs_best):
    values = [50, 49, 48, 47, 46]
    whole, first = rates(scheduler(), values), scheduler()
    rates(first, values[:2])
    resumed = scheduler()
    resumed.load_state_dict(first.state_dict())
    fairseqs_best.best = 50
    resumed.step(3)
    assert rates(resumed, values[2:], 3) == whole[2:]
