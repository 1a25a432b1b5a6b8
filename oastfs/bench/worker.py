"""A load process: its callers are threads, which do one phase after the other when they are told to."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from oastfs.bench.histogram import Histogram
from oastfs.bench.schedule import Arrivals, arrival_times_ns, exact_timers
from oastfs.bench.targets import open_target, spread
from oastfs.bench.workloads import WORKLOADS
from oastfs.bench.workloads.base import Part, Phase
from oastfs.core.errors import OastError

GRACE_FACTOR = 1.0
"""Arrivals that are not served when this many times the run's length has passed after it are given up."""


@dataclass(frozen=True)
class Task:
    """What to run on what. ``rate``: operations a second in all, 0 for callers that wait for each answer."""

    workload: str
    target: str
    callers: int = 4
    processes: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    rate: float = 0.0
    base: str = "/bench"
    seed: int = 1
    tolerant: bool = False
    """Operations may fail: they are counted, and callers go on."""


@dataclass
class Report:
    """What one process has measured in one phase."""

    amount: int = 0
    kinds: dict[str, Histogram] = field(default_factory=dict)
    late: Histogram = field(default_factory=Histogram)
    """How long after the due time idle callers woke: the load generator's own fault."""
    unserved: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    trips: int = 0
    ended_ns: int = 0
    """When the last caller was done, by the clock that all processes of a machine share."""

    def add(self, other: Report) -> None:
        """Put the measurements of another caller or process to these."""
        self.amount += other.amount
        for kind, histogram in other.kinds.items():
            self.kinds.setdefault(kind, Histogram()).add(histogram)
        self.late.add(other.late)
        self.unserved += other.unserved
        for error, number in other.errors.items():
            self.errors[error] = self.errors.get(error, 0) + number
        self.cpu_seconds += other.cpu_seconds
        self.memory_bytes += other.memory_bytes
        self.trips += other.trips
        self.ended_ns = max(self.ended_ns, other.ended_ns)

    def record(self, kind: str, latency_ns: int) -> None:
        """One operation."""
        histogram = self.kinds.get(kind)
        if histogram is None:
            histogram = self.kinds[kind] = Histogram()
        histogram.record(latency_ns)


class Caller:
    """One caller in one phase. ``done`` is told the amount after each operation."""

    def __init__(self, phase: Phase, tolerant: bool, done: Callable[[int], None]) -> None:
        self.report = Report()
        self._draw, self._steps = phase.draw, phase.steps
        self._tolerant = tolerant
        self._done = done

    def one_after_the_other(self, end_ns: int | None) -> None:
        """As fast as answers come, until the phase's steps are done, or the time is up."""
        draw, record, clock, steps = self._draw, self.report.record, time.perf_counter_ns, self._steps
        number = 0
        while steps is None or number < steps:
            kind, call = draw(number)
            started = clock()
            amount = self._call(call)
            now = clock()
            if amount is not None:
                record(kind, now - started)
                self._done(amount)
            number += 1
            if end_ns is not None and now >= end_ns:
                return

    def as_they_are_due(self, arrivals: Arrivals, start_ns: int, give_up_ns: int) -> None:
        """Each at its time or, if all callers are busy then, as soon as one is free."""
        draw, record, clock = self._draw, self.report.record, time.perf_counter_ns
        number = 0
        while (due := arrivals.next_due_ns()) is not None:
            due += start_ns
            kind, call = draw(number)
            number += 1
            now = clock()
            if now < due:
                time.sleep((due - now) / 1e9)
                self.report.late.record(max(0, clock() - due))
            elif now > give_up_ns:
                # It waited for this long at least; left out, the latencies would look better than they are.
                record(kind, now - due)
                self.report.unserved += 1
                continue
            amount = self._call(call)
            if amount is not None:
                record(kind, clock() - due)
                self._done(amount)

    def _call(self, call: Callable[[], int]) -> int | None:
        if not self._tolerant:
            amount = call()
        else:
            try:
                amount = call()
            except Exception as error:
                name = type(error).__name__
                self.report.errors[name] = self.report.errors.get(name, 0) + 1
                return None
        self.report.amount += amount
        return amount


class Worker:
    """The callers of one process."""

    def __init__(self, task: Task, base: str, rank: int, amounts: Any) -> None:
        self._task, self._rank = task, rank
        self._workload = WORKLOADS[task.workload]
        self._numbers = list(range(rank, task.callers, task.processes))
        self._amounts = amounts
        self._arrivals: Arrivals | None = None
        if task.rate:
            times = arrival_times_ns(task.rate / task.processes, task.seconds, f"{task.seed}/{rank}")
            self._arrivals = Arrivals(times)
        self._targets = [open_target(spread(task.target, number), base) for number in self._numbers]
        parts = [
            Part(target, number, task.callers, task.seed, task.settings, len(self._arrivals or ()))
            for target, number in zip(self._targets, self._numbers, strict=True)
        ]
        self._phases = [list(self._workload.prepare(part)) for part in parts]

    def run(self, phase: int, start_ns: int) -> Report:
        """All callers do this phase. Raises what one of them raised."""
        task = self._task
        callers = [
            Caller(phases[phase], task.tolerant, self._counter(number))
            for phases, number in zip(self._phases, self._numbers, strict=True)
        ]
        timed = task.seconds and all(phases[phase].timed for phases in self._phases)
        end_ns = start_ns + int(task.seconds * 1e9) if timed else None
        give_up_ns = start_ns + int(task.seconds * 1e9 * (1 + GRACE_FACTOR))
        failures: list[BaseException] = []

        def body(caller: Caller) -> None:
            try:
                if self._arrivals is not None:
                    caller.as_they_are_due(self._arrivals, start_ns, give_up_ns)
                else:
                    caller.one_after_the_other(end_ns)
            except BaseException as error:
                failures.append(error)

        trips = sum(target.own_trips() for target in self._targets)
        time.sleep(max(0.0, (start_ns - time.perf_counter_ns()) / 1e9))
        cpu = time.process_time()
        _in_threads([lambda one=one: body(one) for one in callers])  # type: ignore[misc]
        ended_ns = time.perf_counter_ns()
        report = Report(
            cpu_seconds=time.process_time() - cpu,
            memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            trips=sum(target.own_trips() for target in self._targets) - trips,
            ended_ns=ended_ns,
        )
        if failures:
            raise failures[0]
        for caller in callers:
            report.add(caller.report)
        return report

    def close(self) -> None:
        """Give back connections."""
        for target in self._targets:
            target.close()

    def _counter(self, number: int) -> Callable[[int], None]:
        amounts = self._amounts

        def done(amount: int) -> None:
            amounts[number] += amount

        return done


def _in_threads(bodies: Sequence[Callable[[], None]]) -> None:
    """Run all at once; one of them on this thread."""
    threads = [threading.Thread(target=body) for body in bodies[1:]]
    for thread in threads:
        thread.start()
    if bodies:
        bodies[0]()
    for thread in threads:
        thread.join()


def work(pipe: Connection, task: Task, base: str, rank: int, amounts: Any) -> None:
    """Body of the process: answers each message with a Report, or with the error that ended it."""
    try:
        if task.rate:
            exact_timers()
        worker = Worker(task, base, rank, amounts)
        pipe.send(os.getpid())
        while (message := pipe.recv()) is not None:
            pipe.send(worker.run(*message))
        worker.close()
    except BaseException as error:
        _send_error(pipe, error)


def _send_error(pipe: Connection, error: BaseException) -> None:
    try:
        pipe.send(error)
    except BrokenPipeError:
        pass  # nobody waits for it any more
    except Exception:
        # Errors of others' clients cannot always be taken to another process.
        pipe.send(OastError(f"{type(error).__name__}: {error}"))
