"""The ResNet baseline: torchvision's, on images alone, trained to tell leaf categories."""

from dataclasses import dataclass, field

import torch
from fairseq.dataclass import ChoiceEnum
from fairseq.models import register_model, register_model_architecture
from torch import nn

from fairseq_item.models.product_model import ProductModel, with_defaults
from fairseq_item.models.sizes import InputConfig, set_defaults

# Name of the block in torchvision, by how much it widens a stage, and blocks of each stage.
DEPTHS = {"18": ("BasicBlock", 1, (2, 2, 2, 2)), "50": ("Bottleneck", 4, (3, 4, 6, 3))}
COMMON_WIDTH = 64


@dataclass
class ResNetConfig(InputConfig):
    """Sizes; the defaults are item_resnet_base, the paper's ResNet50."""

    depth: ChoiceEnum(list(DEPTHS)) = field(default="50", metadata={"help": "layers"})
    width: int = field(default=COMMON_WIDTH, metadata={"help": "channels of the first stage"})


@register_model("item_resnet", dataclass=ResNetConfig)
class ResNetModel(ProductModel):
    """ResNet (He et al. 2016) from scratch; train it with the task ``item_classification``.

    The embedding of a product is what the classifier reads: the mean over the last feature map.
    """

    def __init__(self, cfg):
        super().__init__(cfg)
        block, _, layers = DEPTHS[str(cfg.depth)]
        self.network = backbone(block, layers, cfg.width)
        self.reset_parameters()

    @classmethod
    def build_model(cls, cfg, task):
        return cls(with_defaults(cfg, cls))

    def reset_parameters(self):
        """Draw all weights anew, as torchvision does."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (nn.BatchNorm2d, nn.Linear)):
                module.reset_parameters()

    @property
    def embedding_dim(self):
        return self.feature_dim

    @property
    def feature_dim(self):
        _, expansion, _ = DEPTHS[str(self.cfg.depth)]
        return 8 * self.cfg.width * expansion

    def images(self, patches):
        """Patches put together again on their device.

        Args:
            patches: uint8 (B, m, patch_size^2 * 3).

        Returns:
            float32 (B, 3, image_size, image_size), pixels in [-1, 1].
        """
        return whole_images(patches, self.cfg.patch_size, self.cfg.image_size)

    def forward(self, title, patches):
        """Logits of the leaf categories, float32 (B, classes); titles are not looked at.

        Args:
            title: anything.
            patches: uint8 (B, m, patch_size^2 * 3).
        """
        return self.classify(title, patches)

    def features(self, title, patches, has_image=None):
        """The mean over the last feature map, float32 (B, feature_dim)."""
        with self.autocast(patches.device):
            return self.network(self.images(patches)).float()

    def embed(self, title, patches, has_image=None):
        """The embedding of images, not normalised.

        Args:
            title, patches: as in :meth:`forward`.
            has_image: bool (B,), false where the product has no image; None if all have one.

        Returns:
            (global, title, image), each float32 (B, feature_dim): the features, zero where there
            is no image, then twice zeros.
        """
        image = self.features(title, patches)
        if has_image is not None:
            image = image * has_image[:, None]
        return image, torch.zeros_like(image), torch.zeros_like(image)


def whole_images(patches, patch_size, image_size):
    """Patches put together again: :meth:`ResNetModel.images`."""
    count = image_size // patch_size
    grid = patches.view(len(patches), count, count, patch_size, patch_size, 3)
    pixels = grid.permute(0, 5, 1, 3, 2, 4).reshape(len(patches), 3, image_size, image_size)
    return pixels.float().div_(127.5).sub_(1.0)


def backbone(block, layers, width):
    """torchvision's ResNet without its classifier, all stages narrowed or widened alike.

    Args:
        block: "BasicBlock" or "Bottleneck".
        layers: blocks of each of the four stages.
        width: channels of the first stage; 64 in the common networks.
    """
    # Two seconds of importing, which no other model has to wait for.
    from torchvision.models import resnet

    block = getattr(resnet, block)
    network = resnet.ResNet(block, list(layers), num_classes=1)
    network.fc = nn.Identity()
    if width != COMMON_WIDTH:
        network.inplanes = width
        network.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        network.bn1 = nn.BatchNorm2d(width)
        for stage, blocks in enumerate(layers):
            made = network._make_layer(block, width << stage, blocks, stride=min(stage + 1, 2))
            setattr(network, f"layer{stage + 1}", made)
    return network


def _sizes(args, depth, width, image_size):
    set_defaults(args, depth=depth, width=width, image_size=image_size)


@register_model_architecture("item_resnet", "item_resnet_tiny")
def item_resnet_tiny(args):
    """ResNet18 of 24 to 192 channels, 64 pixels: 1.6 million parameters, item_tiny has 2."""
    _sizes(args, "18", 24, 64)


@register_model_architecture("item_resnet", "item_resnet_small")
def item_resnet_small(args):
    """ResNet18, 112 pixels: 11 million parameters, item_small's encoder has as many."""
    _sizes(args, "18", 64, 112)


@register_model_architecture("item_resnet", "item_resnet_base")
def item_resnet_base(args):
    """ResNet50, 224 pixels, as in the paper: 24 million parameters."""
    _sizes(args, "50", 64, 224)
