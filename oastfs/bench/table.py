"""Results as rows of text, for tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from oastfs.bench.histogram import Histogram, latency_us
from oastfs.bench.results import Result

HEADERS = (
    *("workload", "target", "callers", "rate/s", "p50 us", "p99 us", "p99.9 us", "p99.99 us"),
    *("trips", "disk MB", "CPU us each (memory MB)"),
)
KIND_HEADERS = (
    "operation",
    "target",
    "share %",
    "count",
    "p50 us",
    "p99 us",
    "p99.9 us",
    "p99.99 us",
    "max us",
)
_PERCENTILES = ("p50", "p99", "p99.9", "p99.99")


def rows(results: Sequence[Result]) -> list[list[str]]:
    """A row for each result, for a table with ``HEADERS``."""
    return [
        [
            title(result),
            result.target,
            str(result.callers),
            rate_text(result),
            *latency_texts(result.latency, _PERCENTILES),
            "" if result.trips_each() is None else f"{result.trips_each():.2f}",
            disk_text(result),
            cpu_text(result),
        ]
        for result in results
    ]


def kind_rows(results: Sequence[Result]) -> list[list[str]]:
    """A row for each kind of operation of results that have several, for a table with ``KIND_HEADERS``."""
    found = []
    for result in results:
        if len(result.kinds) < 2:
            continue
        total = sum(histogram.count for histogram in result.kinds.values())
        for kind, histogram in sorted(result.kinds.items(), key=lambda item: -item[1].count):
            share = 100 * histogram.count / total
            texts = latency_texts(histogram, (*_PERCENTILES, "max"))
            found.append(
                [f"{title(result)}: {kind}", result.target, f"{share:.2f}", f"{histogram.count:,}", *texts]
            )
    return found


def remarks(results: Sequence[Result]) -> list[str]:
    """What a reader must know of results besides their figures."""
    found = []
    for result in results:
        where = f"{title(result)} on {result.target}"
        if result.unserved:
            found.append(
                f"{where}: {result.unserved:,} arrivals were given up as the target did not keep up; "
                "their latencies count as far as they had waited"
            )
        if result.rate_wanted and result.late.percentile(99) > 1_000_000:
            late_ms = result.late.percentile(99) / 1e6
            found.append(f"{where}: the load generator was late itself, by {late_ms:.1f} ms at p99")
        if result.errors:
            counts = ", ".join(f"{number:,} {name}" for name, number in sorted(result.errors.items()))
            found.append(f"{where}: failed operations: {counts}")
    return found


def title(result: Result) -> str:
    """The workload, its phase, and where it is on its axes."""
    axes = [f"{axis}={value:,.10g}" for axis, value in result.axes.items()]
    return " ".join([result.title, *axes])


def rate_text(result: Result) -> str:
    """The rate: bytes in MB."""
    return f"{result.rate / 1e6:,.0f} MB" if result.unit == "bytes" else f"{result.rate:,.0f}"


def latency_texts(histogram: Histogram, names: Sequence[str]) -> list[str]:
    """Latencies in microseconds; empty where nothing was measured."""
    figures = latency_us(histogram)
    return [f"{figures[name]:,.0f}" if name in figures else "" for name in names]


def disk_text(result: Result) -> str:
    """Growth in MB on disk, of the directories that were asked for, else of the target if that is known."""
    usage = result.usage
    growth = sum(usage.disks.values()) if usage.disks else usage.disk_growth_bytes
    return "" if growth is None else f"{growth / 1e6:+,.1f}"


def cpu_text(result: Result) -> str:
    """CPU for each unit (or gigabyte) and memory, by part."""
    memory = result.memory_bytes()
    if result.unit == "bytes":
        gigabytes = max(result.amount, 1) / 1e9
        figures = {part: f"{used / gigabytes:.2f} s/GB" for part, used in result.usage.cpu_seconds().items()}
    else:
        figures = {part: f"{used:.1f}" for part, used in result.cpu_us_each().items()}
    return ", ".join(f"{part} {text} ({memory[part] / 1e6:.0f})" for part, text in sorted(figures.items()))
