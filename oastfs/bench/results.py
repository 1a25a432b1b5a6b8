"""Results, and the JSON document that holds them: what machines read, and reports are made from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oastfs.bench.histogram import Histogram, latency_us
from oastfs.bench.machine import machine
from oastfs.bench.processes import ProcessUse, Usage
from oastfs.core.errors import InvalidArgument

FORMAT = 2
"""Of the document. The first had neither histograms nor processes."""


@dataclass
class Result:
    """One phase of a workload on one target: counts, histograms by kind of operation, and what was used."""

    workload: str
    phase: str
    target: str
    callers: int
    processes: int
    unit: str
    amount: int
    seconds: float
    kinds: dict[str, Histogram]
    usage: Usage
    settings: dict[str, Any] = field(default_factory=dict)
    rate_wanted: float = 0.0
    """Arrivals a second, where these were not left to the callers."""
    late: Histogram = field(default_factory=Histogram)
    unserved: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    timeline: list[tuple[float, int]] = field(default_factory=list)
    """(seconds, amount done until then)"""
    versions: dict[str, str] = field(default_factory=dict)
    axes: dict[str, float] = field(default_factory=dict)
    """Where on the axes of a series this is: ``{"inodes": 1000000}``."""

    @property
    def title(self) -> str:
        """The workload, and the phase where it has several."""
        return self.phase if self.phase == self.workload else f"{self.workload} {self.phase}"

    @property
    def rate(self) -> float:
        """Operations, or whatever the unit is, a second."""
        return self.amount / self.seconds if self.seconds > 0 else 0.0

    @property
    def latency(self) -> Histogram:
        """Of all operations, in nanoseconds."""
        total = Histogram()
        for histogram in self.kinds.values():
            total.add(histogram)
        return total

    def cpu_us_each(self) -> dict[str, float]:
        """Microseconds of CPU for each unit, by part."""
        return {part: 1e6 * used / max(self.amount, 1) for part, used in self.usage.cpu_seconds().items()}

    def trips_each(self) -> float | None:
        """Trips to the database for each unit."""
        return None if self.usage.trips is None else self.usage.trips / max(self.amount, 1)

    def memory_bytes(self) -> dict[str, int]:
        """By part, at the end of the phase."""
        total: dict[str, int] = {}
        for process in self.usage.processes:
            total[process.part] = total.get(process.part, 0) + process.memory_bytes
        return total


def to_document(results: Sequence[Result]) -> dict[str, Any]:
    """All results, with the machine they were measured on."""
    return {"format": FORMAT, "machine": machine(), "results": [_to_json(result) for result in results]}


def from_document(document: dict[str, Any]) -> list[Result]:
    """The results of a document. Raises InvalidArgument for something else."""
    if document.get("format") != FORMAT:
        raise InvalidArgument(f"not results of `oastfs bench --json` in format {FORMAT}")
    if any("kinds" not in item for item in document["results"]):
        raise InvalidArgument("pauses of `oastfs bench failover` are no rates")
    return [_from_json(item) for item in document["results"]]


def read_document(path: str) -> dict[str, Any]:
    """A document of a file. Raises InvalidArgument, NotFound."""
    try:
        document = json.loads(Path(path).read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"not JSON: {error}", path=path) from None
    if not isinstance(document, dict):
        raise InvalidArgument("not results of `oastfs bench --json`", path=path)
    return document


def _to_json(result: Result) -> dict[str, Any]:
    return {
        "workload": result.workload,
        "phase": result.phase,
        "target": result.target,
        "versions": result.versions,
        "settings": result.settings,
        "axes": result.axes,
        "callers": result.callers,
        "processes": result.processes,
        "unit": result.unit,
        "amount": result.amount,
        "seconds": round(result.seconds, 4),
        "rate_per_second": round(result.rate, 1),
        "rate_wanted": result.rate_wanted,
        "latency_us": _rounded(latency_us(result.latency)),
        "cpu_us_each": _rounded(result.cpu_us_each()),
        "trips": result.usage.trips,
        "trips_each": result.trips_each(),
        "memory_bytes": result.memory_bytes(),
        "disk_bytes": result.usage.disk_bytes,
        "disk_growth_bytes": result.usage.disk_growth_bytes,
        "disks": result.usage.disks,
        "unserved": result.unserved,
        "errors": result.errors,
        "late_us": _rounded(latency_us(result.late)),
        "kinds": {
            kind: {"latency_us": _rounded(latency_us(histogram)), "histogram": histogram.to_json()}
            for kind, histogram in result.kinds.items()
        },
        "late": result.late.to_json(),
        "used_by": [dataclasses.asdict(process) for process in result.usage.processes],
        "timeline": [(round(seconds, 3), amount) for seconds, amount in result.timeline],
    }


_AS_IT_IS = (
    *("workload", "phase", "target", "callers", "processes", "unit", "amount", "seconds", "settings"),
    *("rate_wanted", "unserved", "errors", "versions", "axes"),
)


def _from_json(item: dict[str, Any]) -> Result:
    usage = Usage(
        processes=[ProcessUse(**process) for process in item["used_by"]],
        trips=item["trips"],
        disk_bytes=item["disk_bytes"],
        disk_growth_bytes=item["disk_growth_bytes"],
        disks=item["disks"],
    )
    return Result(
        **{name: item[name] for name in _AS_IT_IS},
        kinds={kind: Histogram.from_json(found["histogram"]) for kind, found in item["kinds"].items()},
        usage=usage,
        late=Histogram.from_json(item["late"]),
        timeline=[(seconds, amount) for seconds, amount in item["timeline"]],
    )


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    # Significant digits: of a byte's share of CPU time, decimals would leave nothing.
    return {name: float(f"{value:.6g}") for name, value in figures.items()}
