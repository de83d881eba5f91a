"""Opening arrays on disk without reading them."""

import numpy as np

from fairseq_item.errors import InputError


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
        array = np.load(path, mmap_mode=mode)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; {mend}") from None
    except (ValueError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is damaged ({reason}); {mend}") from None
    if array.shape != tuple(shape) or array.dtype.name not in dtypes:
        raise InputError(
            f"{path} is {array.dtype} of shape {array.shape} where {tuple(shape)} of "
            f"{' or '.join(dtypes)} is expected; {mend}"
        )
    return array
