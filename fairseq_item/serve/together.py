"""Answers alike queries that wait at the same time together: ten titles take little more work than
one."""

import asyncio
from threading import Lock

MOST = 16


class Together:
    """Queries that wait for a thread are joined by others that can be answered with them.

    Nothing waits for company: a query that finds a free thread is answered alone.

    Args:
        gate: ``Gate``; queries that are answered together count as one.
        work: function of an engine and a list of queries that gives their answers.
    """

    def __init__(self, gate, work):
        self._gate, self._work = gate, work
        self._waiting, self._lock = {}, Lock()

    async def answer(self, engine, query):
        """The answer to a query.

        Raises:
            HTTPException: as of ``Gate.run``.
        """
        if query.alike is None:
            return (await self._gate.run(self._work, engine, [query]))[0]
        key = id(engine), query.alike
        with self._lock:
            batch = self._waiting.get(key)
            begins = batch is None or len(batch.queries) == MOST
            if begins:
                batch = self._waiting[key] = _Batch(engine)
            place = len(batch.queries)
            batch.queries.append(query)
        if begins:
            batch.task = asyncio.create_task(self._run(key, batch))
        # Who gives up takes nobody's answer away.
        return (await asyncio.shield(batch.task))[place]

    async def _run(self, key, batch):
        def work():
            self._close(key, batch)
            return self._work(batch.engine, batch.queries)

        try:
            return await self._gate.run(work)
        finally:
            self._close(key, batch)  # refused, or too late

    def _close(self, key, batch):
        with self._lock:
            if self._waiting.get(key) is batch:
                del self._waiting[key]


class _Batch:
    def __init__(self, engine):
        self.engine, self.queries, self.task = engine, [], None
