import pytest
import torch

from fairseq_item.optim.fused_adamw import FusedAdamW, FusedAdamWConfig


@pytest.mark.parametrize("matrices_only", [False, True])
def test_gains_and_biases_can_be_left_undecayed(matrices_only):
    params = [torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))]
    cfg = FusedAdamWConfig(weight_decay=0.5, adamw_decay_matrices_only=matrices_only, lr=[0.1])
    optimizer = FusedAdamW(cfg, params)
    for parameter in params:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert params[0].tolist() == [[pytest.approx(0.95)] * 2] * 2
    assert params[1].tolist() == [pytest.approx(1.0 if matrices_only else 0.95)] * 2
