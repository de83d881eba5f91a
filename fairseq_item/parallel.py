"""Work in several processes or threads, in order and within bounded memory."""

import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from fairseq_item.errors import InputError


def map_in_order(function, inputs, workers):
    """Yield ``function(x)`` for each of ``inputs``, in order, computed by ``workers`` processes.

    At most two inputs a worker are under way, however slowly the results are taken.

    Raises:
        InputError: a worker was killed.
    """
    if workers == 1:
        ignore_pillow_warnings()
        yield from map(function, inputs)
        return
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(function,)) as pool:
        pending = deque()
        try:
            for item in inputs:
                pending.append(pool.submit(_call, item))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise InputError(
                "a worker process was killed, perhaps for want of memory; run again with fewer "
                "--num-workers"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def map_in_threads(function, inputs, threads):
    """Yield ``function(x)`` for each of ``inputs``, in order, computed ahead by ``threads``.

    For functions that let other threads work, such as decoding of images. At most 32 inputs a
    thread are under way, however slowly the results are taken.
    """
    with ThreadPoolExecutor(threads) as pool:
        pending = deque()
        try:
            for item in inputs:
                pending.append(pool.submit(function, item))
                if len(pending) >= 32 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker(function):
    global _function
    _function = function
    ignore_pillow_warnings()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    # A killed parent cannot tell its workers to stop, and they would wait for work for ever.
    multiprocessing.parent_process().join()
    os._exit(1)


def _call(item):
    return _function(item)


def ignore_pillow_warnings():
    """Metadata that Pillow grumbles at does no harm here; what does is in the reasons."""
    warnings.filterwarnings("ignore", module="PIL")
