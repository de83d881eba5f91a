import pytest
import torch

from fairseq_item.modules.dropout import Dropout, draw_kept


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_share_and_scale(probability):
    torch.manual_seed(0)
    kept, scale = draw_kept((1001, 333), probability)
    assert kept.shape == (1001, 333)
    deviation = (probability * (1 - probability) / kept.numel()) ** 0.5
    assert abs(float(kept.float().mean()) - (1 - probability)) < 5 * deviation
    assert scale == pytest.approx(1 / (1 - probability), rel=1e-3)
    rows = kept.float().mean(1)
    assert abs(float(rows.std()) - (probability * (1 - probability) / 333) ** 0.5) < 0.004


def test_the_same_seed_gives_the_same_choice():
    torch.manual_seed(4)
    first = draw_kept((5, 7), 0.5)[0]
    assert not torch.equal(draw_kept((5, 7), 0.5)[0], first)
    torch.manual_seed(4)
    assert torch.equal(draw_kept((5, 7), 0.5)[0], first)


def test_all_but_certain_dropout_stays_finite():
    kept, scale = draw_kept((1000,), 0.999999)
    assert scale == 65536.0
    assert kept.sum() < 10


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradient_are_kept_in_the_same_places(dtype):
    torch.manual_seed(0)
    x = torch.randn(50, 20).to(dtype).requires_grad_()
    out = Dropout(0.25).train()(x)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert out.dtype == gradient.dtype == dtype
    assert set(gradient.unique().tolist()) == {0.0, float(torch.tensor(4 / 3).to(dtype))}
    assert torch.allclose(out, x * gradient, rtol=1e-2)


def test_a_residual_is_added_whole():
    torch.manual_seed(0)
    x, y = torch.randn(50, 20, requires_grad=True), torch.randn(50, 20, requires_grad=True)
    out = Dropout(0.5).train().add(x, y)
    of_x, of_y = torch.autograd.grad(out.sum(), (x, y))
    assert torch.equal(of_x, torch.ones(50, 20))
    assert set(of_y.unique().tolist()) == {0.0, 2.0}
    assert torch.allclose(out, x + y * of_y, atol=1e-6)


def test_bfloat16_is_added_to_float32():
    x, y = torch.randn(5, 4), torch.randn(5, 4).bfloat16().requires_grad_()
    out = Dropout(0.5).train().add(x, y)
    assert out.dtype == torch.float32
    assert torch.autograd.grad(out.sum(), y)[0].dtype == torch.bfloat16


def test_nothing_is_dropped_outside_training():
    x, y = torch.randn(5, 4), torch.randn(5, 4)
    layer = Dropout(0.5).eval()
    assert torch.equal(layer(x), x)
    assert torch.equal(layer.add(x, y), x + y)
    assert torch.equal(Dropout(0.0).train()(x), x)
