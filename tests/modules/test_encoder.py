import copy

import pytest
import torch
from torch import nn

from fairseq_item.modules import cpu_kernels
from fairseq_item.modules.attention import Layout
from fairseq_item.modules.encoder import Encoder, EncoderLayer


def torch_layer(layer, dim, heads, ffn):
    """torch's own post-norm layer with the same weights: the reference."""
    twin = nn.TransformerEncoderLayer(dim, heads, ffn, 0.0, "gelu", batch_first=True)
    pairs = [
        (twin.self_attn.in_proj_weight, layer.qkv.weight),
        (twin.self_attn.in_proj_bias, layer.qkv.bias),
        (twin.self_attn.out_proj.weight, layer.out.weight),
        (twin.self_attn.out_proj.bias, layer.out.bias),
        (twin.linear1.weight, layer.fc1.weight),
        (twin.linear1.bias, layer.fc1.bias),
        (twin.linear2.weight, layer.fc2.weight),
        (twin.linear2.bias, layer.fc2.bias),
        (twin.norm1.weight, layer.attention_norm.weight),
        (twin.norm1.bias, layer.attention_norm.bias),
        (twin.norm2.weight, layer.ffn_norm.weight),
        (twin.norm2.bias, layer.ffn_norm.bias),
    ]
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(ours)
    return twin


def test_equals_torch_s_layer():
    torch.manual_seed(0)
    layer = EncoderLayer(16, 4, 40, dropout=0.0, attention_dropout=0.0).train()
    twin = torch_layer(layer, 16, 4, 40).train()
    x = torch.randn(3, 7, 16)
    present = torch.ones(3, 7, dtype=torch.bool)
    present[0, 4:] = False
    ours = layer(x.flatten(0, 1), Layout(3, 7, present)).view(3, 7, 16)
    theirs = twin(x, src_key_padding_mask=~present)
    assert torch.allclose(ours[present], theirs[present], atol=1e-6)
    ours = layer(x.flatten(0, 1), Layout(3, 7)).view(3, 7, 16)
    assert torch.allclose(ours, twin(x), atol=1e-6)


def test_padding_changes_nothing():
    torch.manual_seed(0)
    encoder = Encoder(2, 16, 2, 32).eval()
    x = torch.randn(2, 5, 16)
    padded = torch.cat([x, 100 * torch.randn(2, 3, 16)], dim=1)
    present = torch.tensor([[True] * 5 + [False] * 3] * 2)
    assert torch.allclose(encoder.last(x), encoder.last(padded, present)[:, :5], atol=1e-6)


def ragged(lengths, length=12, dim=16, seed=0):
    """Input of which each sequence has its own length, and some positions that are no padding."""
    x = torch.randn(len(lengths), length, dim, generator=torch.Generator().manual_seed(seed))
    present = torch.arange(length) < torch.tensor(lengths)[:, None]
    return x.requires_grad_(), present, present.flatten().nonzero().flatten()[::3]


def gradients(encoder, x, state, seed=5):
    """Of a loss that weighs each number of ``state`` differently; by parameter, and of ``x``."""
    weights = torch.randn(state.shape, generator=torch.Generator().manual_seed(seed))
    own = [x, *encoder.parameters()]
    return torch.autograd.grad((state.float() * weights).sum(), own, allow_unused=True)


@pytest.mark.parametrize(
    "lengths", [[12, 12, 12], [12, 12, 11], [3, 12, 7]], ids=["whole", "little padding", "packed"]
)
@pytest.mark.parametrize(("low", "tolerance"), [(False, 2e-5), (True, 0.15)])
def test_states_at_some_positions_are_those_of_all(lengths, low, tolerance):
    """With gradients; in bfloat16 against float32 everywhere."""
    torch.manual_seed(0)
    encoder = Encoder(2, 16, 2, 32, dropout=0.0, attention_dropout=0.0).train()
    x, present, wanted = ragged(lengths)
    whole = encoder.last(x, present).flatten(0, 1)[wanted]
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        some = encoder.at(x, present, wanted)
    assert torch.allclose(some.float(), whole, atol=tolerance)
    for a, b in zip(gradients(encoder, x, some), gradients(encoder, x, whole), strict=True):
        assert (a - b).norm() <= tolerance * b.norm() + 1e-5


def test_what_padding_holds_reaches_no_position():
    torch.manual_seed(0)
    encoder = Encoder(2, 16, 2, 32).eval()
    x, present, wanted = ragged([3, 12, 7])
    other = torch.where(present[..., None], x, 100.0)
    assert torch.equal(encoder.at(x, present, wanted), encoder.at(other, present, wanted))


def test_first_is_the_first_position():
    encoder = Encoder(2, 16, 2, 32).eval()
    x, present, _ = ragged([3, 12, 7])
    assert torch.allclose(encoder.first(x, present), encoder.last(x, present)[:, 0], atol=1e-6)


def test_states_are_those_of_each_layer():
    torch.manual_seed(0)
    encoder = Encoder(3, 16, 2, 32).eval()
    x, present, _ = ragged([3, 12, 7])
    states = list(encoder.states(x, present))
    for count, state in enumerate(states, 1):
        shorter = Encoder(count, 16, 2, 32).eval()
        shorter.layers.load_state_dict(encoder.layers[:count].state_dict())
        assert torch.allclose(state[present], shorter.last(x, present)[present], atol=1e-6)
    assert torch.equal(states[-1], encoder.last(x, present))


@pytest.mark.parametrize("lengths", [[12, 12, 12], [3, 12, 7]], ids=["whole", "padded"])
@pytest.mark.parametrize(("low", "tolerance"), [(False, 1e-5), (True, 0.15)])
def test_without_cpu_kernels_it_is_the_same(lengths, low, tolerance):
    """With gradients."""
    torch.manual_seed(0)
    fast = Encoder(2, 16, 2, 32, dropout=0.0, attention_dropout=0.0).train()
    plain = Encoder(2, 16, 2, 32, dropout=0.0, attention_dropout=0.0, cpu_kernels=False).train()
    plain.load_state_dict(fast.state_dict())
    x, present, wanted = ragged(lengths)
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        a, b = (encoder.at(x, present, wanted) for encoder in (fast, plain))
    assert torch.allclose(a, b, atol=tolerance)
    for one, other in zip(gradients(fast, x, a), gradients(plain, x, b), strict=True):
        assert (one - other).norm() <= tolerance * other.norm() + 1e-5


def test_without_cpu_kernels_none_is_called(monkeypatch):
    def fail(*args):
        raise AssertionError("a kernel of ours")

    monkeypatch.setattr(cpu_kernels, "CpuLayout", fail)
    encoder = Encoder(1, 16, 2, 32, cpu_kernels=False).train()
    encoder.last(torch.randn(2, 5, 16)).sum().backward()
    with pytest.raises(AssertionError, match="a kernel of ours"):
        Encoder(1, 16, 2, 32).last(torch.randn(2, 5, 16))


def test_dropout_only_in_training():
    encoder = Encoder(1, 16, 2, 32, dropout=0.5, attention_dropout=0.5)
    x = torch.randn(2, 5, 16)
    assert not torch.equal(encoder.train().last(x), encoder.last(x))
    assert torch.equal(encoder.eval().last(x), encoder.last(x))


def held(encoder, x, present, wanted):
    """(state, bytes of all tensors that wait for the backward pass), parameters not counted."""
    seen = {}

    def keep(tensor):
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    parameters = {p.untyped_storage().data_ptr() for p in encoder.parameters()}
    torch.manual_seed(3)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        state = encoder.at(x, present, wanted)
    return state, sum(size for address, size in seen.items() if address not in parameters)


@pytest.mark.parametrize("low", [False, True])
def test_recomputed_activations_change_memory_but_no_number(low):
    """Also with dropout, whose choices have to be made again alike."""
    torch.manual_seed(0)
    plain = Encoder(4, 16, 2, 64, dropout=0.3, attention_dropout=0.3).train()
    lean = copy.deepcopy(plain)
    lean.recompute = True
    x, present, wanted = ragged([3, 12, 7])
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        (a, much), (b, little) = held(plain, x, present, wanted), held(lean, x, present, wanted)
        assert torch.equal(a, b)
        assert little < 0.4 * much
        for one, other in zip(gradients(plain, x, a), gradients(lean, x, b), strict=True):
            assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_compiled_encoder_has_the_same_parameters():
    plain, compiled = Encoder(2, 16, 2, 32), Encoder(2, 16, 2, 32, compiled=True)
    compiled.load_state_dict(plain.state_dict())
    plain.load_state_dict(compiled.state_dict())
    assert list(compiled.state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize("low", [False, True])
def test_layers_are_one_graph_each_and_compute_the_same(low):
    """Through dynamo, which finds what cannot be compiled, without waiting for a compiler."""
    torch.manual_seed(0)
    plain = Encoder(2, 16, 2, 32, dropout=0.0, attention_dropout=0.0).train()
    traced = copy.deepcopy(plain)
    traced.compiled = True
    for layer in traced.layers:
        layer.compile(backend="eager", fullgraph=True, dynamic=True)
    for lengths, length in (([3, 12, 7], 12), ([5, 9], 9)):
        x, present, wanted = ragged(lengths, length)
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            a, b = plain.at(x, present, wanted), traced.at(x, present, wanted)
        assert torch.allclose(a, b, atol=0.06 if low else 1e-5)


def test_width_must_fit_the_heads():
    with pytest.raises(ValueError, match="16 is not a multiple of 3"):
        EncoderLayer(16, 3, 32)
