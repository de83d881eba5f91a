"""Arrays on disk: made, and opened without reading them."""

import os

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.files import writing


def open_mapped(path, shape, dtypes, mend, mode="r"):
    """Map an array of a ``.npy`` file.

    Args:
        path: the file.
        shape: the shape that it must have.
        dtypes: names of the dtypes that it may have.
        mend: what to do about a bad file, for the message: "run item-index again".
        mode: "r" to read only; "c" for torch, which takes no array that may not be written to:
            the file stays as it is even then.

    Raises:
        InputError: the file is missing, damaged, or another array.
    """
    try:
        array = np.lib.format.open_memmap(path, mode=mode)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; {mend}") from None
    except Exception as error:  # numpy raises many kinds for damaged headers
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is damaged ({reason}); {mend}") from None
    if array.shape != tuple(shape) or array.dtype.name not in dtypes:
        raise InputError(
            f"{path} is {array.dtype} of shape {array.shape} where {tuple(shape)} of "
            f"{' or '.join(dtypes)} is expected; {mend}"
        )
    return array


def create_mapped(path, dtype, shape):
    """A new ``.npy`` file of zeros, mapped to be written, for which the disk has room.

    Pages that a full disk has no room for would end the process without a word (SIGBUS).

    Raises:
        InputError: the disk is full, or the file cannot be made.
    """
    with writing(path):
        array = np.lib.format.open_memmap(path, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return array


def save_array(path, array):
    """``np.save`` whose errors name the file."""
    with writing(path):
        np.save(path, array)
