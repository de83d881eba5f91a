"""Sums over what the micro-batches and processes of an update logged."""

from collections import defaultdict

import torch


def totals(logging_outputs):
    """Add up the values of each key over all logging outputs.

    fairseq asks for this in every update. What lies on a GPU comes from there at once for each
    dtype and not number by number, each of which would wait for the GPU anew.

    Args:
        logging_outputs: list of dicts: key -> number or tensor of one value.

    Returns:
        defaultdict: key -> float, 0.0 for a key that nothing logged.
    """
    sums, tensors = defaultdict(float), defaultdict(list)
    for log in logging_outputs:
        for key, value in log.items():
            if torch.is_tensor(value):
                tensors[value.dtype, value.device].append((key, value))
            else:
                sums[key] += float(value)
    for pairs in tensors.values():
        keys, values = zip(*pairs)
        for key, value in zip(keys, torch.stack([v.reshape(()) for v in values]).tolist()):
            sums[key] += value
    return sums
