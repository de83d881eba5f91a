"""Where work is done: by processes of this machine, or by a Ray cluster; results are the same.

An engine has one method, ``map(function, inputs)``: ``function(x)`` for each of ``inputs``, in
order. What is done must be a function of ``x`` alone, so that it can be done again elsewhere; the
process that asked for it writes what comes back, so that files depend neither on the engine nor
on how many worked.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from fairseq_item import progress
from fairseq_item.errors import InputError
from fairseq_item.parallel import ignore_pillow_warnings, map_in_order

logger = logging.getLogger(__name__)

# Times that work is done again whose machine or process was lost. What kills each process that
# tries it (an image that a decoder dies of, say) must come to an end.
RETRIES = 5


class Engine(Protocol):
    """What does the work."""

    def map(self, function: Callable[[Any], Any], inputs: Iterable[Any]) -> Iterator[Any]:
        """Yield ``function(x)`` for each of ``inputs``, in order."""


@dataclass(frozen=True)
class Local:
    """Processes of this machine; see :func:`fairseq_item.parallel.map_in_order`."""

    workers: int = 1

    def map(self, function: Callable[[Any], Any], inputs: Iterable[Any]) -> Iterator[Any]:
        """Yield ``function(x)`` for each of ``inputs``, in order."""
        return map_in_order(function, inputs, self.workers)


class Ray:
    """Tasks of a Ray cluster: that of ``RAY_ADDRESS``, or one on this machine, else a new one here.

    ``function`` goes to each process of the cluster once. The work of a machine that is lost is
    done again by another. At most two inputs a worker are under way, and their results in memory.

    Args:
        cpus, gpus: what a task takes of a machine; fractions of a GPU share it.

    Raises:
        InputError: Ray is not installed, or its cluster cannot be reached or has no such room.
    """

    def __init__(self, cpus: int = 1, gpus: float = 0) -> None:
        self._ray = connect()
        self._needs = {"CPU": cpus, **({"GPU": gpus} if gpus else {})}
        if not self._room():
            raise InputError(
                f"the Ray cluster has no room for a worker of {cpus} CPUs and {gpus:g} GPUs; "
                "start Ray on more machines, or ask for less"
            )
        self._task = self._ray.remote(
            # Processes are kept: they have loaded what they need. (Ray ends those with GPUs.)
            num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES, max_calls=0
        )(_call)  # fmt: skip

    def _room(self) -> int:
        """Workers that the machines of the cluster have room for, now; some come, some go."""
        there = self._ray.cluster_resources()
        return int(min(there.get(kind, 0) // needed for kind, needed in self._needs.items()))

    def map(self, function: Callable[[Any], Any], inputs: Iterable[Any]) -> Iterator[Any]:
        """Yield ``function(x)`` for each of ``inputs``, in order.

        Raises:
            InputError: work was lost more often than ``RETRIES`` times.
        """
        shared = [self._ray.put(function)]  # in a list, or Ray would send the function itself
        pending: deque[Any] = deque()
        try:
            for item in inputs:
                pending.append(self._task.remote(shared, item))
                while len(pending) >= 2 * max(self._room(), 1):
                    yield self._result(pending.popleft())
            while pending:
                yield self._result(pending.popleft())
        finally:
            for reference in pending:
                self._ray.cancel(reference)

    def _result(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:  # what the function raised
            raise error.cause from None
        except errors.RayError as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"Ray could not do a part of the work in {RETRIES + 1} attempts ({reason}); see "
                "the memory of its machines, and run again"
            ) from None


def connect() -> Any:
    """The module ``ray``, connected to a cluster.

    Raises:
        InputError: it is not installed, or the cluster cannot be reached.
    """
    try:
        import ray
    except ImportError:
        raise InputError(
            "--engine ray needs Ray; install it with pip install 'fairseq-item[ray]'"
        ) from None
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray.init(log_to_driver=False, logging_level=logging.WARNING)
        except Exception as error:  # plain ones, too, of a cluster that does not start in time
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"no Ray cluster can be reached ({reason}); see RAY_ADDRESS") from None
    return ray


# In a process of the cluster: the function that it was sent last.
_functions: dict[str, Callable[[Any], Any]] = {}


def _call(shared: list[Any], item: Any) -> Any:
    key = shared[0].hex()
    if key not in _functions:
        import ray

        progress.be_quiet()
        ignore_pillow_warnings()
        _functions.clear()
        _functions[key] = ray.get(shared[0])
    return _functions[key](item)
