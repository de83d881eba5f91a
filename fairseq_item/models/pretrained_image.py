"""A pretrained ViT (Dosovitskiy et al. 2021) to start the patches from."""

import logging

import torch
import torch.nn.functional as F

from fairseq_item.data.weights import read_weights
from fairseq_item.errors import InputError

logger = logging.getLogger(__name__)

# What the network of a file was trained to see of a pixel in [0, 1]: its mean and deviation.
TORCHVISION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
TIMM = ((0.5,) * 3, (0.5,) * 3)


def start_image(file, patch, positions):
    """Start the patches from a ViT.

    Its positions are interpolated to this model's grid, and what it subtracts from pixels and
    divides them by becomes part of the projection.

    Args:
        file: path.
        patch: ``nn.Linear`` of a flattened patch in [-1, 1], colours last.
        positions: (m, d), those of the patches of a square image, row by row; filled in place.

    Raises:
        InputError: the file is no ViT, or of another width or patch size.
    """
    state = read_weights(file, "the weights of a ViT")
    if "conv_proj.weight" in state:  # torchvision
        names, pixels = ("conv_proj", "encoder.pos_embedding"), TORCHVISION
    else:
        names, pixels = ("patch_embed.proj", "pos_embed"), TIMM
    needed = [f"{names[0]}.weight", f"{names[0]}.bias", names[1]]
    if any(name not in state for name in needed):
        raise InputError(f"{file} has no {needed[0]}; give a ViT in torchvision's or timm's names")
    weight, bias, theirs = (state[name].float() for name in needed)
    dim, patch_dim = patch.weight.shape
    if len(weight) != dim or weight[0].numel() != patch_dim:
        size = round((patch_dim / 3) ** 0.5)
        raise InputError(
            f"{file} is {len(weight)} wide with patches of {weight.size(-1)} pixels, the model "
            f"{dim} with {size}; change --encoder-embed-dim or --patch-size"
        )
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in pixels)
    # Pixels in [-1, 1] are 2 * x - 1.
    bias = bias + (weight * ((0.5 - mean) / std)).sum((1, 2, 3))
    weight = weight / (2 * std)
    patch.weight.copy_(weight.permute(0, 2, 3, 1).flatten(1))
    patch.bias.copy_(bias)
    positions.copy_(_resize(theirs[0], len(positions)))
    logger.info("started from %s: patch projection and positions", file)


def _resize(positions, count):
    """Positions of a square grid, after [CLS] or not, at the ``count`` of another grid."""
    old, new = (int(n**0.5) for n in (len(positions), count))
    grid = positions[len(positions) - old * old :].T.reshape(1, -1, old, old)
    return F.interpolate(grid, (new, new), mode="bicubic", antialias=True)[0].flatten(1).T
