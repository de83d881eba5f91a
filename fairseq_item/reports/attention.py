"""Where [CLS] looks: its attention over the title's tokens and the patches of one product.

Attention shows what was mixed, not what decided; later layers mix what earlier ones mixed already.
"""

from typing import NamedTuple

import numpy as np
import torch

from fairseq_item.data.patches import unpatchify
from fairseq_item.errors import InputError
from fairseq_item.modules.attention import Layout


class Attention(NamedTuple):
    """What [CLS] looks at.

    Attributes:
        tokens: of the title as the model sees it, "[CLS]" first and "[SEP]" last.
        image: uint8 (side, side, 3), the image as the model sees it; None without one.
        title: float32 (layers, heads, len(tokens)).
        patches: float32 (layers, heads, rows, rows), row by row of the image. For each layer and
            head both add up to 1.
    """

    tokens: list
    image: np.ndarray | None
    title: np.ndarray
    patches: np.ndarray


def cls_attention(hub, title=None, image=None):
    """The attention of [CLS] in all layers for one product.

    Args:
        hub: the model, an ITEm.
        title, image: as of ``ItemHubInterface.encode``; one of them may be None.

    Returns:
        :class:`Attention`.

    Raises:
        InputError: neither is given, the image cannot be read, or the model is another one.
    """
    if title is None and image is None:
        raise InputError("give a title, an image or both")
    if not hasattr(hub.model, "sequence"):
        raise InputError(f"a model {hub.model.cfg.get('_name')} has no encoder over both parts")
    tokens, patches, has_image = hub.inputs([title], [image])
    with torch.inference_mode():
        sequence, present = hub.model.sequence(tokens, patches, has_image=has_image)
        weights = _weights(hub.model.encoder.layers, sequence, present)
    weights = weights.float().cpu().numpy()
    count = tokens.size(1)
    rows = hub.geometry.image_size // hub.geometry.patch_size
    words = hub.tokenizer.tokens(title or "")[: hub.geometry.max_title_length]
    seen = None
    if image is not None:
        seen = unpatchify(patches[0].cpu().numpy(), hub.geometry.patch_size)
    return Attention(
        ["[CLS]", *words, "[SEP]"],
        seen,
        weights[..., :count],
        weights[..., count:].reshape(*weights.shape[:2], rows, rows),
    )


def _weights(layers, sequence, present):
    """The attention of each sequence's first position: (layers, heads, L) of the only product.

    Args:
        layers: of the encoder.
        sequence: (1, L, dim).
        present: bool (1, L).
    """
    layout, found = Layout(*sequence.shape[:2], present), []
    rows = layout.to_rows(sequence)
    for layer in layers:
        split = layout.to_sequences(layer.qkv(rows)).unflatten(-1, (3, layer.heads, -1))
        q, k, _ = split.permute(2, 0, 3, 1, 4)
        scores = q[:, :, :1] @ k.transpose(2, 3) * q.size(-1) ** -0.5
        found.append((scores + layout.mask(scores.dtype)).softmax(-1)[0, :, 0])
        rows = layer(rows, layout)
    return torch.stack(found)


def shares(attention):
    """How the attention of each layer, in the mean over its heads, is spread.

    Returns:
        list of dicts, one a layer: ``title`` (tokens), ``image`` and ``special`` ([CLS], [SEP]),
        which add up to 1.
    """
    result = []
    for title, patches in zip(attention.title.mean(1), attention.patches.mean(1)):
        special = float(title[0] + title[-1])
        image = float(patches.sum())
        result.append({"title": float(title.sum()) - special, "image": image, "special": special})
    return result
