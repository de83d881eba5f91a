"""Relisting protocol 2: second listings by operations that no training view imitates.

Training crops, flips, changes light, drops and shuffles words and breaks tokens. A benchmark of
the same operations measures how well these were learnt, so protocol 2 leaves them out. It is
frozen: whoever wants other strengths measures something else, and so there are no flags for them.
"""

from dataclasses import dataclass, field

from fairseq_item.preprocess.brands import Brands
from fairseq_item.preprocess.protocol2_images import alter_image
from fairseq_item.preprocess.protocol2_titles import reword_title
from fairseq_item.preprocess.protocol2_words import NO_BRANDS

# To be raised whenever the same seed would give other listings.
VERSION = 1


@dataclass(frozen=True)
class Strengths:
    """How often each operation happens, 0 to 1, and how far it goes.

    Attributes:
        perspective, scene, hand, white_balance, blur, watermark, banner, sticker, low_resolution:
            probabilities; of ``scene`` where the background is plain.
        perspective_shift: greatest shift of a corner, as a part of the side.
        white_balance_gain: red over green, or green over blue, from and to (or one over it).
        blur_radius: as a part of the shorter side, from and to.
        low_resolution_scale: what the sides are reduced to before they are enlarged again.
        watermark_opacity: from and to.
        hand_size, sticker_size: as a part of the shorter side, from and to.
        jpeg_quality: from and to.
        units, boilerplate, brand_moved, brand_left_out: probabilities for a title.
        attribute: for each attribute.
        synonym, typo: for each word.
    """

    perspective: float = 0.7
    perspective_shift: float = 0.2
    scene: float = 0.6
    hand: float = 0.15
    hand_size: tuple = (0.2, 0.35)
    white_balance: float = 0.5
    white_balance_gain: tuple = (1.06, 1.18)
    blur: float = 0.35
    blur_radius: tuple = (0.003, 0.008)
    watermark: float = 0.2
    watermark_opacity: tuple = (0.25, 0.5)
    banner: float = 0.2
    sticker: float = 0.2
    sticker_size: tuple = (0.18, 0.3)
    low_resolution: float = 0.4
    low_resolution_scale: tuple = (0.3, 0.6)
    jpeg_quality: tuple = (15, 40)
    units: float = 0.8
    attribute: float = 0.7
    synonym: float = 0.6
    typo: float = 0.1
    brand_moved: float = 0.3
    brand_left_out: float = 0.4
    boilerplate: float = 0.4


@dataclass(frozen=True)
class Protocol2:
    """See above.

    Attributes:
        brands: those of the catalogue.
    """

    brands: Brands = field(default_factory=Brands)
    strengths: Strengths = Strengths()
    name = "relistings-2"
    version = VERSION

    @classmethod
    def for_catalog(cls, rows):
        """The protocol for a catalogue of ``rows``, dicts, whose brands are learnt."""
        return cls(Brands.learn(rows, NO_BRANDS))

    def title(self, row, rng):
        """A second title of a row: str."""
        return reword_title(row, self.strengths, self.brands, rng)

    def image(self, image, rng):
        """A second image of a PIL image: bytes of a JPEG."""
        return alter_image(image, self.strengths, rng)
