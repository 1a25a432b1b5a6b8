"""Callers: what they count and record, in closed and in open loops."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable
from itertools import pairwise

import pytest

from oastfs.bench.schedule import Arrivals, arrival_times_ns
from oastfs.bench.worker import Caller, Report
from oastfs.bench.workloads.base import Operation, Phase


def phase_of(call: Callable[[], int], steps: int | None) -> Phase:
    return Phase("something", lambda number: Operation("something", call), steps)


def ignore(amount: int) -> None:
    return


def one_that_takes(seconds: float) -> Callable[[], int]:
    def call() -> int:
        time.sleep(seconds)
        return 1

    return call


def test_a_closed_loop_does_all_steps() -> None:
    done: list[int] = []
    caller = Caller(phase_of(lambda: 3, 50), False, done.append)
    caller.one_after_the_other(None)
    assert caller.report.amount == 150 == sum(done)
    assert caller.report.kinds["something"].count == 50


def test_a_closed_loop_stops_when_its_time_is_up() -> None:
    caller = Caller(phase_of(one_that_takes(0.001), None), False, ignore)
    started = time.perf_counter_ns()
    caller.one_after_the_other(started + 50_000_000)
    assert time.perf_counter_ns() - started >= 50_000_000
    assert caller.report.amount > 0


def test_errors_end_a_caller_unless_it_is_tolerant() -> None:
    def fail() -> int:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        Caller(phase_of(fail, 3), False, ignore).one_after_the_other(None)
    tolerant = Caller(phase_of(fail, 3), True, ignore)
    tolerant.one_after_the_other(None)
    assert tolerant.report.errors == {"ConnectionResetError": 3}
    assert tolerant.report.amount == 0
    assert not tolerant.report.kinds, "what failed has no latency"


def test_arrivals_are_at_the_rate_and_do_not_depend_on_answers() -> None:
    times = arrival_times_ns(2000, 20, "seed")
    assert len(times) == pytest.approx(40_000, rel=0.03)
    assert list(times) == sorted(times)
    assert times == arrival_times_ns(2000, 20, "seed")
    gaps = [after - before for before, after in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(500_000, rel=0.03)
    # Of a Poisson process: the deviation of the gaps is their mean.
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.05)


def test_each_arrival_is_served_once_by_whoever_is_free() -> None:
    arrivals = Arrivals(array("Q", range(1000)))
    served: list[int] = []

    def serve() -> None:
        while (due := arrivals.next_due_ns()) is not None:
            served.append(due)

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(served) == list(range(1000))


class Stalls:
    """A target that answers at once, but for one call that takes ``stall_seconds``."""

    def __init__(self, stalled_call: int, stall_seconds: float) -> None:
        self._calls, self._stalled, self._seconds = 0, stalled_call, stall_seconds

    def __call__(self) -> int:
        self._calls += 1
        if self._calls == self._stalled:
            time.sleep(self._seconds)
        return 1


def test_a_stall_is_not_omitted() -> None:
    """One call of 0.4 s, arrivals every 2 ms: a closed loop sees one slow call, users some 200."""
    stall_seconds, gap_ns, count = 0.4, 2_000_000, 500
    closed = Caller(phase_of(Stalls(100, stall_seconds), count), False, ignore)
    closed.one_after_the_other(None)
    omitted = closed.report.kinds["something"]
    assert omitted.percentile(99) < 50_000_000, "the closed loop saw one slow call in 500"

    due = array("Q", (number * gap_ns for number in range(count)))
    caller = Caller(phase_of(Stalls(100, stall_seconds), None), False, ignore)
    start_ns = time.perf_counter_ns()
    caller.as_they_are_due(Arrivals(due), start_ns, start_ns + 10**11)
    latency = caller.report.kinds["something"]
    assert latency.count == count
    # Those that arrived in the stall waited for its rest: 0.4 s the first, 0.398 s the next, and so on.
    waited = sum(number for value, number in latency.buckets() if value >= 100_000_000)
    assert waited >= (stall_seconds - 0.1) / 0.002, f"only {waited} arrivals waited for 0.1 s or more"
    assert latency.percentile(90) >= 100_000_000
    assert latency.max >= int(stall_seconds * 1e9)


def test_arrivals_that_are_given_up_count_as_far_as_they_waited() -> None:
    due = array("Q", (0, 1000, 2000, 3000))
    caller = Caller(phase_of(one_that_takes(0.05), None), False, ignore)
    start_ns = time.perf_counter_ns()
    caller.as_they_are_due(Arrivals(due), start_ns, start_ns + 20_000_000)
    assert caller.report.amount == 1
    assert caller.report.unserved == 3
    latency = caller.report.kinds["something"]
    assert latency.count == 4
    assert latency.min >= 40_000_000


def test_reports_add_up() -> None:
    first, second = Report(amount=2, trips=3, ended_ns=10, errors={"A": 1}), Report(amount=5, ended_ns=7)
    first.record("stat", 100)
    second.record("stat", 300)
    second.record("open", 200)
    second.errors = {"A": 2, "B": 1}
    first.add(second)
    assert (first.amount, first.trips, first.ended_ns) == (7, 3, 10)
    assert {kind: histogram.count for kind, histogram in first.kinds.items()} == {"stat": 2, "open": 1}
    assert first.errors == {"A": 3, "B": 1}
