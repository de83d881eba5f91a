"""What can be set about how products are shown to a model; what is out of range is refused."""

import math
from dataclasses import dataclass
from typing import Tuple

from fairseq_item.errors import InputError

# Longest title, side in pixels and number of patches: more would fill the memory first.
LONGEST = 16_384
LARGEST_PATCH = 512  # side in pixels


def check_range(flag, value, least, most=math.inf):
    """Refuse a setting below ``least`` or above ``most``, and NaN.

    Raises:
        InputError: one line that names the flag.
    """
    if not least <= value <= most:
        limits = f"{least} or more" if most == math.inf else f"within {least} and {most}"
        raise InputError(f"{flag} is {value}; it must be {limits}")


def check_shares(**shares):
    """Refuse values outside 0 and 1; the names are those of flags, with underscores."""
    for name, value in shares.items():
        check_range(f"--{name.replace('_', '-')}", value, 0, 1)


@dataclass(frozen=True)
class Geometry:
    """How much of a product the model sees.

    Raises:
        InputError: a size is out of range, or the image is not made of whole patches.
    """

    image_size: int = 224
    patch_size: int = 16
    max_title_length: int = 36

    def __post_init__(self):
        check_range("--image-size", self.image_size, 1, LONGEST)
        check_range("--patch-size", self.patch_size, 1, LARGEST_PATCH)
        check_range("--max-title-length", self.max_title_length, 0, LONGEST)
        if self.image_size % self.patch_size:
            raise InputError(
                f"--image-size {self.image_size} is not a multiple of --patch-size "
                f"{self.patch_size}; change one of them"
            )
        if self.patches > LONGEST:
            raise InputError(
                f"--image-size {self.image_size} in patches of --patch-size {self.patch_size} "
                f"makes {self.patches} patches; there may be {LONGEST}"
            )

    @property
    def patches(self):
        """Patches m of an image."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def patch_dim(self):
        """Values of a patch."""
        return 3 * self.patch_size**2


@dataclass(frozen=True)
class Corruption:
    """What pre-training hides or exchanges; the defaults are the paper's."""

    title_mask_prob: float = 0.15
    patch_mask_prob: float = 0.15
    mismatch_prob: float = 0.5
    masked_losses_on: str = "all"

    def __post_init__(self):
        check_shares(
            title_mask_prob=self.title_mask_prob,
            patch_mask_prob=self.patch_mask_prob,
            mismatch_prob=self.mismatch_prob,
        )


@dataclass(frozen=True)
class Augmentation:
    """Random resized crop and flip of the stored image."""

    crop_scale: Tuple[float, float] = (0.6, 1.0)
    flip_prob: float = 0.5

    def __post_init__(self):
        check_range("--crop-min-scale", self.crop_scale[0], 0.01, 1)
        check_shares(flip_prob=self.flip_prob)


@dataclass(frozen=True)
class Views:
    """The second view of a product: its title with words dropped and shuffled, an image of it.

    Attributes:
        word_drop: share of words left out.
        single: share of views that have only the title or only the image, half of each, so that
            neither embedding can lean on the other modality.
        split: share of tokens that are broken in two, as an unusual spelling would be.
        light: greatest change of contrast and of each colour's brightness, as a share.
        photos: share of views that are made of another row of the product, where it has several.
    """

    word_drop: float = 0.35
    single: float = 0.5
    split: float = 0.0
    light: float = 0.0
    photos: float = 0.0

    def __post_init__(self):
        check_shares(
            view_word_drop=self.word_drop,
            view_single=self.single,
            view_split=self.split,
            view_light=self.light,
            view_photos=self.photos,
        )
