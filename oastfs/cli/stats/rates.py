"""Rates and latencies from two looks at counters that only grow. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from oastfs.cli.stats.gather import Look, Part, Samples


@dataclass(frozen=True)
class OperationRate:
    """Calls of one kind. Times in milliseconds; NaN if there was no call (or nobody timed them)."""

    kind: str
    per_second: float
    mean_ms: float
    p99_ms: float
    errors_per_second: float = 0.0


@dataclass(frozen=True)
class PartRate:
    """One part. ``figures`` are what is worth knowing of its kind, NaN for what is not known."""

    kind: str
    name: str
    per_second: float
    mean_ms: float
    figures: dict[str, float] = field(default_factory=dict)
    amiss: str = ""


@dataclass(frozen=True)
class Rates:
    """What happened between two looks."""

    seconds: float
    parts: list[PartRate]
    operations: list[OperationRate]
    """Of all namenodes together, the most frequent first."""
    mount_operations: list[OperationRate]
    """Of all mounts together."""


def rates(before: Look, now: Look) -> Rates:
    """Of the parts that were there at both looks; those that have come since count from the next one on."""
    parts: list[PartRate] = []
    seconds = 0.0
    calls: dict[str, Counts] = defaultdict(Counts)
    mounted: dict[str, Counts] = defaultdict(Counts)
    for key, part in sorted(now.parts.items(), key=lambda item: (_ORDER[item[0][0]], item[0][1])):
        earlier = before.parts.get(key)
        if part.amiss or earlier is None or earlier.amiss:
            parts.append(PartRate(part.kind, part.name, math.nan, math.nan, amiss=part.amiss or "just begun"))
            continue
        elapsed = max(part.at - earlier.at, 1e-6)
        seconds = max(seconds, elapsed)
        found = _of_mount(earlier, part) if part.kind == "mount" else _of_calls(earlier, part)
        summed = {"namenode": calls, "mount": mounted}.get(part.kind)
        if summed is not None:
            for kind, counts in found.items():
                summed[kind].add(counts, elapsed)
        parts.append(_part(earlier, part, found, elapsed))
    return Rates(seconds, parts, _operations(calls), _operations(mounted))


class Counts:
    """Calls of one kind: how many, how long, in which buckets, and rates when several parts are added up."""

    def __init__(self, count: float = 0.0, timed: float = 0.0, seconds: float = 0.0) -> None:
        self.count, self.timed, self.seconds, self.errors = count, timed, seconds, 0.0
        self.buckets: dict[float, float] = {}
        self.per_second = self.errors_per_second = 0.0

    def add(self, other: Counts, elapsed: float) -> None:
        self.timed += other.timed
        self.seconds += other.seconds
        self.per_second += other.count / elapsed
        self.errors_per_second += other.errors / elapsed
        for bound, count in other.buckets.items():
            self.buckets[bound] = self.buckets.get(bound, 0.0) + count

    @property
    def mean_ms(self) -> float:
        return self.seconds / self.timed * 1e3 if self.timed > 0 else math.nan

    def quantile_ms(self, share: float) -> float:
        """The bound of the bucket in which this share of the calls is reached, NaN without buckets."""
        total = max(self.buckets.values(), default=0.0)
        for bound, count in sorted(self.buckets.items()):
            if total > 0 and count >= share * total:
                return bound * 1e3
        return math.nan


_ORDER = {"namenode": 0, "datanode": 1, "mount": 2}
_CALLS = "oastfs_rpc_seconds"


def _of_calls(before: Part, now: Part) -> dict[str, Counts]:
    found: dict[str, Counts] = defaultdict(Counts)
    for (name, labels), value in now.samples.items():
        by = dict(labels)
        verb, delta = by.get("verb", ""), value - before.samples.get((name, labels), 0.0)
        if delta <= 0:
            continue  # nothing happened, or the part began anew
        if name == f"{_CALLS}_count":
            found[verb].count += delta
            found[verb].timed += delta
        elif name == f"{_CALLS}_sum":
            found[verb].seconds += delta
        elif name == f"{_CALLS}_bucket":
            found[verb].buckets[float(by["le"])] = delta
        elif name == "oastfs_rpc_errors_total":
            found[verb].errors += delta
        elif name == "oastfs_datanode_operations_total":
            found[by["operation"].lower()].count += delta
    return found


def _of_mount(before: Part, now: Part) -> dict[str, Counts]:
    found: dict[str, Counts] = {}
    for kind, figures in now.operations.items():
        was = before.operations.get(kind, {})
        count, timed, seconds = (
            max(0.0, figures[name] - was.get(name, 0.0)) for name in ("count", "timed", "seconds")
        )
        if count:
            found[kind] = Counts(count, timed, seconds)
    return found


def _part(before: Part, now: Part, found: dict[str, Counts], elapsed: float) -> PartRate:
    total = sum(counts.count for counts in found.values())
    timed = sum(counts.timed for counts in found.values())
    took = sum(counts.seconds for counts in found.values())
    mean_ms = took / timed * 1e3 if timed else math.nan
    if now.kind == "namenode":
        figures = _namenode(before.samples, now.samples, found, elapsed)
    elif now.kind == "datanode":
        figures = _datanode(before.samples, now.samples, elapsed)
    else:
        figures = {}
    return PartRate(now.kind, now.name, total / elapsed, mean_ms, figures)


def _namenode(before: Samples, now: Samples, found: dict[str, Counts], elapsed: float) -> dict[str, float]:
    def growth(name: str) -> float:
        return _value(now, name) - _value(before, name)

    paths = growth("oastfs_hint_paths")
    return {
        "errors_per_second": sum(counts.errors for counts in found.values()) / elapsed,
        "in_flight": _value(now, "oastfs_rpc_in_flight"),
        "connections": _value(now, "oastfs_rpc_connections"),
        "cpu": growth("process_cpu_seconds_total") / elapsed,
        "memory_bytes": _value(now, "process_resident_memory_bytes"),
        "store_trips_per_second": growth("oastfs_store_trips") / elapsed,
        "cache_hits": growth("oastfs_hint_paths_known") / paths if paths > 0 else math.nan,
        "leader": _value(now, "oastfs_leader"),
    }


def _datanode(before: Samples, now: Samples, elapsed: float) -> dict[str, float]:
    def rate(name: str) -> float:
        return (_value(now, name) - _value(before, name)) / elapsed

    return {
        "read_bytes_per_second": rate("oastfs_datanode_bytes_read_total"),
        "written_bytes_per_second": rate("oastfs_datanode_bytes_written_total"),
        "connections": _value(now, "oastfs_datanode_connections"),
        "replicas": _value(now, "oastfs_datanode_replicas"),
    }


def _value(samples: Samples, name: str) -> float:
    return samples.get((name, ()), math.nan)


def _operations(calls: dict[str, Counts]) -> list[OperationRate]:
    found = [
        OperationRate(kind, one.per_second, one.mean_ms, one.quantile_ms(0.99), one.errors_per_second)
        for kind, one in calls.items()
    ]
    return sorted(found, key=lambda one: (-one.per_second, one.kind))
