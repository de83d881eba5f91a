"""Manners towards hosts, and what a run does with failures."""

import threading
import time
from collections import Counter
from contextlib import closing

import pytest

from fairseq_item.fetch.failure import Failure
from fairseq_item.fetch.journal import Journal
from fairseq_item.fetch.schedule import Manners, Schedule


@pytest.fixture(name="journal")
def fixture_journal(tmp_path):
    with closing(Journal(tmp_path / "fetch.sqlite")) as journal:
        yield journal


def run(journal, get, **manners):
    """Results by address."""
    urls = {
        number: url for host in journal.hosts() for number, url in journal.waiting(host, 0, 999)
    }
    values = {"delay": 0.0, "backoff": 0.01, **manners}
    return {urls[number]: result for number, result in Schedule(journal, get, Manners(**values))}


def test_hosts_are_asked_by_few_at_once_and_one_does_not_hold_up_the_others(journal):
    running, most, lock = Counter(), Counter(), threading.Lock()
    others, two = threading.Semaphore(0), threading.Barrier(2)

    def get(url):
        host = url[0]
        with lock:
            running[host] += 1
            most[host] = max(most[host], running[host])
        if url in ("a0", "a1"):  # both at once, and not done before all other hosts are
            two.wait(10)
            assert all(others.acquire(timeout=10) for _ in range(20))
        elif host != "a":
            others.release()
        with lock:
            running[host] -= 1
        return url

    journal.add([(f"{host}{i}", host) for host in "abc" for i in range(20)])
    results = run(journal, get, connections=8, per_host=2)
    assert results == {url: url for url in results}
    assert len(results) == 60
    assert most["a"] == 2
    assert max(most.values()) == 2


def test_pauses_between_two_downloads_from_a_host(journal):
    starts = []
    journal.add([(f"a{i}", "a") for i in range(4)])
    begin = time.monotonic()
    run(journal, lambda url: starts.append(time.monotonic()), delay=0.05)
    assert len(starts) == 4
    assert starts[-1] - begin >= 0.15


def test_failures_that_may_pass_are_tried_again(journal):
    asked = []

    def get(url):
        asked.append(url)
        if url == "a-never":
            raise Failure("answers 404")
        if url == "a-at-last" and asked.count(url) == 3:
            return "image"
        raise Failure("answers 503", passing=True)

    journal.add([("a-never", "a"), ("a-at-last", "a"), ("a-always", "a")])
    results = run(journal, get, attempts=3)
    assert results["a-at-last"] == "image"
    assert [asked.count(f"a-{name}") for name in ("never", "at-last", "always")] == [1, 3, 3]
    assert results["a-always"].passing
    assert not results["a-never"].passing


def test_who_asks_to_be_left_alone_is(journal):
    times = []

    def get(url):
        times.append(time.monotonic())
        if len(times) == 1:
            raise Failure("answers 429", passing=True, wait=0.2)
        return url

    journal.add([("a1", "a"), ("a2", "a")])
    assert len(run(journal, get, per_host=3, delay=0.05)) == 2
    assert times[1] - times[0] >= 0.19  # the whole host, not that image alone


def test_hosts_that_ask_for_too_long_or_never_answer_are_given_up(journal):
    asked = []

    def get(url):
        asked.append(url)
        if url.startswith("a"):
            raise Failure("answers 503", passing=True, wait=9999)
        if url.startswith("b"):
            raise Failure("refuses connections", passing=True)
        return url

    journal.add([(f"{host}{i}", host) for host in "abc" for i in range(200)])
    results = run(journal, get, connections=4, per_host=1, patience=5)
    assert len(results) == 600
    assert sum(url.startswith("a") for url in asked) == 1
    assert sum(url.startswith("b") for url in asked) == 5
    assert all(results[f"c{i}"] == f"c{i}" for i in range(200))
    assert "to come back in 9999 seconds" in str(results["a199"])
    assert "failed 5 times" in str(results["b199"])
    assert results["b199"].passing  # another run asks again


def test_other_errors_are_not_swallowed(journal):
    journal.add([("a", "a")])

    def get(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(journal, get)
