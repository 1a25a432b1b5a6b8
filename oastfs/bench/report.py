"""Results as people and machines read them."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from typing import Any

from oastfs.bench import failover
from oastfs.bench.load import Result
from oastfs.core.version import VERSION


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "version": VERSION,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """All figures of a run, with the machine."""
    return {
        "machine": machine(),
        "results": [
            {
                "workload": result.workload,
                "target": result.target,
                "callers": result.callers,
                "unit": result.unit,
                "amount": result.amount,
                "seconds": round(result.seconds, 4),
                "rate_per_second": round(result.rate, 1),
                "latency_us": {name: round(value, 1) for name, value in result.latency_us.items()},
                "cpu_us_each": {name: round(value, 3) for name, value in result.cpu_us_each().items()},
            }
            for result in results
        ],
    }


HEADERS = ("workload", "target", "callers", "rate/s", "p50 us", "p99 us", "p99.9 us", "CPU us each")


def as_rows(results: Sequence[Result]) -> list[list[str]]:
    """A row for each result, for a table with ``HEADERS``."""
    return [
        [
            result.workload,
            result.target,
            str(result.callers),
            f"{result.rate / 1e6:,.0f} MB" if result.unit == "bytes" else f"{result.rate:,.0f}",
            *(f"{result.latency_us.get(name, 0):,.0f}" for name in ("p50", "p99", "p99.9")),
            _cpu(result),
        ]
        for result in results
    ]


def _cpu(result: Result) -> str:
    if result.unit == "bytes":
        gigabytes = result.amount / 1e9
        return ", ".join(f"{part} {used / gigabytes:.2f} s/GB" for part, used in result.cpu_seconds.items())
    return ", ".join(f"{part} {used:.1f}" for part, used in sorted(result.cpu_us_each().items()))


FAILOVER_HEADERS = ("through", "kills", "calls", "failed", "usual ms", "median pause ms", "longest pause ms")


def failover_rows(results: Sequence[failover.Result]) -> list[list[str]]:
    """A row for each result, for a table with ``FAILOVER_HEADERS``."""
    return [
        [
            result.options.through,
            str(len(result.pauses_seconds)),
            f"{result.calls:,}",
            str(len(result.failures)),
            *(
                f"{1000 * seconds:.1f}"
                for seconds in (
                    result.usual_seconds,
                    statistics.median(result.pauses_seconds),
                    max(result.pauses_seconds),
                )
            ),
        ]
        for result in results
    ]


def failover_json(results: Sequence[failover.Result]) -> dict[str, Any]:
    """All figures of runs of ``failover``, with the machine."""
    return {
        "machine": machine(),
        "results": [
            {
                "workload": "failover",
                "through": result.options.through,
                "namenodes": result.options.namenodes,
                "callers": result.options.callers,
                "calls": result.calls,
                "failures": result.failures,
                "usual_seconds": result.usual_seconds,
                "pauses_seconds": result.pauses_seconds,
            }
            for result in results
        ],
    }
