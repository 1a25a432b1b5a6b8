"""Running a workload: callers in several processes, one clock, every latency kept.

Callers are threads, spread over processes so that Python's lock does not hold them back. All prepare,
meet at a barrier, and go.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from array import array
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from oastfs.bench.processes import CpuMeter
from oastfs.bench.targets import open_target
from oastfs.bench.workloads import WORKLOADS, Plan
from oastfs.core.errors import DeadlineExceeded, OastError

PREPARE_SECONDS_MAX = 3600.0
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99)


@dataclass(frozen=True)
class Options:
    """One run. ``count`` files a caller and ``size_bytes`` each; zeros mean the workload's own."""

    workload: str
    target: str
    callers: int = 4
    processes: int = 0
    count: int = 0
    size_bytes: int = -1
    base: str = "/bench"
    seed: int = 1


@dataclass
class Result:
    """Figures of one run. Latencies in microseconds, by percentile."""

    workload: str
    target: str
    callers: int
    amount: int
    unit: str
    seconds: float
    steps: int
    latency_us: dict[str, float]
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Operations or bytes a second."""
        return self.amount / self.seconds

    def cpu_us_each(self) -> dict[str, float]:
        """Microseconds of CPU for each operation, by part."""
        return {part: 1e6 * used / max(self.amount, 1) for part, used in self.cpu_seconds.items()}


def run(options: Options) -> Result:
    """Run a workload. Raises what a caller raised, InvalidArgument for a bad target."""
    workload = WORKLOADS[options.workload]
    processes = options.processes or min(options.callers, os.cpu_count() or 1)
    base = f"{options.base.rstrip('/')}/{options.workload}-{os.getpid()}-{time.time_ns():x}"
    target = open_target(options.target, base)
    context = multiprocessing.get_context("spawn")
    workers: list[tuple[Any, Connection]] = []
    try:
        for rank in range(processes):
            ours, theirs = context.Pipe()
            callers = list(range(rank, options.callers, processes))
            process = context.Process(target=_process, args=(theirs, options, base, callers), daemon=True)
            process.start()
            theirs.close()
            workers.append((process, ours))
        for process, pipe in workers:
            _receive(process, pipe, PREPARE_SECONDS_MAX)
        meter = CpuMeter()
        started = time.perf_counter()
        for _, pipe in workers:
            pipe.send("go")
        reports = [_receive(process, pipe, PREPARE_SECONDS_MAX) for process, pipe in workers]
        seconds = time.perf_counter() - started
        used = meter.used()
    finally:
        for process, _ in workers:
            process.join(10)
            if process.is_alive():
                process.kill()
        target.remove_all()
        target.close()
    latencies = array("Q")
    for report in reports:
        latencies.frombytes(report[1])
    used["callers"] = sum(report[2] for report in reports)
    return Result(
        options.workload,
        options.target,
        options.callers,
        sum(report[0] for report in reports),
        workload.unit,
        seconds,
        len(latencies),
        percentiles(latencies),
        used,
    )


def percentiles(latencies_ns: array[int]) -> dict[str, float]:
    """Latencies in microseconds at the usual percentiles, and the largest."""
    ordered = sorted(latencies_ns)
    if not ordered:
        return {}
    last = len(ordered) - 1
    found = {f"p{p:g}": ordered[min(last, int(len(ordered) * p / 100))] / 1000 for p in PERCENTILES}
    found["max"] = ordered[last] / 1000
    return found


def _receive(process: Any, pipe: Connection, seconds: float) -> Any:
    if not pipe.poll(seconds):
        raise DeadlineExceeded(f"a load process did not answer within {seconds:.0f} s")
    try:
        answer = pipe.recv()
    except EOFError:
        process.join(5)
        raise OastError(f"a load process died (exit code {process.exitcode})") from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _process(pipe: Connection, options: Options, base: str, callers: list[int]) -> None:
    """Body of a load process."""
    try:
        workload = WORKLOADS[options.workload]
        size_bytes = workload.size_bytes if options.size_bytes < 0 else options.size_bytes
        plans = [
            Plan(
                open_target(options.target, base),
                f"caller{number}/a/b",
                options.count or workload.count,
                size_bytes,
                options.seed + number,
            )
            for number in callers
        ]
        steps = [workload.prepare(plan) for plan in plans]
        pipe.send("ready")
        pipe.recv()
        before = time.process_time()
        done = [array("Q") for _ in plans]
        amounts = [0] * len(plans)
        failures: list[BaseException] = []

        def caller(number: int) -> None:
            step, latencies, clock = steps[number], done[number], time.perf_counter_ns
            try:
                for position in range(workload.steps(plans[number])):
                    started = clock()
                    amounts[number] += step(position)
                    latencies.append(clock() - started)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=caller, args=(number,)) for number in range(1, len(plans))]
        for thread in threads:
            thread.start()
        caller(0)
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        pipe.send((sum(amounts), b"".join(map(bytes, done)), time.process_time() - before))
        for plan in plans:
            plan.target.close()
    except BaseException as error:
        pipe.send(error)
