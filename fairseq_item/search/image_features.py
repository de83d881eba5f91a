"""Image embeddings that are joined of a frozen network's features and ITEm's own.

Both parts are L2-normalised, the features multiplied by sqrt(2), and the whole L2-normalised.
Pretrained features have a large mean in common, which whitening takes away: of their squared
length varies about two thirds of what varies of ITEm's. Brought near to one another they found more
on the demo's dev queries.
"""

import numpy as np

from fairseq_item.search.embeddings import normalise

SCALE = 2**0.5


def join(features, image):
    """Join both parts of the image embeddings.

    Args:
        features: (b, f) float, all-zero rows are absent.
        image: (b, d) float, ITEm's own.

    Returns:
        (b, f + d) float32, L2-normalised; of an absent image all zeros.
    """
    return normalise(np.concatenate([SCALE * normalise(features), normalise(image)], axis=1))
