"""What can be set about how products are shown to a model."""

from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class Geometry:
    """How much of a product the model sees."""

    image_size: int = 224
    patch_size: int = 16
    max_title_length: int = 36

    @property
    def patches(self):
        return (self.image_size // self.patch_size) ** 2


@dataclass(frozen=True)
class Corruption:
    """What pre-training hides or exchanges; the defaults are the paper's."""

    title_mask_prob: float = 0.15
    patch_mask_prob: float = 0.15
    mismatch_prob: float = 0.5
    masked_losses_on: str = "all"


@dataclass(frozen=True)
class Augmentation:
    """Random resized crop and flip of the stored image."""

    crop_scale: Tuple[float, float] = (0.6, 1.0)
    flip_prob: float = 0.5


@dataclass(frozen=True)
class Views:
    """The second view of a product: its title with words dropped and shuffled, an image of it.

    Attributes:
        word_drop_prob: share of words left out.
        single_prob: share of views that have only the title or only the image, half of each, so
            that neither embedding can lean on the other modality.
        split_prob: share of tokens that are broken in two, as an unusual spelling would be.
        light: greatest change of contrast and of each colour's brightness, as a part.
    """

    word_drop_prob: float = 0.35
    single_prob: float = 0.5
    split_prob: float = 0.0
    light: float = 0.0
