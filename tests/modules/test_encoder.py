import pytest
import torch
from torch import nn

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
    ours = layer(x, present[:, None, None, :])
    theirs = twin(x, src_key_padding_mask=~present)
    assert torch.allclose(ours[present], theirs[present], atol=1e-6)
    assert torch.allclose(layer(x), twin(x), atol=1e-6)


def test_padding_changes_nothing():
    torch.manual_seed(0)
    encoder = Encoder(2, 16, 2, 32).eval()
    x = torch.randn(2, 5, 16)
    padded = torch.cat([x, 100 * torch.randn(2, 3, 16)], dim=1)
    present = torch.tensor([[True] * 5 + [False] * 3] * 2)
    assert torch.allclose(encoder(x), encoder(padded, present)[:, :5], atol=1e-6)


def test_dropout_only_in_training():
    encoder = Encoder(1, 16, 2, 32, dropout=0.5, attention_dropout=0.5)
    x = torch.randn(2, 5, 16)
    assert not torch.equal(encoder.train()(x), encoder(x))
    assert torch.equal(encoder.eval()(x), encoder(x))


def test_width_must_fit_the_heads():
    with pytest.raises(ValueError, match="16 is not a multiple of 3"):
        EncoderLayer(16, 3, 32)
