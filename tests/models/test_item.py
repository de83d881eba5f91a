import types

import pytest
import torch
from fairseq.data import Dictionary

from fairseq_item.errors import InputError
from fairseq_item.models.item import (
    ItemModel,
    ItemModelConfig,
    item_base,
    item_large,
    item_small,
    item_tiny,
)
from fairseq_item.modules.attention import Layout


def dictionary(words=40):
    d = Dictionary()
    for i in range(words):
        d.add_symbol(f"w{i}")
    d.add_symbol("<mask>")
    return d


def model(seed=0, **changes):
    sizes = {
        "encoder_layers": 2,
        "encoder_embed_dim": 16,
        "encoder_ffn_embed_dim": 32,
        "encoder_attention_heads": 2,
        "image_size": 8,
        "patch_size": 4,
        "max_title_length": 6,
    }
    cfg = ItemModelConfig(**{**sizes, **changes})
    torch.manual_seed(seed)
    built = ItemModel.build_model(cfg, types.SimpleNamespace(source_dictionary=dictionary()))
    with torch.no_grad():
        for parameter in built.parameters():  # larger than at the start: differences must show
            parameter.add_(0.2 * torch.randn_like(parameter))
    return built


def batch(rows=4, width=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    title = torch.full((rows, width), 1)
    for row in range(rows):
        length = row % (width - 2)
        title[row, 0], title[row, length + 1] = 0, 2
        title[row, 1 : length + 1] = torch.randint(4, 44, (length,), generator=generator)
    patches = torch.randint(0, 256, (rows, 4, 48), dtype=torch.uint8, generator=generator)
    return title, patches


def named_architecture(function, **given):
    args = types.SimpleNamespace(**given)
    function(args)
    return args


def test_parameters_of_item_base_by_part():
    """BERT-base plus the patch parts, counted by hand."""
    args = named_architecture(item_base)
    vocabulary, d, m, pixels = 50_005, 768, 196, 768
    cfg = ItemModelConfig(
        **{k: v for k, v in vars(args).items() if k in ItemModelConfig.__dataclass_fields__}
    )
    with torch.device("meta"):
        built = ItemModel(cfg, vocabulary, 1, 0, 2)

    def count(module):
        return sum(p.numel() for p in module.parameters())

    linear = d * d + d
    norm = 2 * d
    layer = 4 * linear + (d * 3072 + 3072) + (3072 * d + d) + 2 * norm
    assert layer == 7_087_872
    assert count(built.encoder) == 12 * layer == 85_054_464
    embedding = built.embedding
    assert count(embedding.token) == vocabulary * d
    assert count(embedding.title_position) == 38 * d
    assert count(embedding.patch) == pixels * d + d
    assert count(embedding.patch_position) == m * d
    assert count(embedding) == (vocabulary * d + 38 * d + pixels * d + d + d + m * d + 2 * d + norm)
    assert count(built.itm) == 2 * d + 2
    assert count(built.mlm) == linear + norm
    transform = (2 * d * d + d) + norm + linear + norm
    assert count(built.gmlm) == count(built.gmim) == transform
    assert count(built.mim) == count(built.gmim_pixels) == d * pixels + pixels
    assert built.vocabulary.bias.numel() == vocabulary
    assert built.vocabulary.embedding.weight is embedding.token.weight


@pytest.mark.parametrize(
    ("function", "sizes"),
    [
        (item_tiny, (3, 128, 512, 4, 64)),
        (item_small, (6, 384, 1536, 6, 112)),
        (item_base, (12, 768, 3072, 12, 224)),
        (item_large, (24, 1024, 4096, 16, 224)),
    ],
)
def test_architectures(function, sizes):
    names = ("layers", "embed_dim", "ffn_embed_dim", "attention_heads")
    args = named_architecture(function)
    assert tuple(getattr(args, f"encoder_{n}") for n in names) + (args.image_size,) == sizes
    given = named_architecture(function, encoder_layers=1, encoder_embed_dim=64, image_size=32)
    assert (given.encoder_layers, given.encoder_ffn_embed_dim, given.image_size) == (1, 256, 32)


@pytest.mark.parametrize("part", ["global", "title", "image"])
def test_embeddings_do_not_depend_on_batch_order_or_padding(part):
    number = ("global", "title", "image").index(part)
    built = model().eval()
    title, patches = batch(rows=5)
    together = built.embed(title, patches)[number]
    order = torch.tensor([3, 0, 4, 1, 2])
    shuffled = built.embed(title[order], patches[order])[number]
    assert torch.allclose(shuffled, together[order], atol=1e-6)
    for row in range(5):
        own = title[row, : (title[row] != 1).sum()]
        alone = built.embed(own[None], patches[row : row + 1])[number]
        assert torch.allclose(alone[0], together[row], atol=1e-6)


def test_embeddings_are_the_means_of_their_positions():
    built = model().eval()
    title, patches = batch(rows=3)
    cls, words, image = built.embed(title, patches)
    encoded = built.encode(title, patches)
    assert torch.equal(cls, encoded.title[:, 0])
    assert torch.allclose(words[2], encoded.title[2, 1:3].mean(0), atol=1e-6)
    assert (words[0] == 0).all()  # the first title is empty
    assert torch.allclose(image, encoded.patches.mean(1), atol=1e-6)


def test_embeddings_from_all_layers_by_hand():
    last, everywhere = model().eval(), model(embed_layers="all").eval()
    everywhere.load_state_dict(last.state_dict())
    title, patches = batch(rows=3)
    cls, words, image = everywhere.embed(title, patches)
    sequence = last.embedding(title, patches)
    present = torch.cat([title != 1, torch.ones(3, 4, dtype=torch.bool)], 1)
    layout = Layout(*present.shape, present)
    first = last.encoder.layers[0](sequence.flatten(0, 1), layout)
    second = last.encoder.layers[1](first, layout)
    first, second = first.view_as(sequence), second.view_as(sequence)
    mean = (sequence + first + second) / 3
    assert torch.allclose(cls, mean[:, 0], atol=1e-5)
    assert torch.allclose(words[2], mean[2, 1:3].mean(0), atol=1e-5)
    assert torch.equal(image, last.embed(title, patches)[2])


def test_a_missing_image_is_not_looked_at():
    built = model().eval()
    title, patches = batch(rows=4)
    has = torch.tensor([True, False, True, True])
    other = patches.clone()
    other[1] = 255 - other[1]
    first, second = built.embed(title, patches, has), built.embed(title, other, has)
    for a, b in zip(first, second):
        assert torch.equal(a, b)
    assert (first[2][1] == 0).all()
    assert (first[0][1] != 0).any()
    assert not torch.equal(built.embed(title, patches)[0][1], first[0][1])


def test_without_images_no_image_matters():
    title, patches = batch()
    blind = model(without_images=True).eval()
    first, other = (blind.embed(title, p) for p in (patches, 255 - patches))
    assert not blind.sees_images
    assert torch.equal(first[0], other[0])
    assert torch.equal(first[1], other[1])
    assert not first[2].any()
    seeing = model().eval()
    assert not torch.equal(seeing.embed(title, patches)[0], seeing.embed(title, 255 - patches)[0])


def forward_inputs(rows=4):
    title, patches = batch(rows)
    masked_title = (title.flatten() > 3).nonzero().flatten()[::2]
    masked_patches = torch.arange(0, rows * 4, 3)
    return title, patches, masked_patches[::2], masked_title, masked_patches


@pytest.mark.parametrize("with_embeddings", [False, True])
def test_without_images_no_image_matters_in_training_either(with_embeddings):
    blind = model(without_images=True, dropout=0.0, attention_dropout=0.0)
    title, patches, hidden, masked_title, masked_patches = forward_inputs()
    masked = (hidden, masked_title, masked_patches, with_embeddings)
    first, other = (blind(title, p, *masked) for p in (patches, 255 - patches))
    if with_embeddings:
        (first, parts), (other, other_parts) = first, other
        assert all(torch.equal(a, b) for a, b in zip(parts, other_parts))
    assert len(first.mim) == len(first.gmim) == len(first.patch_targets) == 0
    assert all(torch.equal(a, b) for a, b in zip(first, other))
    assert torch.equal(blind.features(title, patches), blind.features(title, 255 - patches))


def test_embeddings_come_out_of_the_pass_that_predicts():
    built = model(embed_layers="all").eval()
    inputs = forward_inputs()
    alone = built(*inputs)
    together, embeddings = built(*inputs, with_embeddings=True)
    for a, b in zip(alone, together):
        assert torch.allclose(a, b, atol=1e-5)
    title, patches, hidden, _, _ = inputs
    encoded = built.encode(title, patches, hidden)
    assert torch.equal(embeddings[0], encoded.title[:, 0])
    assert torch.allclose(embeddings[2], encoded.patches.mean(1), atol=1e-6)
    last = model().eval()
    for a, b in zip(built.embed_last(title, patches), last.embed(title, patches)):
        assert torch.equal(a, b)


def test_vocabulary_is_scored_at_masked_positions_only():
    built = model().eval()
    title, patches, hidden, masked_title, masked_patches = forward_inputs()
    out = built(title, patches, hidden, masked_title, masked_patches)
    encoded = built.encode(title, patches, hidden)
    everywhere = built.vocabulary(built.mlm(encoded.title)).flatten(0, 1)
    assert torch.allclose(out.mlm, everywhere[masked_title], atol=1e-5)
    assert out.mlm.shape == out.gmlm.shape == (len(masked_title), 45)
    pixels = built.mim(encoded.patches).flatten(0, 1)
    assert torch.allclose(out.mim, pixels[masked_patches], atol=1e-5)
    assert torch.allclose(out.patch_targets, patches.flatten(0, 1)[masked_patches] / 255.0)


def test_global_heads_see_only_cls_and_the_position():
    built = model().eval()
    title, patches, hidden, masked_title, masked_patches = forward_inputs()
    out = built(title, patches, hidden, masked_title, masked_patches)
    encoded = built.encode(title, patches, hidden)
    for k, flat in enumerate(masked_title.tolist()):
        row, column = divmod(flat, title.size(1))
        position = built.embedding.title_position.weight[column]
        y = built.gmlm(encoded.title[row, 0][None], position[None])
        assert torch.allclose(out.gmlm[k], built.vocabulary(y)[0], atol=1e-5)
    for k, flat in enumerate(masked_patches.tolist()):
        row, column = divmod(flat, 4)
        position = built.embedding.patch_position.weight[column]
        z = built.gmim_pixels(built.gmim(encoded.title[row, 0][None], position[None]))
        assert torch.allclose(out.gmim[k], z[0], atol=1e-5)


def test_no_masked_position_at_all():
    built = model()
    title, patches = batch()
    nowhere = torch.zeros(0, dtype=torch.long)
    out = built(title, patches, nowhere, nowhere, nowhere)
    assert len(out.mlm) == len(out.gmim) == 0
    sum(part.sum() for part in out).backward()
    assert built.gmlm.layers[0].weight.grad.abs().sum() == 0


def test_bfloat16_stays_close_and_parameters_stay_float32():
    exact, low = model(dropout=0.0), model(dropout=0.0, compute_dtype="bfloat16")
    low.load_state_dict(exact.state_dict())
    inputs = forward_inputs()
    a, b = exact.eval()(*inputs), low.eval()(*inputs)
    for one, other in zip(a, b):
        assert other.dtype == torch.float32
        assert torch.allclose(one, other, atol=0.1, rtol=0.1)
    assert not torch.equal(a.itm, b.itm)
    assert {p.dtype for p in low.parameters()} == {torch.float32}


def test_mean_pixels_are_where_the_pixel_heads_start():
    built, mean = model(), torch.rand(48)
    built.set_mean_pixels(mean)
    assert torch.equal(built.mim.bias, mean)
    assert torch.equal(built.gmim_pixels.bias, mean)


def test_image_must_be_whole_patches():
    with pytest.raises(InputError, match="--image-size 10 is not a multiple of --patch-size 4"):
        model(image_size=10)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--image-size", 0),
        ("--image-size", 33),
        ("--image-size", 10**7),
        ("--image-size", 4096),  # a million patches of 4
        ("--patch-size", 0),
        ("--patch-size", -4),
        ("--patch-size", 16),
        ("--max-title-length", -1),
        ("--encoder-layers", 0),
        ("--encoder-embed-dim", 0),
        ("--encoder-embed-dim", 17),
        ("--encoder-ffn-embed-dim", -1),
        ("--encoder-attention-heads", 0),
        ("--encoder-attention-heads", 3),
        ("--dropout", 1.5),
        ("--attention-dropout", -0.1),
        ("--dropout", float("nan")),
    ],
)
def test_impossible_sizes_are_refused_in_one_line(flag, value):
    with pytest.raises(InputError, match=f"{flag} {value}|{flag} is {value}") as refused:
        model(**{flag[2:].replace("-", "_"): value})
    assert "\n" not in str(refused.value)


def test_the_cpu_kernels_are_left_out_on_demand():
    assert model().encoder.cpu_kernels
    assert not model(no_cpu_kernels=True).encoder.cpu_kernels
