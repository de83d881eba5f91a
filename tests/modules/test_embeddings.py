import torch

from fairseq_item.modules.embeddings import ItemEmbedding


def embedding():
    torch.manual_seed(0)
    layer = ItemEmbedding(20, 1, 8, title_positions=5, patches=3, patch_dim=12, dropout=0.0)
    torch.nn.init.normal_(layer.mask_patch)
    return layer


def test_sum_of_parts_by_hand():
    layer = embedding()
    title = torch.tensor([[0, 7, 2]])
    patches = torch.randint(0, 256, (1, 3, 12), dtype=torch.uint8)
    out = layer(title, patches)
    assert out.shape == (1, 6, 8)
    word = layer.token.weight[7] + layer.title_position.weight[1] + layer.modality.weight[0]
    assert torch.allclose(out[0, 1], layer.norm(word), atol=1e-6)
    pixels = patches[0, 2].float() / 127.5 - 1
    patch = layer.patch.weight @ pixels + layer.patch.bias
    patch = patch + layer.patch_position.weight[2] + layer.modality.weight[1]
    assert torch.allclose(out[0, 5], layer.norm(patch), atol=1e-5)


def test_hidden_patches_show_nothing_of_their_pixels():
    layer, title = embedding(), torch.tensor([[0, 2], [0, 2]])
    first = torch.zeros(2, 3, 12, dtype=torch.uint8)
    second = first.clone()
    second[1, 2] = 255
    hidden = torch.tensor([5])  # row 1, patch 2
    a, b = layer(title, first, hidden), layer(title, second, hidden)
    assert torch.equal(a, b)
    assert not torch.equal(layer(title, first), layer(title, second))
    mask = layer.mask_patch + layer.patch_position.weight[2] + layer.modality.weight[1]
    assert torch.allclose(a[1, 4], layer.norm(mask), atol=1e-6)
