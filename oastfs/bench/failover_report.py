"""Results of ``failover`` as people and machines read them: rows of a table, a JSON document, plots."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from oastfs.bench import svg
from oastfs.bench.failover import Options, Result
from oastfs.bench.machine import machine
from oastfs.bench.results import FORMAT
from oastfs.bench.svg import Series

WORKLOAD = "failover"
HEADERS = ("through", "kills", "calls", "failed", "usual ms", "median pause ms", "longest pause ms")
SETTINGS_HEADERS = ("through", "namenodes", "callers")


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


def remarks(results: Sequence[Result]) -> list[str]:
    """The calls that failed, each with what it said."""
    return [
        f"failed through {result.options.through}: {failure}"
        for result in results
        for failure in result.failures
    ]


def to_document(results: Sequence[Result]) -> dict[str, Any]:
    """All figures of runs of ``failover``, with the machine."""
    return {
        "format": FORMAT,
        "machine": machine(),
        "results": [
            {
                "workload": WORKLOAD,
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


def is_document(document: dict[str, Any]) -> bool:
    """Whether a document is one of runs of ``failover``."""
    results = document.get("results")
    return bool(results) and all(result.get("workload") == WORKLOAD for result in results or ())


def from_document(document: dict[str, Any]) -> list[Result]:
    """The results of such a document. Which store it was is not in it: its URL may hold a password."""
    return [
        Result(
            Options((), item["through"], item["namenodes"], len(item["pauses_seconds"]), item["callers"]),
            item["calls"],
            item["failures"],
            item["usual_seconds"],
            item["pauses_seconds"],
        )
        for item in document["results"]
    ]


def settings(results: Sequence[Result]) -> list[list[str]]:
    """How each client was called: (client, namenodes, callers)."""
    return [
        [result.options.through, str(result.options.namenodes), str(result.options.callers)]
        for result in results
    ]


def figures(results: Sequence[Result]) -> list[str]:
    """Plots of the pauses: of each kill, a line for each client, and each client's beside its usual call."""
    if not results:
        return []
    by_client: dict[str, list[Result]] = {}
    for result in results:
        by_client.setdefault(result.options.through, []).append(result)
    pauses_ms = {
        client: [1000 * seconds for one in same for seconds in one.pauses_seconds]
        for client, same in by_client.items()
    }
    lines = [
        Series(client, [(float(number), pause) for number, pause in enumerate(pauses, 1)])
        for client, pauses in pauses_ms.items()
    ]
    x = svg.linear("kill", [float(len(pauses)) for pauses in pauses_ms.values()])
    y = svg.logarithmic("pause, ms", [pause for pauses in pauses_ms.values() for pause in pauses])
    usual_ms = [1000 * statistics.median(one.usual_seconds for one in same) for same in by_client.values()]
    bars = [
        Series("usual call", list(enumerate(usual_ms))),
        Series("median pause", list(enumerate(statistics.median(one) for one in pauses_ms.values()))),
        Series("longest pause", list(enumerate(max(one) for one in pauses_ms.values()))),
    ]
    return [
        svg.line_chart("Longest call around each kill of the namenode in use", x, y, lines),
        svg.bar_chart("Pauses by client", "ms", list(by_client), bars),
    ]
