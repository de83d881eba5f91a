import pytest
import torch

from fairseq_item.modules.attention import Layout, attend

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
    torch.manual_seed(0)
    present = torch.arange(5) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), 5, 3 * DIM, dtype=torch.float64).to(dtype), present


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.03)]
)
def test_against_a_loop(dtype, tolerance, packed):
    qkv, present = example(dtype=dtype)
    exact = plain(qkv.double(), present)[present]
    places = present.flatten().nonzero().flatten()
    rows, layout = qkv.flatten(0, 1), Layout(3, 5, present)
    if packed:
        rows, layout = rows[places], Layout(3, 5, present, places)
    found = attend(rows, layout, HEADS)
    assert found.dtype == dtype
    found = found if packed else found[places]
    assert torch.allclose(found.double(), exact, atol=tolerance)


def test_without_padding_no_mask_is_needed():
    qkv, present = example(lengths=(5, 5))
    rows = qkv.flatten(0, 1)
    masked, bare = (attend(rows, Layout(2, 5, p), HEADS) for p in (present, None))
    assert torch.allclose(masked, bare, atol=1e-6)
    assert Layout(2, 5).mask(torch.float32) is None


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("packed", [False, True])
def test_gradients(packed, dropout):
    """Against finite differences, the same choices of dropout each time."""
    qkv, present = example(dtype=torch.float64)
    places = present.flatten().nonzero().flatten()
    rows, layout = qkv.flatten(0, 1), Layout(3, 5, present)
    if packed:
        rows, layout = rows[places], Layout(3, 5, present, places)

    def function(rows):
        torch.manual_seed(1)
        found = attend(rows, layout, HEADS, dropout)
        return found if packed else found[places]

    assert torch.autograd.gradcheck(function, (rows.requires_grad_(),))


@pytest.mark.parametrize("low", [False, True])
def test_gradients_of_both_kernels_agree(low):
    """torch's kernel in float32, and ours, which dropout of next to nothing asks for."""
    qkv, present = example()
    rows, layout = qkv.flatten(0, 1).requires_grad_(), Layout(3, 5, present)
    there = present.flatten()[:, None].float()
    weights = torch.randn(15, DIM) * there
    exact = torch.autograd.grad((attend(rows, layout, HEADS) * weights).sum(), rows)[0]
    other = attend(rows.bfloat16() if low else rows, layout, HEADS, 0.0 if low else 1e-9)
    found = torch.autograd.grad((other.float() * weights).sum(), rows)[0]
    assert torch.allclose(found, exact, atol=0.05 if low else 1e-6)


def test_dropout_keeps_the_mean():
    qkv, present = example()
    rows, layout = qkv.flatten(0, 1).double(), Layout(3, 5, present)
    exact = attend(rows, layout, HEADS)
    torch.manual_seed(0)
    mean = sum(attend(rows, layout, HEADS, 0.25) for _ in range(4000)) / 4000
    assert torch.allclose(mean, exact, atol=0.05)
    assert not torch.equal(attend(rows, layout, HEADS, 0.25), exact)
