import pytest
import torch

from fairseq_item.modules.attention import Layout
from fairseq_item.modules.cpu_kernels import CpuLayout

HEADS, DIM = 2, 8


def plain(qkv, present, heads=HEADS):
    """Attention of one head of one sequence after another, (B, L, 3 * dim) to (B, L, dim)."""
    batch, length, wide = qkv.shape
    out = qkv.new_zeros(batch, length, wide // 3)
    size = wide // 3 // heads
    for b in range(batch):
        there = present[b].nonzero().flatten()
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            q, k, v = (part[:, own] for part in qkv[b, there].chunk(3, dim=1))
            weights = (q @ k.T / size**0.5).softmax(-1)
            out[b, there[:, None], torch.arange(size) + head * size] = weights @ v
    return out


def example(lengths=(5, 2, 4), dtype=torch.float32):
    """Queries, keys and values (B, 5, 3 * dim), and which positions are no padding."""
    torch.manual_seed(0)
    present = torch.arange(5) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), 5, 3 * DIM, dtype=torch.float64).to(dtype), present


@pytest.mark.parametrize("kind", [Layout, CpuLayout])
@pytest.mark.parametrize("lengths", [(5, 2, 4), (5, 5, 5)], ids=["padded", "whole"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.03)]
)
def test_against_a_loop(dtype, tolerance, lengths, kind):
    qkv, present = example(lengths, dtype)
    layout = kind(3, 5, present)
    found = layout.to_sequences(layout.attend(layout.to_rows(qkv), HEADS))
    assert found.dtype == dtype
    exact = plain(qkv.double(), present)[present]
    assert torch.allclose(found.double()[present], exact, atol=tolerance)


def test_without_padding_no_mask_is_needed():
    qkv, present = example(lengths=(5, 5))
    rows = qkv.flatten(0, 1)
    masked, bare = (Layout(2, 5, p).attend(rows, HEADS) for p in (present, None))
    assert torch.allclose(masked, bare, atol=1e-6)
    assert Layout(2, 5).mask(torch.float32) is None


def test_dropout_keeps_the_mean_of_a_residual():
    torch.manual_seed(0)
    x, y = torch.zeros(200, 50), torch.ones(200, 50)
    added = Layout(1, 200).add(x, y, 0.25)
    assert set(added.unique().tolist()) == {0.0, float(torch.tensor(4 / 3))}
    assert abs(float(added.mean()) - 1) < 0.05
    assert torch.equal(Layout(1, 200).add(x, y), x + y)
