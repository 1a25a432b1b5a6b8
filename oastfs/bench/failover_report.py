"""Results of ``failover`` as people and machines read them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from oastfs.bench.failover import Result
from oastfs.bench.machine import machine

HEADERS = ("through", "kills", "calls", "failed", "usual ms", "median pause ms", "longest pause ms")


def rows(results: Sequence[Result]) -> list[list[str]]:
    """A row for each result, for a table with ``HEADERS``."""
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


def to_document(results: Sequence[Result]) -> dict[str, Any]:
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
