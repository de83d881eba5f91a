"""Threads that work ahead: in order, and never far."""

import time

import pytest

from fairseq_item.parallel import map_in_threads


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order(threads):
    def slow(i):
        time.sleep(0.002 * (i % 3))
        return i * i

    assert list(map_in_threads(slow, range(20), threads)) == [i * i for i in range(20)]


def test_inputs_are_taken_no_further_than_allowed():
    taken = []

    def inputs():
        for i in range(1000):
            taken.append(i)
            yield i

    results = map_in_threads(str, inputs(), 2)
    assert next(results) == "0"
    assert len(taken) == 64
    results.close()
    assert len(taken) == 64


def test_an_error_arrives_where_its_result_would():
    def inverse(i):
        return 1 / i

    results = map_in_threads(inverse, [2, 4, 0], 2)
    assert [next(results), next(results)] == [0.5, 0.25]
    with pytest.raises(ZeroDivisionError):
        next(results)
