"""The optional kernels against torch's own, which compute the same without them."""

import pytest
import torch

from fairseq_item.modules.attention import Layout
from fairseq_item.modules.cpu_kernels import CpuLayout, draw_kept

HEADS, DIM = 2, 8
RAGGED, WHOLE = (5, 2, 4), (5, 5, 5)
# The kernels are made for these; float32 without dropout or padding is left to torch.
paddings = pytest.mark.parametrize("lengths", [RAGGED, WHOLE], ids=["padded", "whole"])


def example(lengths=RAGGED, dtype=torch.float32):
    """Queries, keys and values (B, 5, 3 * dim), and which positions are no padding."""
    torch.manual_seed(0)
    present = torch.arange(5) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), 5, 3 * DIM, dtype=torch.float64).to(dtype), present


def attended(kind, qkv, present, dropout=0.0):
    """What attention gives at the positions that are no padding, (N, dim)."""
    layout = kind(*present.shape, present)
    return layout.to_sequences(layout.attend(layout.to_rows(qkv), HEADS, dropout))[present]


@paddings
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.06)]
)
def test_attention_is_that_of_torchs_kernel_with_gradients(dtype, tolerance, lengths):
    """``scaled_dot_product_attention`` on all positions, padding masked."""
    qkv, present = example(lengths, dtype)
    qkv.requires_grad_()
    found, expected = (attended(kind, qkv, present) for kind in (CpuLayout, Layout))
    assert torch.allclose(found, expected, atol=tolerance)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    gradients = [
        torch.autograd.grad((state.double() * weights).sum(), qkv)[0] for state in (found, expected)
    ]
    assert torch.allclose(*gradients, atol=tolerance)


@paddings
def test_float32_with_dropout_of_next_to_nothing_is_torchs_without(lengths):
    qkv, present = example(lengths)
    found = attended(CpuLayout, qkv, present, 1e-9)
    assert torch.allclose(found, attended(Layout, qkv, present), atol=1e-6)


@paddings
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_gradients(lengths, dropout):
    """Against finite differences, the same choices of dropout each time."""
    qkv, present = example(lengths, torch.float64)

    def function(qkv):
        torch.manual_seed(1)
        return attended(CpuLayout, qkv, present, dropout)

    assert torch.autograd.gradcheck(function, (qkv.requires_grad_(),))


def test_dropout_of_attention_keeps_the_mean():
    qkv, present = example(dtype=torch.float64)
    exact = attended(CpuLayout, qkv, present)
    torch.manual_seed(0)
    mean = sum(attended(CpuLayout, qkv, present, 0.25) for _ in range(4000)) / 4000
    assert torch.allclose(mean, exact, atol=0.05)
    assert not torch.equal(attended(CpuLayout, qkv, present, 0.25), exact)


def test_padding_has_no_rows():
    x, present = torch.randn(3, 5, 2), example()[1]
    layout = CpuLayout(3, 5, present)
    rows = layout.to_rows(x)
    assert torch.equal(rows, x[present])
    assert torch.equal(layout.to_sequences(rows)[present], x[present])
    flat = present.flatten().nonzero().flatten()[[4, 1]]
    assert torch.equal(rows[layout.row_of(flat)], x.flatten(0, 1)[flat])


@pytest.mark.parametrize("lengths", [WHOLE, (5,) * 9 + (4,)], ids=["none", "little"])
def test_too_little_padding_is_left_in(lengths):
    x, present = torch.randn(len(lengths), 5, 2), example(lengths)[1]
    assert torch.equal(CpuLayout(len(lengths), 5, present).to_rows(x), x.flatten(0, 1))


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


@pytest.mark.parametrize("probability", [0.999999, 1.0])
def test_all_but_certain_dropout_stays_finite(probability):
    kept, scale = draw_kept((1000,), probability)
    assert scale == 65536.0
    assert kept.sum() < 10


def test_a_residual_is_added_whole():
    torch.manual_seed(0)
    x, y = torch.randn(50, 20, requires_grad=True), torch.randn(50, 20, requires_grad=True)
    out = CpuLayout(1, 50).add(x, y, 0.5)
    of_x, of_y = torch.autograd.grad(out.sum(), (x, y))
    assert torch.equal(of_x, torch.ones(50, 20))
    assert set(of_y.unique().tolist()) == {0.0, 2.0}
    assert torch.allclose(out, x + y * of_y, atol=1e-6)


def test_bfloat16_is_added_to_float32():
    x, y = torch.randn(5, DIM), torch.randn(5, DIM).bfloat16().requires_grad_()
    out = CpuLayout(1, 5).add(x, y, 0.5)
    assert out.dtype == torch.float32
    (gradient,) = torch.autograd.grad(out.sum(), y)
    assert gradient.dtype == torch.bfloat16
    assert set(gradient.float().unique().tolist()) == {0.0, 2.0}


def test_nothing_is_dropped_without_dropout():
    x, y = torch.randn(5, DIM), torch.randn(5, DIM)
    assert torch.equal(CpuLayout(1, 5).add(x, y), x + y)
