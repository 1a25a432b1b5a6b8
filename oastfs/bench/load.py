"""Running a workload: callers in several processes, started together, watched while they work.

Callers are threads, spread over processes so that Python's lock does not hold them back. All prepare, meet,
and do each phase at once.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Protocol

from oastfs.bench.processes import Meter, Usage
from oastfs.bench.results import Result
from oastfs.bench.targets import open_target
from oastfs.bench.worker import Report, Task, work
from oastfs.bench.workloads import WORKLOADS
from oastfs.bench.workloads.base import PhaseKind
from oastfs.core.errors import DeadlineExceeded, InvalidArgument, OastError

PREPARE_SECONDS_MAX = 7200.0
PHASE_SECONDS_MAX = 7200.0
START_DELAY_NS = 50_000_000
"""From the signal to the start, so that all processes have heard it."""
SAMPLE_SECONDS = 0.25


class Observer(Protocol):
    """Is told how a run goes, for whoever watches."""

    def began(self, task: Task, phase: str) -> None:
        """A phase begins, or the preparation (``prepare``)."""

    def progress(self, amount: int, seconds: float) -> None:
        """So much is done, so long after the phase began."""


class Silent:
    """Nobody watches."""

    def began(self, task: Task, phase: str) -> None:
        return

    def progress(self, amount: int, seconds: float) -> None:
        return


def checked(task: Task) -> Task:
    """The task with all defaults filled in. Raises InvalidArgument for what does not go together."""
    workload = WORKLOADS.get(task.workload)
    if workload is None:
        raise InvalidArgument(f"no workload {task.workload!r}; there are {', '.join(WORKLOADS)}")
    seconds = task.seconds or workload.seconds
    settings = workload.check(task.settings)
    if task.rate and (len(workload.phases_of(settings)) > 1 or not seconds):
        raise InvalidArgument("arrivals at a rate need a time, and a workload of one phase")
    return dataclasses.replace(
        task,
        seconds=seconds,
        settings=settings,
        processes=min(task.processes or os.cpu_count() or 1, task.callers),
    )


def phases_of(task: Task) -> tuple[PhaseKind, ...]:
    """What a checked task is going to do."""
    return WORKLOADS[task.workload].phases_of(task.settings)


def run(
    task: Task, observer: Observer | None = None, disks: Sequence[str] = (), watch: Sequence[str] = ()
) -> list[Result]:
    """Run all phases; a result for each. ``disks`` and ``watch``: as ``processes.Meter`` takes them.

    Raises what a caller raised, InvalidArgument for a bad target or setting.
    """
    task = checked(task)
    with Crew(task, observer or Silent()) as crew:
        return [crew.phase(number, disks, watch) for number in range(len(phases_of(task)))]


class Crew:
    """Load processes that are ready for their phases; leaving it ends them and removes what they made."""

    def __init__(self, task: Task, observer: Observer) -> None:
        self._task, self._observer = task, observer
        self._base = f"{task.base.rstrip('/')}/{task.workload}-{os.getpid()}-{time.time_ns():x}"
        self._workers: list[tuple[Any, Connection]] = []
        context = multiprocessing.get_context("spawn")
        self._amounts: Any = context.RawArray("Q", task.callers)
        self.target = open_target(task.target, self._base)

    def __enter__(self) -> Crew:
        task = self._task
        self._observer.began(task, "prepare")
        try:
            context = multiprocessing.get_context("spawn")
            for rank in range(task.processes):
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=work, args=(theirs, task, self._base, rank, self._amounts), daemon=True
                )
                process.start()
                theirs.close()
                self._workers.append((process, ours))
            self._answers(PREPARE_SECONDS_MAX)
        except BaseException:
            self._end(orderly=False)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(orderly=error is None)

    def phase(self, number: int, disks: Sequence[str] = (), watch: Sequence[str] = ()) -> Result:
        """All callers do one phase."""
        kind = phases_of(self._task)[number]
        self._observer.began(self._task, kind.name)
        for index in range(len(self._amounts)):
            self._amounts[index] = 0
        meter = Meter(self.target, disks, watch)
        start_ns = time.perf_counter_ns() + START_DELAY_NS
        for _, pipe in self._workers:
            pipe.send((number, start_ns))
        timeline: list[tuple[float, int]] = []
        reports = self._answers(PHASE_SECONDS_MAX, start_ns, timeline)
        usage = meter.read()
        total = Report()
        for report in reports:
            total.add(report)
        seconds = (total.ended_ns - start_ns) / 1e9
        timeline[-1] = (seconds, total.amount)
        return self._result(kind, total, seconds, timeline, usage)

    def _result(
        self, kind: PhaseKind, total: Report, seconds: float, timeline: list[tuple[float, int]], usage: Usage
    ) -> Result:
        task = self._task
        if usage.trips is not None or total.trips:
            usage.trips = (usage.trips or 0) + total.trips
        usage.add_callers(total.cpu_seconds, total.memory_bytes)
        return Result(
            workload=task.workload,
            phase=kind.name,
            target=task.target,
            callers=task.callers,
            processes=task.processes,
            unit=kind.unit,
            amount=total.amount,
            seconds=seconds,
            kinds=total.kinds,
            usage=usage,
            settings=dict(task.settings),
            rate_wanted=task.rate,
            late=total.late,
            unserved=total.unserved,
            errors=total.errors,
            timeline=timeline,
            versions=self.target.versions(),
            axes=dict(kind.axes),
        )

    def _answers(
        self, seconds_max: float, start_ns: int = 0, timeline: list[tuple[float, int]] | None = None
    ) -> list[Any]:
        """One answer of each process; meanwhile the observer hears how far they are."""
        deadline = time.monotonic() + seconds_max
        answers: list[Any] = []
        waiting = {pipe: process for process, pipe in self._workers}
        while waiting:
            if time.monotonic() > deadline:
                raise DeadlineExceeded(f"a load process did not answer within {seconds_max:.0f} s")
            for pipe in wait(list(waiting), SAMPLE_SECONDS):
                assert isinstance(pipe, Connection)
                answers.append(_receive(waiting.pop(pipe), pipe))
            if timeline is not None:
                elapsed = (time.perf_counter_ns() - start_ns) / 1e9
                if elapsed > 0:
                    timeline.append((elapsed, sum(self._amounts)))
                    self._observer.progress(timeline[-1][1], elapsed)
        return answers

    def _end(self, orderly: bool) -> None:
        for process, pipe in self._workers:
            if orderly and process.is_alive():
                pipe.send(None)
            elif process.is_alive():
                process.terminate()
        for process, pipe in self._workers:
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()
            pipe.close()
        try:
            self.target.remove_all()
        finally:
            self.target.close()


def _receive(process: Any, pipe: Connection) -> Any:
    try:
        answer = pipe.recv()
    except EOFError:
        process.join(5)
        raise OastError(f"a load process died (exit code {process.exitcode})") from None
    if isinstance(answer, BaseException):
        raise answer
    return answer
