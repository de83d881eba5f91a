"""From the states of a sequence to one vector."""

import torch


def mean_of_pieces(states, title, special):
    """The mean over a title's pieces.

    Args:
        states: (B, T, d).
        title: int64 (B, T).
        special: ids that are no pieces: padding, [CLS] and [SEP].

    Returns:
        float32 (B, d); zeros for a title without a piece.
    """
    pieces = torch.ones_like(title, dtype=torch.bool)
    for symbol in special:
        pieces &= title != symbol
    total = (states.float() * pieces[..., None]).sum(1)
    return total / pieces.sum(1, keepdim=True).clamp(min=1)
