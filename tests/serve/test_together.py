import asyncio
import threading

import pytest

pytest.importorskip("fastapi")

from fastapi import HTTPException

from fairseq_item.serve.engine import Query
from fairseq_item.serve.limits import Gate
from fairseq_item.serve.together import MOST, Together


class Engine:
    """Remembers what was asked for together, and answers when it may."""

    def __init__(self):
        self.go, self.asked = threading.Event(), []

    def work(self, engine, queries):
        assert engine is self
        self.go.wait(10)
        self.asked.append([query.title for query in queries])
        return [f"answer to {query.title}" for query in queries]


def ask(queries, threads=1, waiting=10):
    """Ask while the only thread is busy with the first one: answers, and what was joined."""
    engine = Engine()

    async def main():
        gate = Gate(threads, waiting, 10)
        together = Together(gate, engine.work)
        tasks = []
        for query in queries:
            tasks.append(asyncio.create_task(together.answer(engine, query)))
            await asyncio.sleep(0.02)
        engine.go.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.02)
        assert gate.busy == 0
        assert not together._waiting
        return found

    return asyncio.run(main()), engine.asked


def test_alike_queries_that_wait_are_joined():
    found, asked = ask([Query(str(i)) for i in range(5)])
    assert found == [f"answer to {i}" for i in range(5)]
    assert asked == [["0"], ["1", "2", "3", "4"]]


def test_others_are_not():
    queries = [
        Query("0"), Query("1"), Query("2", k=3), Query("3", where=("a=b",)), Query("4"),
        Query("5", weights=(1, 1, 1, 1)), Query("6", image=b"x"), Query("7", image=b"x"),
    ]  # fmt: skip
    found, asked = ask(queries)
    assert found == [f"answer to {i}" for i in range(8)]
    assert asked == [["0"], ["1", "4"], ["2"], ["3"], ["5"], ["6"], ["7"]]
    assert Query(item="a").alike != Query("a").alike


def test_at_most_so_many():
    found, asked = ask([Query(str(i)) for i in range(MOST + 4)])
    assert found == [f"answer to {i}" for i in range(MOST + 4)]
    assert [len(some) for some in asked] == [1, MOST, 3]


def test_nothing_waits_for_company():
    _, asked = ask([Query(str(i)) for i in range(4)], threads=4)
    assert sorted(asked) == [["0"], ["1"], ["2"], ["3"]]


def test_refused_ones_leave_nothing():
    queries = [Query("0"), Query("1"), Query("2", k=3), Query("3", k=3), Query("4")]
    found, asked = ask(queries, waiting=1)
    assert [getattr(one, "status_code", None) for one in found] == [None, None, 503, 503, None]
    assert isinstance(found[2], HTTPException)
    assert asked == [["0"], ["1", "4"]]


def test_together_as_alone(client):
    engine = client.served.engine
    for queries in (
        [Query("red mug"), Query("blue hat"), Query("nothing known"), Query("green pan 7")],
        [Query(item="p1"), Query(item="p7"), Query(item="p29")],
    ):
        together = engine.answer_all(queries)
        for query, found in zip(queries, together):
            alone = engine.answer(query)
            assert [a["id"] for a in found["answers"]] == [a["id"] for a in alone["answers"]]
            scores = [a["score"] for a in alone["answers"]]
            assert [a["score"] for a in found["answers"]] == pytest.approx(scores, abs=1e-6)
