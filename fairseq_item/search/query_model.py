"""The model of an index, loaded once, that embeds what is asked for: titles and images."""

from functools import cached_property
from pathlib import Path

import numpy as np

from fairseq_item.digests import digest
from fairseq_item.errors import InputError
from fairseq_item.search.embeddings import EMBEDDINGS


def model_of(meta, index_path, checkpoint=None, weights_file=None):
    """What embeds queries of an index.

    Args:
        meta: of the index.
        index_path: where it lies, for messages.
        checkpoint: model folder or checkpoint file; None takes the one that the index names.
        weights_file: state dict of the network whose features the index has; None takes the one
            that it names.

    Returns:
        dict: keywords of :class:`QueryModel`.

    Raises:
        InputError: the index was not made with a trained model, or the checkpoint is not there.
    """
    if meta.get("untrained"):
        raise InputError(f"{index_path} holds an untrained model's embeddings; give --queries")
    if checkpoint is None:
        checkpoint = _own_checkpoint(meta, index_path)
    if not Path(checkpoint).exists():
        raise InputError(f"checkpoint {str(checkpoint)!r} is not there; name an existing one")
    features = meta.get("features")
    if features and weights_file:
        features = {**features, "weights_file": weights_file}
    wanted = meta.get("checkpoint_digest")
    return {"checkpoint": checkpoint, "digest": wanted, "features": features}


def _own_checkpoint(meta, index_path):
    """The checkpoint that an index names, if it is the file that the index was made with."""
    named, right = meta.get("checkpoint"), False
    if named and meta.get("checkpoint_digest"):
        path = Path(named)
        path = path / "checkpoint_best.pt" if path.is_dir() else path
        right = path.is_file() and digest(path)["sha256"] == meta["checkpoint_digest"]
    if not right:
        raise InputError(
            f"checkpoint {named!r} is not there, or not the one that made {index_path}; give that "
            "one as --checkpoint"
        )
    return named


class QueryModel:
    """Embeds products that are given by title, image or both.

    Args:
        checkpoint: model folder or checkpoint file.
        digest: digest that the checkpoint must have, or None.
        features: description of the network whose features are joined to the image embedding, as
            an index's ``meta["features"]``; None for none.
        device: where both run.

    Attributes:
        made_from: the first three arguments, by name: equal for equal models.

    Raises:
        InputError: the checkpoint is another one.
    """

    def __init__(self, checkpoint, digest=None, features=None, device="cpu"):
        from fairseq_item import ItemModel

        self.hub = ItemModel.from_pretrained(str(checkpoint), device=device)
        if digest is not None and self.hub.digest != digest:
            raise InputError(f"{checkpoint} is not the checkpoint that the index was built with")
        self.features, self.device = features, device
        self.made_from = {"checkpoint": checkpoint, "digest": digest, "features": features}

    @cached_property
    def network(self):
        """The ``FrozenNetwork`` of the features, None for none; loaded when first asked for.

        Raises:
            InputError: it is not there, or is another one.
        """
        if not self.features:
            return None
        from fairseq_item.data.frozen import load_network

        features = self.features
        network = load_network(features["network"], features.get("weights_file"), self.device)
        if network.digest != features["weights"]:
            raise InputError(
                f"the weights of {network.name} here are not those that the index was built with; "
                "name their file with --weights-file"
            )
        return network

    def embed(self, titles, images):
        """Embed n products.

        Args:
            titles: list of n str, None where a product has none.
            images: list of n images: the path of a file, its bytes, or None.

        Returns:
            dict: embedding -> (n, d) float32.

        Raises:
            InputError: an image cannot be used, or the network is another one.
        """
        network = self.network if any(image is not None for image in images) else None
        arrays = self.hub.encode(titles=titles, images=images, features=network)
        found = dict(zip(EMBEDDINGS, (np.asarray(array, np.float32) for array in arrays)))
        if self.features and network is None:  # without an image there is nothing to compute
            width = found["image"].shape[1] + self.features["dim"]
            found["image"] = np.zeros((len(titles), width), np.float32)
        return found
