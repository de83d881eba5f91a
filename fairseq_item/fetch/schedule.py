"""Who is asked when: several hosts at once, each of them no faster and no oftener than it likes."""

import heapq
import logging
import queue
import random
import threading
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from time import monotonic

from fairseq_item.fetch.failure import Failure

logger = logging.getLogger(__name__)
READ_AHEAD = 100


@dataclass(frozen=True)
class Manners:
    """How hosts are treated.

    Attributes:
        connections: downloads at once.
        per_host: downloads from one host at once.
        delay: seconds between the starts of two downloads from one host.
        attempts: times that an image is asked for, where trying again may help.
        backoff: seconds before the second attempt, twice as many before each further one.
        longest_wait: seconds; who asks to be left alone for longer is not asked again in this run.
        patience: failures that may pass, one after another, before a host is given up in this run.
    """

    connections: int = 16
    per_host: int = 4
    delay: float = 0.1
    attempts: int = 4
    backoff: float = 1.0
    longest_wait: float = 120.0
    patience: int = 20


@dataclass
class _Host:
    name: str
    fresh: deque = field(default_factory=deque)
    again: list = field(default_factory=list)  # heap of (time, number, url, attempt)
    read: int = 0  # number of the last address that was read from the journal
    running: int = 0
    free_at: float = 0.0
    failures: int = 0
    listed: bool = False  # in the heap of hosts
    given_up: str = ""


class Schedule:
    """Runs ``get(url)`` for all waiting addresses of a journal.

    Args:
        journal: ``Journal``; read here, written by who takes the results.
        get: function that threads call; raises :class:`Failure`.
        manners: :class:`Manners`.
        seed: of the jitter that keeps hosts from being asked again all at once.
    """

    def __init__(self, journal, get, manners, seed=1):
        self._journal, self._get, self._manners = journal, get, manners
        self._random = random.Random(seed)
        self._heap, self._ties = [], count()
        self._tasks, self._results = queue.SimpleQueue(), queue.SimpleQueue()
        self._running = 0

    def __iter__(self):
        """Yield (number, what ``get`` returned or the last :class:`Failure`) as they come."""
        for name in self._journal.hosts():
            self._list(_Host(name))
        for _ in range(self._manners.connections):
            # Daemons: an interrupted run does not wait for the slowest server.
            threading.Thread(target=self._work, daemon=True).start()
        try:
            while self._heap or self._running:
                wait = yield from self._start()
                try:
                    yield from self._finished(*self._results.get(timeout=wait))
                except queue.Empty:
                    continue
        finally:
            for _ in range(self._manners.connections):
                self._tasks.put(None)

    def _start(self):
        """Start what may be started; returns seconds until more may be, None: not by waiting."""
        while self._heap and self._running < self._manners.connections:
            ready, _, host = self._heap[0]
            now = monotonic()
            if ready > now:
                return ready - now
            heapq.heappop(self._heap)
            host.listed = False
            if host.free_at > now and not host.given_up:  # it has asked for peace since
                self._list(host)
                continue
            item = self._next(host, now)
            if item and host.given_up:
                number, *_ = item
                yield number, Failure(host.given_up, passing=True)
            elif item:
                host.free_at = now + self._manners.delay
                host.running += 1
                self._running += 1
                self._tasks.put((host, *item))
            self._list(host)
        return None if self._running else 0

    def _next(self, host, now):
        if host.again and (host.again[0][0] <= now or host.given_up):
            return heapq.heappop(host.again)[1:]
        self._read(host)
        if host.fresh:
            return (*host.fresh.popleft(), 1)
        return None

    def _read(self, host):
        if not host.fresh:
            host.fresh.extend(self._journal.waiting(host.name, host.read, READ_AHEAD))
            if host.fresh:
                host.read = host.fresh[-1][0]

    def _list(self, host):
        """Put a host into the heap, at the time when it may be asked again."""
        self._read(host)
        waiting = host.fresh or host.again
        if host.listed or not waiting or host.running >= self._manners.per_host:
            return
        if host.given_up:
            ready = 0.0
        elif host.fresh:
            ready = host.free_at
        else:
            ready = max(host.free_at, host.again[0][0])
        host.listed = True
        heapq.heappush(self._heap, (ready, next(self._ties), host))

    def _work(self):
        while task := self._tasks.get():
            try:
                result = self._get(task[2])
            except Exception as error:
                result = error
            self._results.put((*task, result))

    def _finished(self, host, number, url, attempt, result):
        host.running -= 1
        self._running -= 1
        if isinstance(result, Exception) and not isinstance(result, Failure):
            raise result
        passing = isinstance(result, Failure) and result.passing
        host.failures = host.failures + 1 if passing else 0
        if passing and self._again(host, number, url, attempt, result):
            self._list(host)
            return
        self._list(host)
        yield number, result

    def _again(self, host, number, url, attempt, failure):
        """Whether an address is asked for once more; if so it is put where it waits."""
        manners = self._manners
        if not host.given_up:
            if failure.wait > manners.longest_wait:
                host.given_up = f"{failure}, to come back in {failure.wait:.0f} seconds"
            elif host.failures >= manners.patience:
                host.given_up = f"its host failed {host.failures} times: {failure}"
            if host.given_up:
                logger.warning("%s is given up for now: %s", host.name, host.given_up)
        if host.given_up:
            return False
        if failure.wait:
            host.free_at = max(host.free_at, monotonic() + failure.wait)
        if attempt >= manners.attempts:
            return False
        pause = manners.backoff * 2 ** (attempt - 1) * self._random.uniform(0.75, 1.25)
        due = monotonic() + max(pause, failure.wait)
        heapq.heappush(host.again, (due, number, url, attempt + 1))
        return True
