"""The fast path against a plain one: all places, one product after another, no fused kernel."""

import math
import types

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from fairseq.distributed import ModuleProxyWrapper
from fairseq.utils import has_parameters
from torch.nn.parallel import DistributedDataParallel

from fairseq_item.criterions.item_pretraining import (
    ItemPretrainingCriterion,
    ItemPretrainingCriterionConfig,
)
from fairseq_item.criterions.view_contrast import ViewContrast
from fairseq_item.models.item import ItemModel, ItemModelConfig

PATCHES, PIXELS, VOCABULARY = 4, 48, 45


def model(**changes):
    sizes = {"encoder_layers": 2, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 32}
    cfg = ItemModelConfig(
        **sizes, encoder_attention_heads=2, image_size=8, patch_size=4, max_title_length=12,
        dropout=0.0, attention_dropout=0.0, **changes,
    )  # fmt: skip
    torch.manual_seed(0)
    built = ItemModel(cfg, VOCABULARY, 1, 0, 2)
    with torch.no_grad():  # larger than at the start: differences must show
        for parameter in built.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return built.train()


def sample(lengths=(12, 3, 6, 1)):
    """A batch of titles of these lengths, with masks."""
    rng = torch.Generator().manual_seed(2)
    title = torch.full((len(lengths), max(lengths) + 2), 1)
    for row, n in enumerate(lengths):
        title[row, 0], title[row, n + 1] = 0, 2
        title[row, 1 : n + 1] = torch.randint(4, VOCABULARY, (n,), generator=rng)
    patches = torch.randint(0, 256, (len(lengths), PATCHES, PIXELS), generator=rng)
    masked = (title > 3).flatten().nonzero().flatten()[::4]
    masked_patches = torch.tensor([1, 6, 8, 15])
    return {
        "net_input": {
            "title": title,
            "patches": patches.to(torch.uint8),
            "hidden_patches": masked_patches[1:],
            "masked_title": masked,
            "masked_patches": masked_patches,
        },
        "nsentences": len(lengths),
        "ntokens": int((title != 1).sum()),
        "match": torch.arange(len(lengths)) % 2,
        "title_targets": torch.randint(4, VOCABULARY, (len(masked),), generator=rng),
        "title_weights": torch.rand(len(masked), generator=rng),
        "patch_weights": torch.rand(len(masked_patches), generator=rng),
    }


def linear(module, x):
    return x @ module.weight.T + module.bias


def norm(module, x):
    centred = x - x.mean(-1, keepdim=True)
    deviation = (centred.square().mean(-1, keepdim=True) + module.eps).sqrt()
    return centred / deviation * module.weight + module.bias


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def transform(head, x):
    """The two layers of GMLM and GMIM."""
    first, _, first_norm, second, _, second_norm = head.layers
    return norm(second_norm, gelu(linear(second, norm(first_norm, gelu(linear(first, x))))))


def encode_one(own, title, patches, hidden):
    """Hidden states of one product: title without padding (t,), patches (m, pixels)."""
    e = own.embedding
    words = e.token.weight[title] + e.title_position.weight[: len(title)] + e.modality.weight[0]
    image = linear(e.patch, patches.float() / 127.5 - 1)
    image = torch.where(hidden[:, None], e.mask_patch, image)
    image = image + e.patch_position.weight + e.modality.weight[1]
    x = norm(e.norm, torch.cat([words, image]))
    for layer in own.encoder.layers:
        q, k, v = linear(layer.qkv, x).chunk(3, dim=1)
        size, mixed = q.size(1) // layer.heads, []
        for a in range(0, q.size(1), size):
            part = slice(a, a + size)
            mixed.append((q[:, part] @ k[:, part].T / size**0.5).softmax(-1) @ v[:, part])
        x = norm(layer.attention_norm, x + linear(layer.out, torch.cat(mixed, 1)))
        x = norm(layer.ffn_norm, x + linear(layer.fc2, gelu(linear(layer.fc1, x))))
    return x[: len(title)], x[len(title) :]


def reference_loss(own, batch):
    """The paper's weighted sum, place by place."""
    inputs, wide = batch["net_input"], batch["net_input"]["title"].size(1)
    hidden = torch.zeros(len(inputs["title"]) * PATCHES, dtype=torch.bool)
    hidden[inputs["hidden_patches"]] = True
    hidden = hidden.view(-1, PATCHES)
    states = [
        encode_one(own, title[title != 1], patches, mask)
        for title, patches, mask in zip(
            inputs["title"], inputs["patches"], hidden.view(-1, PATCHES)
        )
    ]
    token = own.embedding.token.weight
    loss = sum(
        F.cross_entropy(linear(own.itm, words[0]), match)
        for (words, _), match in zip(states, batch["match"])
    )
    tokens = zip(inputs["masked_title"].tolist(), batch["title_targets"], batch["title_weights"])
    for place, target, weight in tokens:
        words, at = states[place // wide][0], place % wide
        one = norm(own.mlm.norm, gelu(linear(own.mlm.dense, words[at])))
        other = torch.cat([words[0], own.embedding.title_position.weight[at]])
        for y in (one, transform(own.gmlm, other)):
            loss = loss + 0.1 * weight * F.cross_entropy(token @ y + own.vocabulary.bias, target)
    for place, weight in zip(inputs["masked_patches"].tolist(), batch["patch_weights"]):
        (words, image), at = states[place // PATCHES], place % PATCHES
        truth = inputs["patches"][place // PATCHES, at] / 255.0
        other = torch.cat([words[0], own.embedding.patch_position.weight[at]])
        one = linear(own.mim, image[at])
        for z in (one, linear(own.gmim_pixels, transform(own.gmim, other))):
            loss = loss + 0.01 * weight * (z - truth).square().sum()
    return loss


def criterion(view_contrast_weight=0.0, **changes):
    cfg = ItemPretrainingCriterionConfig(
        mismatch_prob=0.5,
        masked_losses_on="all",
        view_contrast_weight=view_contrast_weight,
        **changes,
    )
    return ItemPretrainingCriterion(types.SimpleNamespace(target_dictionary=None), cfg)


@pytest.mark.parametrize("lengths", [(12, 3, 6, 1), (5, 5, 5, 5)], ids=["ragged", "alike"])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(
    ("dtype", "of_loss", "of_gradient"),
    [("float32", 1e-6, 1e-4), ("bfloat16", 0.01, 0.05)],
)
def test_loss_and_gradients_are_the_reference_s(dtype, of_loss, of_gradient, recompute, lengths):
    """``of_gradient``: of all parameters together, as a share of the reference's norm."""
    plain = model()
    own = model(compute_dtype=dtype, checkpoint_activations=recompute)
    own.load_state_dict(plain.state_dict())
    batch = sample(lengths)
    exact = reference_loss(plain, batch)
    loss, size, _ = criterion()(own, batch)
    assert size == len(lengths)
    assert loss.item() == pytest.approx(exact.item(), rel=of_loss)
    exact.backward()
    loss.backward()
    expected, found = (torch.cat([p.grad.flatten() for p in m.parameters()]) for m in (plain, own))
    assert (found - expected).norm() < of_gradient * expected.norm()


@pytest.mark.parametrize("views", ["none", "joint", "separate"])
@pytest.mark.parametrize("recompute", [False, True])
def test_no_loss_waits_for_the_gpu(fake_gpu, recompute, views):
    batch = sample()
    if views != "none":
        batch["view"] = {key: batch["net_input"][key] for key in ("title", "patches")}
        batch["view"]["has_image"] = torch.tensor([True, True, False, True])
    with fake_gpu(batch) as moved:
        own = model(checkpoint_activations=recompute)
        loss_of = criterion(float(views != "none"), separate_views=views == "separate")
        loss, _, log = loss_of(own, moved)
    assert loss.device.type == "cuda"
    assert ("view_sum" in log) == (views != "none")


def test_separate_views_are_the_product_s_title_and_image_alone():
    own, batch = model().eval(), sample()
    title, patches = (batch["net_input"][key] for key in ("title", "patches"))
    of_title, of_image = own.embed_separately(title, patches)
    no_image = own.embed_last(title, patches, torch.zeros(len(title), dtype=torch.bool))
    no_title = own.embed_last(torch.tensor([own.special[1:]] * len(title)), patches)
    for found, expected in zip((*of_title, *of_image), (*no_image[:2], *no_title[::2])):
        assert torch.allclose(found, expected, atol=1e-6)


def test_separate_views_are_contrasted_with_the_product_and_with_one_another():
    own, batch = model().eval(), sample()
    batch["view"] = {key: batch["net_input"][key] for key in ("title", "patches")}
    batch["match"] = torch.tensor([1, 0, 1, 1])
    temperature = {"view_temperature": 0.5, "freeze_view_temperature": True}
    found = criterion(2.0, separate_views=True, **temperature)(own, batch)[0]
    plain = criterion(0.0)(own, batch)[0]
    _, whole = own(**batch["net_input"], with_embeddings=True)
    of_title, of_image = own.embed_separately(**batch["view"])
    right = ((of_title[0], of_image[0]), (of_title[1],), (of_image[1],))
    contrast = ViewContrast(0.5, learned=False, pairs=1)
    expected = contrast([of_title[0]], [of_image[0]], torch.ones(4, dtype=torch.long))[0]
    for anchor, views in zip(whole, right):
        for view in views:  # half of the products have their own title, by the settings
            expected = expected + contrast([anchor], [view], batch["match"])[0] / 0.5
    assert float(found - plain) == pytest.approx(2.0 * float(expected) / 5, rel=1e-4)


@pytest.fixture
def process_group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def wrapped(module):
    """As fairseq's default ``--ddp-backend`` does it, which needs GPUs to be run itself."""
    return ModuleProxyWrapper(DistributedDataParallel(module))


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_second_views_under_distributed_data_parallel(frozen, separate):
    """It stops where a parameter has no gradient, of the model or of the criterion."""
    batch = sample()
    batch["view"] = {key: batch["net_input"][key] for key in ("title", "patches")}
    batch["view"]["has_image"] = torch.tensor([True, True, False, True])
    gradients = []
    for wrap in (lambda module: module, wrapped):
        own = model()
        loss_of = criterion(1.0, freeze_view_temperature=frozen, separate_views=separate)
        assert has_parameters(loss_of) != frozen  # what fairseq wraps
        own_wrapped, wrapped_loss = wrap(own), loss_of if frozen else wrap(loss_of)
        for _ in range(2):
            own.zero_grad()
            loss, size, _ = wrapped_loss(own_wrapped, batch)
            (loss / size).backward()
        gradients.append([p.grad for p in (*own.parameters(), *loss_of.parameters())])
    for a, b in zip(*gradients, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_update_waits_for_the_gpu(dtype):
    own, loss_of = model(compute_dtype=dtype).cuda(), criterion().cuda()
    batch = sample()
    batch = {
        key: {k: v.cuda() for k, v in value.items()} if key == "net_input"
        else value.cuda() if torch.is_tensor(value) else value
        for key, value in batch.items()
    }  # fmt: skip
    optimizer = torch.optim.AdamW(own.parameters(), fused=True)
    for mode in ("default", "error"):  # the first update still loads kernels
        torch.cuda.set_sync_debug_mode(mode)
        try:
            loss, size, _ = loss_of(own, batch)
            (loss / size).backward()
            optimizer.step()
            optimizer.zero_grad()
        finally:
            torch.cuda.set_sync_debug_mode("default")
