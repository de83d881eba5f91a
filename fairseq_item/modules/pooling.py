"""From the states of a sequence to one vector."""

import torch


def mean_of_tokens(states, title, special):
    """The mean over a title's tokens.

    Args:
        states: (B, T, d).
        title: int64 (B, T).
        special: ids that are no tokens: padding, [CLS] and [SEP].

    Returns:
        float32 (B, d); zeros for a title without a token.
    """
    tokens = torch.ones_like(title, dtype=torch.bool)
    for symbol in special:
        tokens &= title != symbol
    total = (states.float() * tokens[..., None]).sum(1)
    return total / tokens.sum(1, keepdim=True).clamp(min=1)
