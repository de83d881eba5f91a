"""Writing files so that a half-written one is never taken for whole."""

import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path):
    """Yield a temporary path beside ``path`` that takes its place only if the block succeeds.

    Args:
        path: the file to be written; its folder is made where it is missing.

    Yields:
        Path: write here. On an exception it is removed, and ``path`` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
