"""Relisting protocol 1: crop, rotation, flip, light, tint; words dropped, shuffled, shortened.

Its strengths can be changed. The training views that are beyond the paper imitate some of it;
protocol 2 has nothing of theirs.
"""

from dataclasses import dataclass

from fairseq_item.preprocess.relisting_images import change_image
from fairseq_item.preprocess.relisting_titles import rewrite_title

# To be raised whenever the same seed would give other listings.
VERSION = 1


@dataclass(frozen=True)
class Strengths:
    """How far a second listing goes from the first."""

    drop: float = 0.35
    shuffle: float = 1.0
    filler: float = 0.8
    abbreviate: float = 0.3
    typo: float = 0.05
    crop_area: tuple = (0.75, 1.0)
    rotate: float = 8.0
    flip: float = 0.5
    light: float = 0.2
    tint: float = 0.5
    jpeg_quality: tuple = (60, 90)


@dataclass(frozen=True)
class Protocol1:
    """See above."""

    strengths: Strengths = Strengths()
    name = "relistings"
    version = VERSION

    def title(self, row, rng):
        """A second title of a row: str."""
        return rewrite_title(row["title"], self.strengths, rng)

    def image(self, image, rng):
        """A second image of a PIL image: bytes of a JPEG."""
        return change_image(image, self.strengths, rng)
