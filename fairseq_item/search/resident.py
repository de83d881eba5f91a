"""An index's vectors kept on a device, as they are stored, from one batch of queries to the next.

A part of ``ROWS`` rows goes to the device when it is first asked for, as long as there is room: a
share of the device's memory stays free for the work itself. Rows of other parts are copied each
time. What is kept goes when the ``Vectors`` do.
"""

from weakref import WeakKeyDictionary

import torch

ROWS = 65536
# Share of a GPU's memory that is left to scores, queries and other programs.
LEFT = 0.3
_kept: WeakKeyDictionary = WeakKeyDictionary()


def resident_rows(vectors, device, start, stop):
    """Rows of ``Vectors`` on a device.

    Args:
        vectors: ``Vectors``.
        device: as torch names it.
        start, stop: positions.

    Returns:
        (stop - start, d) float32 tensor.
    """
    parts = _kept.setdefault(vectors, {}).setdefault(str(device), {})
    found = torch.empty((stop - start, vectors.shape[1]), device=device)
    for first in range(start - start % ROWS, stop, ROWS):
        begin, end = max(start, first), min(stop, first + ROWS)
        size = (min(first + ROWS, len(vectors)) - first) * vectors.stored[:1].nbytes
        if first not in parts and size <= room(device):
            parts[first] = _copied(vectors, device, first, first + ROWS)
        if first in parts:
            stored, scales = (x[begin - first : end - first] for x in parts[first])
        else:
            stored, scales = _copied(vectors, device, begin, end)
        rows = found[begin - start : end - start]
        rows.copy_(stored)
        if len(scales):
            rows *= scales[:, None]
    return found


def room(device):
    """Bytes that may be kept on a device besides what is there."""
    if torch.device(device).type != "cuda":
        return 0
    free, total = torch.cuda.mem_get_info(device)
    return free - LEFT * total


def _copied(vectors, device, start, stop):
    """Stored rows and their scales, of which there are none but for int8, on the device."""
    return [torch.from_numpy(x).to(device) for x in vectors.raw(slice(start, stop))]
