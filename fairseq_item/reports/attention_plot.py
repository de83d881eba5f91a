"""The attention of [CLS] as an image: over the photo, and over the tokens of the title."""

from pathlib import Path

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.reports.attention import shares
from fairseq_item.reports.balance_plot import COLOURS, GRID, INK

HEAT = "inferno"
VEIL = 0.6  # how much of the photo the heat covers


def plot(attention, path, layers=None, dpi=130):
    """Draw a row a layer: the photo, its patches by attention, the tokens with theirs.

    Each is the mean over the layer's heads. Patches are shown beside the largest of them, tokens in
    percent of all the attention of the layer.

    Args:
        attention: what ``cls_attention`` returns.
        path: file to write, of a kind that matplotlib knows by its suffix.
        layers: numbers of the layers to draw, from 1; None draws all.
        dpi: pixels an inch.

    Raises:
        InputError: matplotlib is missing or does not know the suffix, or there is no such layer.
    """
    try:
        from matplotlib.figure import Figure  # unlike pyplot it changes nothing global
    except ImportError:
        raise InputError("matplotlib is missing, so nothing is drawn; pip install it") from None
    count = len(attention.title)
    layers = list(range(1, count + 1)) if layers is None else layers
    if not all(1 <= layer <= count for layer in layers):
        raise InputError(f"the model has the layers 1 to {count}; choose among them")
    height = max(2.4, 0.24 * len(attention.tokens) + 0.8)
    figure = Figure(figsize=(9.6, height * len(layers)), layout="constrained", facecolor="white")
    suffix = Path(path).suffix[1:]
    if suffix not in figure.canvas.get_supported_filetypes():
        raise InputError(f"{path}: matplotlib writes no such file; name it .png")
    grid = figure.subplots(len(layers), 3, squeeze=False, width_ratios=(1, 1, 1.3))
    for (photo, heat, tokens), layer in zip(grid, layers):
        title, patches = attention.title[layer - 1].mean(0), attention.patches[layer - 1].mean(0)
        spread = shares(attention)[layer - 1]
        _draw_images(photo, heat, attention.image, patches)
        heat.set_title(f"layer {layer}: image {spread['image']:.0%}", fontsize=9, color=INK)
        _draw_tokens(tokens, attention.tokens, title)
        words = f"title {spread['title']:.0%}, [CLS] and [SEP] {spread['special']:.0%}"
        tokens.set_title(words, fontsize=9, color=INK)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format=suffix)


def _draw_images(photo, heat, image, patches):
    for axis in (photo, heat):
        axis.set_axis_off()
    if image is None:
        return
    side = len(image)
    extent = (0, side, side, 0)
    photo.imshow(image, extent=extent)
    heat.imshow(image.mean(-1), cmap="gray", vmin=0, vmax=255, extent=extent)
    heat.imshow(patches, cmap=HEAT, vmin=0, alpha=VEIL, extent=extent)


def _draw_tokens(axis, tokens, weights):
    places = np.arange(len(tokens))
    axis.barh(places, 100 * weights, color=COLOURS[0], height=0.7)
    axis.set_yticks(places, [token.replace("$", r"\$") for token in tokens], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("percent of the attention", fontsize=8, color=INK)
    axis.tick_params(which="both", length=0, labelcolor=INK, labelsize=8)
    axis.grid(axis="x", color=GRID)
    axis.set_axisbelow(True)
    axis.spines[:].set_visible(False)
