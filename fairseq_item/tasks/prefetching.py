"""fairseq's prefetching thread, ended before Python is."""

import atexit
import queue
import threading
import time

from fairseq.data.iterators import BackgroundConsumer

LONGEST = 60.0  # seconds for the batch at hand


def end_prefetching_at_exit():
    """Let a training that stops within an epoch end with status 0.

    fairseq reads batches ahead in a daemon thread. Where that is within torch when the interpreter
    goes down, the process aborts ("terminate called without an active exception", status 134),
    after everything has been saved.
    """
    atexit.unregister(_end_prefetching)
    atexit.register(_end_prefetching)


def _end_prefetching():
    deadline = time.monotonic() + LONGEST
    for thread in threading.enumerate():
        if not isinstance(thread, BackgroundConsumer):
            continue
        thread._max_len = 0  # it ends after the batch at hand
        while thread.is_alive() and time.monotonic() < deadline:
            try:
                thread._queue.get(timeout=0.05)  # it may be waiting for room
            except queue.Empty:
                continue
