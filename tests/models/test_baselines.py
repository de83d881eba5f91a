"""What all models share, and what is each baseline's own."""

import math
import types

import pytest
import torch
import torch.nn.functional as F
from fairseq.criterions.masked_lm import MaskedLmConfig, MaskedLmLoss
from fairseq.data import Dictionary
from fairseq.models import ARCH_CONFIG_REGISTRY

from fairseq_item.data.patches import patchify
from fairseq_item.models.clip import ClipConfig, ClipModel
from fairseq_item.models.item import ItemModel, ItemModelConfig
from fairseq_item.models.resnet import ResNetConfig, ResNetModel
from fairseq_item.models.roberta import RobertaConfig, RobertaModel
from fairseq_item.modules.contrastive import symmetric_contrast

INPUT = {"image_size": 16, "patch_size": 4, "max_title_length": 6}
SIZES = {
    "encoder_layers": 2,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 2,
}
KINDS = {
    "item": (ItemModel, ItemModelConfig, {**INPUT, **SIZES}),
    "clip": (ClipModel, ClipConfig, {**INPUT, **SIZES, "joint_dim": 12}),
    "roberta": (RobertaModel, RobertaConfig, {**INPUT, **SIZES}),
    "resnet": (ResNetModel, ResNetConfig, {**INPUT, "depth": "18", "width": 4}),
}
EMBEDDING = {"item": 16, "clip": 24, "roberta": 16, "resnet": 32}
FEATURES = {"item": 16, "clip": 32, "roberta": 16, "resnet": 32}
kinds = pytest.mark.parametrize("kind", KINDS)


def dictionary():
    d = Dictionary()
    for i in range(40):
        d.add_symbol(f"w{i}")
    d.add_symbol("<mask>")
    return d


def model(kind, seed=0, **changes):
    built, config, sizes = KINDS[kind]
    torch.manual_seed(seed)
    task = types.SimpleNamespace(source_dictionary=dictionary())
    made = built.build_model(config(**{**sizes, **changes}), task)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if kind != "resnet" and name != "logit_scale":  # differences between products must show
                parameter.add_(0.2 * torch.randn_like(parameter))
    return made


def batch(rows=5, width=8, seed=0):
    """Titles of 0, 1, 2, ... tokens and random images."""
    generator = torch.Generator().manual_seed(seed)
    title = torch.full((rows, width), 1)
    for row in range(rows):
        length = row % (width - 1)
        title[row, 0], title[row, length + 1] = 0, 2
        title[row, 1 : length + 1] = torch.randint(4, 44, (length,), generator=generator)
    patches = torch.randint(0, 256, (rows, 16, 48), dtype=torch.uint8, generator=generator)
    return title, patches


@kinds
def test_shapes(kind):
    built = model(kind).eval()
    title, patches = batch()
    assert built.embedding_dim == EMBEDDING[kind]
    for part in built.embed(title, patches):
        assert part.shape == (5, EMBEDDING[kind])
        assert part.dtype == torch.float32
    assert built.features(title, patches).shape == (5, FEATURES[kind])
    built.add_classifier(3)
    assert built.eval()(title=title, patches=patches).shape == (5, 3)
    assert {part.shape for part in built.embed(title, patches)} == {(5, built.embedding_dim)}


@pytest.mark.parametrize("kind", ["item", "clip", "resnet"])  # fairseq's RoBERTa does wait
def test_no_forward_pass_waits_for_the_gpu(fake_gpu, kind):
    title, patches = batch()
    with fake_gpu({"title": title, "patches": patches}) as inputs:
        built = model(kind).eval()
        parts = built.embed(**inputs, has_image=torch.ones(5, dtype=torch.bool))
        results = [*parts, built.features(**inputs)]
        if kind == "clip":
            results += symmetric_contrast(*built.train()(**inputs), slice(0, 5))
        built.add_classifier(3)
        results.append(built(**inputs))
    assert {result.device.type for result in results} == {"cuda"}


@kinds
def test_an_embedding_does_not_depend_on_its_batch(kind):
    built = model(kind).eval()
    title, patches = batch()
    together = built.embed(title, patches)[0]
    assert (together[1:].norm(dim=1) > 0).all()
    assert (together[1] - together[2]).abs().max() > 1e-3
    for row in range(5):
        own = title[row, : (title[row] != 1).sum()]
        alone = built.embed(own[None], patches[row : row + 1])[0]
        assert torch.allclose(alone[0], together[row], atol=1e-5)


@pytest.mark.parametrize("kind", ["clip", "roberta", "resnet"])
def test_baselines_have_one_embedding(kind):
    built = model(kind).eval()
    _, title, image = built.embed(*batch())
    assert not title.any()
    assert not image.any()


def test_what_a_product_lacks_is_zero():
    title, patches = batch(4)
    has = torch.tensor([True, True, False, True])
    clip = model("clip").eval().embed(title, patches, has)[0]
    words, image = clip.chunk(2, dim=1)
    assert (words.norm(dim=1) > 0.99).tolist() == [False, True, True, True]
    assert not words[0].any()
    assert (image.norm(dim=1) > 0.99).tolist() == has.tolist()
    resnet = model("resnet").eval().embed(title, patches, has)[0]
    assert (resnet.norm(dim=1) > 0).tolist() == has.tolist()
    roberta = model("roberta").eval().embed(title, patches, has)[0]
    assert (roberta.norm(dim=1) > 0).tolist() == [False, True, True, True]


@kinds
def test_a_classifier_starts_from_pretrained_weights(kind):
    pretrained, classifier = model(kind, seed=1), model(kind, seed=2)
    classifier.add_classifier(3)
    head = classifier.classifier.linear.weight.clone()
    classifier.load_state_dict(pretrained.state_dict())
    assert torch.equal(classifier.classifier.linear.weight, head)
    title, patches = batch()
    expected = pretrained.eval().features(title, patches)
    assert torch.equal(classifier.eval().features(title, patches), expected)


@kinds
def test_a_classifier_is_loaded_with_its_head(kind):
    first, second = model(kind, seed=1), model(kind, seed=2)
    for built in (first, second):
        built.add_classifier(3)
    second.load_state_dict(first.state_dict())
    inputs = batch()
    assert torch.equal(second.eval().classify(*inputs), first.eval().classify(*inputs))
    third = model(kind, seed=3)
    third.add_classifier(4)  # other leaf categories: a new head
    third.load_state_dict(first.state_dict())
    assert third.eval().classify(*inputs).shape == (5, 4)


@kinds
def test_every_trained_parameter_of_a_classifier_has_a_gradient(kind):
    """What is left without one makes fairseq's default ``--ddp-backend`` stop."""
    built = model(kind)
    built.add_classifier(3)
    title, patches = batch()
    built(title=title, patches=patches).logsumexp(1).sum().backward()
    missing = [n for n, p in built.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []


@kinds
def test_bfloat16_stays_close_and_parameters_stay_float32(kind):
    exact, low = model(kind), model(kind, compute_dtype="bfloat16")
    low.load_state_dict(exact.state_dict())
    title, patches = batch()
    with torch.inference_mode():
        one, other = (built.eval().embed(title, patches)[0] for built in (exact, low))
    assert other.dtype == torch.float32
    assert not torch.equal(one, other)
    assert F.cosine_similarity(one, other)[1:].min() > 0.99
    assert {p.dtype for p in low.parameters()} == {torch.float32}


@kinds
def test_drawing_weights_anew_leaves_nothing_learnt(kind):
    built, fresh = model(kind, seed=1), model(kind, seed=2)
    with torch.no_grad():
        for value in built.state_dict().values():
            value.fill_(7)
    torch.manual_seed(3)
    built.reset_parameters()
    torch.manual_seed(3)
    fresh.reset_parameters()
    other = fresh.state_dict()
    for name, value in built.state_dict().items():
        if not name.endswith(("version", "num_batches_tracked")):
            assert torch.equal(value, other[name]), name


def overfit(built, loss, lr, updates=30):
    """Losses over some updates on one batch."""
    optimizer = torch.optim.AdamW(built.parameters(), lr)
    losses = []
    for _ in range(updates):
        value = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    return losses


@kinds
def test_a_classifier_learns(kind):
    built = model(kind, dropout=0.0) if kind != "resnet" else model(kind)
    built.add_classifier(3, dropout=0.0)
    title, patches = batch(6)
    target = torch.tensor([0, 1, 2, 0, 1, 2])

    def loss():
        return F.cross_entropy(built(title=title, patches=patches), target)

    losses = overfit(built, loss, 3e-3)
    assert losses[-1] < 0.5 * losses[0]


def test_clip_learns_to_tell_products_apart():
    built = model("clip", dropout=0.0, attention_dropout=0.0)
    inputs = batch(6)
    start = built.logit_scale.item()
    losses = overfit(
        built, lambda: symmetric_contrast(*built(*inputs), slice(0, 6))[0].mean(), 3e-3
    )
    assert losses[-1] < 0.5 * losses[0]
    assert built.logit_scale.item() != start


def test_roberta_learns_fairseqs_objective():
    built = model("roberta", dropout=0.0, attention_dropout=0.0)
    title, _ = batch(6)
    masked = title.clone()
    masked[:, 2][title[:, 2] > 3] = 44
    target = torch.where(masked == title, 1, title)
    sample = {
        "net_input": {"title": masked},
        "target": target,
        "ntokens": 9,
        "nsentences": 6,
    }
    task = types.SimpleNamespace(target_dictionary=dictionary())
    criterion = MaskedLmLoss(MaskedLmConfig(tpu=False), task)

    def loss():
        value, size, _ = criterion(built, sample)
        assert int(size) == (target != 1).sum()
        return value / size

    losses = overfit(built, loss, 3e-3)
    assert losses[-1] < 0.5 * losses[0]


def test_the_temperature_starts_where_told_and_never_passes_its_limit():
    built = model("clip", temperature=0.05)
    assert built(*batch()).scale.item() == pytest.approx(20)
    with torch.no_grad():
        built.logit_scale.fill_(math.log(1e4))
    assert built(*batch()).scale.item() == pytest.approx(100)
    built(*batch()).scale.backward()
    assert built.logit_scale.grad.item() == pytest.approx(100)  # and it can come back


def test_clip_of_an_old_checkpoint_is_read():
    """Its tower and projection of images, and its temperature, had other names."""
    names = {"image": "picture", "image_projection": "picture_projection"}
    names["logit_scale"] = "log_scale"
    trained, fresh = model("clip", seed=1), model("clip", seed=2)
    old = {}
    for key, value in trained.state_dict().items():
        first, dot, rest = key.partition(".")
        old[names.get(first, first) + dot + rest] = value
    assert {"log_scale", "picture.cls", "picture_projection.weight"} <= set(old)
    fresh.load_state_dict(old)
    inputs = batch()
    assert torch.equal(fresh.eval().embed(*inputs)[0], trained.eval().embed(*inputs)[0])


def test_clips_towers_see_one_modality_each():
    built = model("clip").eval()
    title, patches = batch()
    words, images, _ = built(title, patches)
    assert torch.allclose(words.norm(dim=1), torch.ones(5))
    other_words, other_images, _ = built(title.flip(0), patches)
    assert torch.equal(other_images, images)
    assert torch.allclose(other_words, words.flip(0), atol=1e-6)
    both = built.embed(title, patches)[0]
    assert torch.allclose(both[1:], torch.cat([words, images], 1)[1:], atol=1e-6)


@pytest.mark.parametrize("layers", ["last", "all"])
def test_clip_is_read_as_item_is(layers):
    """Means over tokens and patches, computed by hand from the states of each tower."""
    built = model("clip", embed_layers=layers).eval()
    title, patches = batch()
    has = torch.tensor([True, False, True, True, True])
    whole, words, image = built.embed(title, patches, has)
    assert whole.shape == words.shape == image.shape == (5, built.embedding_dim)
    published = model("clip").eval().embed(title, patches, has)[0]
    assert torch.allclose(whole, published, atol=1e-6)
    sequence, present = built.title.sequence(title)
    states = [sequence, *built.title.encoder.states(sequence, present)]
    states = torch.stack(states).mean(0) if layers == "all" else states[-1]
    pixels = built.image.encoder.last(built.image.sequence(patches))
    for row in range(5):
        mean = states[row, 1 : row + 1].mean(0) if row else torch.zeros(16)
        assert torch.allclose(words[row, :16], mean, atol=1e-5)
        assert torch.allclose(image[row, :16], has[row] * pixels[row, 1:].mean(0), atol=1e-5)
    assert not words[:, 16:].any()  # as wide as the global embedding


def test_clip_gives_embeddings_of_the_pass_that_it_compares():
    built = model("clip", dropout=0.0, attention_dropout=0.0, embed_layers="all")
    inputs = batch()
    contrasted, embeddings = built(*inputs, with_embeddings=True)
    for one, other in zip(contrasted, built(*inputs)):
        assert torch.allclose(one, other, atol=1e-6)
    for one, other in zip(embeddings, built.embed_last(*inputs)):
        assert torch.equal(one, other)


def test_roberta_is_read_as_item_is():
    title, patches = batch()
    published = model("roberta").eval().embed(title)[0]
    cls, mean, image = model("roberta", embed_layers="last").eval().embed(title, patches)
    assert torch.equal(mean, published)
    assert torch.equal(cls, model("roberta").eval().features(title))
    assert not image.any()
    built = model("roberta", embed_layers="all", dropout=0.0, attention_dropout=0.0)
    _, mean, _ = built.embed(title)
    _, extra = built.encoder.extract_features(title, return_all_hiddens=True)
    assert len(extra["inner_states"]) == 3  # the input and two layers
    states = sum(extra["inner_states"]).transpose(0, 1) / 3
    for row in range(1, 5):
        assert torch.allclose(mean[row], states[row, 1 : row + 1].mean(0), atol=1e-6)
    evaluated = built.eval().embed(title)[1]
    assert torch.allclose(evaluated, mean, atol=1e-5)


def test_robertas_embedding_is_the_mean_over_the_tokens():
    built = model("roberta").eval()
    title, _ = batch()
    states = built.states(title)
    mean = built.embed(title)[0]
    for row in range(1, 5):
        assert torch.allclose(mean[row], states[row, 1 : row + 1].mean(0), atol=1e-6)
    assert torch.equal(built.features(title), states[:, 0])


def test_robertas_evaluation_computes_what_training_does():
    built = model("roberta", dropout=0.0, attention_dropout=0.0)
    title, _ = batch()
    trained = built.train().states(title).detach()
    with torch.inference_mode():
        evaluated = built.eval().states(title)
    real = title != 1
    assert torch.allclose(evaluated[real], trained[real], atol=1e-5)


def test_resnet_sees_the_image_that_was_cut_into_patches():
    built = model("resnet")
    image = torch.randint(0, 256, (16, 16, 3), dtype=torch.uint8)
    patches = torch.from_numpy(patchify(image.numpy(), 4))
    expected = image.permute(2, 0, 1) / 127.5 - 1.0
    assert torch.allclose(built.images(patches[None])[0], expected)


def test_resnet_of_the_common_width_is_torchvisions():
    from torchvision.models import resnet18, resnet50

    for depth, build in (("18", resnet18), ("50", resnet50)):
        with torch.device("meta"):
            ours = ResNetModel(ResNetConfig(depth=depth)).network
            theirs = build().state_dict()
        shapes = {name: value.shape for name, value in ours.state_dict().items()}
        assert shapes == {n: v.shape for n, v in theirs.items() if not n.startswith("fc.")}


@pytest.mark.parametrize("family", ["item_clip", "item_roberta"])
def test_sizes_are_those_of_item(family):
    for size in ("tiny", "small", "base"):
        sizes = []
        for arch in (f"item_{size}", f"{family}_{size}"):
            args = types.SimpleNamespace()
            ARCH_CONFIG_REGISTRY[arch](args)
            sizes.append({k: v for k, v in vars(args).items() if k.startswith("encoder_")})
        assert sizes[0] == sizes[1]


@pytest.mark.parametrize("size", ["tiny", "small", "base"])
def test_sizes_of_resnet(size):
    args, item = types.SimpleNamespace(), types.SimpleNamespace()
    ARCH_CONFIG_REGISTRY[f"item_resnet_{size}"](args)
    ARCH_CONFIG_REGISTRY[f"item_{size}"](item)
    assert args.image_size == item.image_size
    assert (args.depth, args.width) == {
        "tiny": ("18", 24),
        "small": ("18", 64),
        "base": ("50", 64),
    }[size]
    given = types.SimpleNamespace(width=8, image_size=32)
    ARCH_CONFIG_REGISTRY[f"item_resnet_{size}"](given)
    assert (given.width, given.image_size) == (8, 32)
