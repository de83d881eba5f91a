"""Starting from a BERT's and a ViT's weights: the same numbers as by their own formulas."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from fairseq.data import Dictionary
from torch import nn

from fairseq_item.errors import InputError
from fairseq_item.models.clip import ClipConfig, ClipModel
from fairseq_item.models.item import ItemModel, ItemModelConfig
from fairseq_item.models.pretrained_start import start

DIM, FFN, HEADS, LAYERS, POSITIONS = 12, 20, 3, 2, 16
VOCABULARY = ["[PAD]", "▁a", "▁b", "[UNK]", "[CLS]", "[SEP]", "c", "▁d", "[MASK]", "e"]


def dictionary():
    """That of item-bpe --vocab: the vocabulary in its order, then <mask>."""
    symbols = Dictionary()
    for symbol in (*VOCABULARY, "<mask>"):
        symbols.add_symbol(symbol)
    return symbols


def bert(prefix="", norm=("weight", "bias")):
    """The weights of a small BERT in Hugging Face's names."""
    rng = torch.Generator().manual_seed(0)
    state = {"cls.predictions.bias": torch.zeros(len(VOCABULARY))}

    def put(name, *shape):
        values = 0.5 * torch.randn(*shape, generator=rng)
        state[prefix + name.format(*norm)] = values

    for name, rows in (("word", len(VOCABULARY)), ("position", POSITIONS), ("token_type", 2)):
        put(f"embeddings.{name}_embeddings.weight", rows, DIM)
    norms = ["embeddings"]
    for layer in (f"encoder.layer.{i}" for i in range(LAYERS)):
        sizes = {f"attention.self.{name}": (DIM, DIM) for name in ("query", "key", "value")}
        sizes |= {"attention.output.dense": (DIM, DIM)}
        sizes |= {"intermediate.dense": (FFN, DIM), "output.dense": (DIM, FFN)}
        for name, size in sizes.items():
            put(f"{layer}.{name}.weight", *size)
            put(f"{layer}.{name}.bias", size[0])
        norms += [f"{layer}.attention.output", f"{layer}.output"]
    for name in norms:
        put(f"{name}.LayerNorm.{{0}}", DIM)
        put(f"{name}.LayerNorm.{{1}}", DIM)
    return state


def states_of(state, ids):
    """Input and states of each layer by BERT's formulas, one sequence: list of (L, DIM)."""

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(1, keepdim=True)
        scaled = centred / (centred.pow(2).mean(1, keepdim=True) + 1e-12).sqrt()
        return scaled * state[f"{name}.LayerNorm.weight"] + state[f"{name}.LayerNorm.bias"]

    words, positions, types = (
        state[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
    )
    x = norm(words[ids] + positions[: len(ids)] + types[0], "embeddings")
    found = [x]
    for layer in (f"encoder.layer.{i}" for i in range(LAYERS)):
        q, k, v = (
            linear(x, f"{layer}.attention.self.{name}").view(len(ids), HEADS, -1).transpose(0, 1)
            for name in ("query", "key", "value")
        )
        weights = (q @ k.transpose(1, 2) / math.sqrt(DIM / HEADS)).softmax(-1)
        mixed = (weights @ v).transpose(0, 1).flatten(1)
        x = norm(x + linear(mixed, f"{layer}.attention.output.dense"), f"{layer}.attention.output")
        hidden = F.gelu(linear(x, f"{layer}.intermediate.dense"))
        x = norm(x + linear(hidden, f"{layer}.output.dense"), f"{layer}.output")
        found.append(x)
    return found


KINDS = {"item": (ItemModel, ItemModelConfig), "clip": (ClipModel, ClipConfig)}
kinds = pytest.mark.parametrize("kind", KINDS)


def build(symbols=None, kind="item", **changes):
    """A model that fits ``bert()``, started as its configuration says."""
    made, config = KINDS[kind]
    sizes = {
        "encoder_layers": LAYERS,
        "encoder_embed_dim": DIM,
        "encoder_ffn_embed_dim": FFN,
        "encoder_attention_heads": HEADS,
        "image_size": 8,
        "patch_size": 4,
        "max_title_length": 10,
    }
    cfg = config(**{**sizes, **changes})
    symbols = symbols or dictionary()
    torch.manual_seed(0)
    model = made(cfg, len(symbols), symbols.pad(), symbols.bos(), symbols.eos()).eval()
    start(model, cfg, symbols)
    return model


def save(path, state):
    torch.save(state, path)
    return str(path)


@torch.no_grad()
def title_states(model, symbols):
    """Our input and states of each layer for a title that every special token is in."""
    title = torch.tensor([[symbols.bos(), *(symbols.index(s) for s in TITLE), symbols.eos()]])
    if isinstance(model, ClipModel):
        model = model.title
        sequence, present = model.sequence(title)
    else:
        sizes = model.geometry
        patches = torch.zeros(1, sizes.patches, sizes.patch_dim, dtype=torch.uint8)
        sequence, present = model.sequence(title, patches, has_image=torch.tensor([False]))
    states = [sequence, *model.encoder.states(sequence, present)]
    return [state[0, : title.size(1)] for state in states]


TITLE = ["▁a", "c", "<unk>", "▁d", "<mask>", "e"]
BERT_IDS = [4, 1, 6, 3, 7, 8, 9, 5]  # [CLS] a ##c [UNK] d [MASK] ##e [SEP], rows of VOCABULARY


@pytest.mark.parametrize(
    ("prefix", "norm"), [("", ("weight", "bias")), ("bert.", ("gamma", "beta"))], ids=["new", "old"]
)
@kinds
def test_on_text_alone_the_states_are_those_of_bert(tmp_path, kind, prefix, norm):
    model = build(kind=kind, init_text=save(tmp_path / "bert.bin", bert(prefix, norm)))
    found, expected = title_states(model, dictionary()), states_of(bert(), BERT_IDS)
    assert len(found) == len(expected) == LAYERS + 1
    torch.testing.assert_close(found[0], expected[0])
    for own, theirs in zip(found, expected):  # their LayerNorms add 1e-12, ours 1e-5
        torch.testing.assert_close(own, theirs, atol=1e-4, rtol=1e-4)


def test_safetensors(tmp_path):
    saved = pytest.importorskip("safetensors.torch")
    saved.save_file(bert(), tmp_path / "bert.safetensors")
    model = build(init_text=str(tmp_path / "bert.safetensors"))
    torch.testing.assert_close(
        title_states(model, dictionary())[-1], states_of(bert(), BERT_IDS)[-1], atol=1e-4, rtol=1e-4
    )
    (tmp_path / "bad.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="bad.safetensors does not hold the weights of a BERT"):
        build(init_text=str(tmp_path / "bad.safetensors"))


def test_a_model_of_fewer_layers_takes_the_first_ones(tmp_path):
    model = build(init_text=save(tmp_path / "bert.bin", bert()), encoder_layers=1)
    found, expected = title_states(model, dictionary()), states_of(bert(), BERT_IDS)
    torch.testing.assert_close(found[-1], expected[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "changes", [{"encoder_layers": 3}, {"encoder_ffn_embed_dim": 24}], ids=["layers", "ffn"]
)
def test_where_the_layers_do_not_fit_the_input_alone_is_started_from(tmp_path, caplog, changes):
    drawn = build(**changes)
    model = build(init_text=save(tmp_path / "bert.bin", bert()), **changes)
    found, expected = title_states(model, dictionary()), states_of(bert(), BERT_IDS)
    torch.testing.assert_close(found[0], expected[0])
    for own, first in zip(model.encoder.parameters(), drawn.encoder.parameters()):
        assert torch.equal(own, first)
    assert "its layers do not fit" in caplog.text


def test_the_rest_is_as_drawn(tmp_path):
    drawn, model = build(), build(init_text=save(tmp_path / "bert.bin", bert()))
    assert torch.equal(model.embedding.patch.weight, drawn.embedding.patch.weight)
    assert torch.equal(model.embedding.modality.weight[1], drawn.embedding.modality.weight[1])
    assert not model.embedding.token.weight[dictionary().pad()].any()
    assert model.vocabulary.embedding.weight is model.embedding.token.weight


def test_the_rest_of_clip_is_as_drawn(tmp_path):
    drawn = build(kind="clip", joint_dim=8)
    model = build(kind="clip", joint_dim=8, init_text=save(tmp_path / "bert.bin", bert()))
    started = {f"title.{name}" for name, _ in model.title.named_parameters()}
    for name, own in model.named_parameters():
        assert (name in started) != torch.equal(own, drawn.get_parameter(name)), name


def test_what_does_not_fit(tmp_path):
    file = save(tmp_path / "bert.bin", bert())
    other = Dictionary()
    for symbol in ("▁a", "<mask>"):
        other.add_symbol(symbol)
    with pytest.raises(InputError, match="has 10 tokens, dict.txt 1, or others; make it with item"):
        build(other, init_text=file)
    with pytest.raises(InputError, match="has 16 positions; take --max-title-length 14"):
        build(init_text=file, max_title_length=15)
    with pytest.raises(InputError, match="is 12 wide, the model 24; take --encoder-embed-dim 12"):
        build(init_text=file, encoder_embed_dim=24)
    with pytest.raises(InputError, match="has no embeddings.word_embeddings.weight"):
        build(init_text=save(tmp_path / "other.bin", {"x": torch.zeros(1)}))
    with pytest.raises(InputError, match="none.bin cannot be read"):
        build(init_text=str(tmp_path / "none.bin"))
    (tmp_path / "config.json").write_text("of something else")
    build(init_text=file)
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 4}))
    with pytest.raises(InputError, match="has 4 heads; add --encoder-attention-heads 4"):
        build(init_text=file)


def vit(layout, grid=2):
    """A ViT's input weights, and its own patch embedding: (state, module, positions)."""
    rng = torch.Generator().manual_seed(1)
    conv = nn.Conv2d(3, DIM, 4, 4)
    positions = torch.randn(1, 1 + grid * grid, DIM, generator=rng)
    names = {
        "torchvision": ("conv_proj", "encoder.pos_embedding"),
        "timm": ("patch_embed.proj", "pos_embed"),
    }[layout]
    state = {f"{names[0]}.{name}": value for name, value in conv.state_dict().items()}
    return {**state, names[1]: positions}, conv, positions[0, 1:]


@pytest.mark.parametrize(
    ("layout", "mean", "std"),
    [
        ("torchvision", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("timm", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ],
)
@kinds
@torch.no_grad()
def test_patches_are_projected_as_the_vit_does(tmp_path, kind, layout, mean, std):
    from fairseq_item.data.patches import patchify

    state, conv, positions = vit(layout)
    parts = build(kind=kind, init_image=save(tmp_path / "vit.pth", state)).image_parts()
    rng = torch.Generator().manual_seed(2)
    image = torch.randint(0, 256, (8, 8, 3), generator=rng, dtype=torch.uint8)
    patches = torch.from_numpy(patchify(image.numpy(), 4))
    found = parts["patch"](patches.float() / 127.5 - 1)
    pixels = (image.permute(2, 0, 1) / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[
        :, None, None
    ]
    torch.testing.assert_close(found, conv(pixels[None])[0].flatten(1).T, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(parts["positions"], positions)


@torch.no_grad()
def test_positions_are_interpolated_to_the_grid(tmp_path):
    state, _, _ = vit("timm", grid=4)
    # A value that rises to the right does so on the coarser grid, and is the same in each row.
    ramp = torch.arange(4.0).repeat(4)
    state["pos_embed"] = torch.cat([torch.zeros(1), ramp])[None, :, None].expand(1, 17, DIM)
    parts = build(init_image=save(tmp_path / "vit.pth", state)).embedding
    grid = parts.patch_position.weight[:, 0].view(2, 2)
    assert torch.equal(grid[0], grid[1])
    assert 0 <= grid[0, 0] < 1 < 2 < grid[0, 1] <= 3
    state["pos_embed"] = state["pos_embed"][:, 1:]  # of a ViT without a class token
    again = build(init_image=save(tmp_path / "vit.pth", state)).embedding
    assert torch.equal(again.patch_position.weight, parts.patch_position.weight)


def test_a_vit_that_does_not_fit(tmp_path):
    file = save(tmp_path / "vit.pth", vit("timm")[0])
    with pytest.raises(InputError, match="is 12 wide with patches of 4 pixels, the model 24 with"):
        build(init_image=file, encoder_embed_dim=24)
    with pytest.raises(InputError, match="has no patch_embed.proj.weight; give a ViT"):
        build(init_image=save(tmp_path / "other.pth", {"x": torch.zeros(1)}))
