import pytest
import torch
from fairseq.utils import clip_grad_norm_
from omegaconf import OmegaConf

import fairseq_item

fairseq_item.register()

from fairseq_item.errors import InputError  # noqa: E402
from fairseq_item.optim.fused_adamw import FusedAdamW, FusedAdamWConfig  # noqa: E402


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((4, 3), (5,))]


def optimizer(own, **changes):
    cfg = OmegaConf.structured(FusedAdamWConfig(lr=[1e-2], **changes))
    return FusedAdamW(cfg, own)


def step(own, opt, number):
    """A step down the gradient of a loss that is another one each time."""
    generator = torch.Generator().manual_seed(number)
    loss = sum((p * torch.randn(p.shape, generator=generator)).sin().sum() for p in own)
    opt.zero_grad()
    loss.backward()
    opt.step()


def assert_close(own, other):
    for a, b in zip(own, other, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


def test_it_is_torch_s_adamw_with_the_paper_s_settings():
    own, other = parameters(), parameters()
    ours = optimizer(own)
    theirs = torch.optim.AdamW(other, lr=1e-2, betas=(0.9, 0.98), eps=1e-8, weight_decay=1e-4)
    for number in range(5):
        step(own, ours, number)
        step(other, theirs, number)
    assert_close(own, other)


def test_settings_reach_it():
    own, other = parameters(), parameters()
    ours = optimizer(own, adamw_betas=(0.5, 0.9), adamw_eps=0.1, weight_decay=0.3)
    theirs = torch.optim.AdamW(other, lr=1e-2, betas=(0.5, 0.9), eps=0.1, weight_decay=0.3)
    for number in range(3):
        step(own, ours, number)
        step(other, theirs, number)
    assert_close(own, other)


def test_it_goes_on_from_its_state(tmp_path):
    whole, first = parameters(), parameters()
    uninterrupted, before = optimizer(whole), optimizer(first)
    for number in range(6):
        step(whole, uninterrupted, number)
    for number in range(3):
        step(first, before, number)
    torch.save(before.state_dict(), tmp_path / "state.pt")
    rest = [torch.nn.Parameter(p.detach().clone()) for p in first]
    after = optimizer(rest)
    after.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for number in range(3, 6):
        step(rest, after, number)
    assert_close(rest, whole)
    assert not torch.allclose(rest[0], first[0])


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 100.0])
def test_the_norm_is_clipped_as_fairseq_does(max_norm):
    own, other = parameters(), parameters()
    for p, q in zip(own, other, strict=True):
        p.grad, q.grad = p.detach().clone(), q.detach().clone()
    own.append(torch.nn.Parameter(torch.ones(2)))  # took no part in the loss
    norm = optimizer(own).clip_grad_norm(max_norm)
    expected = clip_grad_norm_(other, max_norm)
    assert torch.allclose(norm, expected, rtol=1e-6)
    assert_close([p.grad for p in own[:2]], [q.grad for q in other])
    doubled = optimizer(own).clip_grad_norm(0.0, lambda value: 2 * value)
    assert torch.allclose(doubled, 2 * min(norm, torch.tensor(max_norm or 1e9)), rtol=1e-4)


def test_a_state_of_other_parameters_is_refused_in_one_line():
    state = optimizer(parameters()).state_dict()
    more = optimizer([*parameters(), torch.nn.Parameter(torch.zeros(3))])
    with pytest.raises(InputError, match="has 2 parameters and this training 3.*reset-optimizer"):
        more.load_state_dict(state)
