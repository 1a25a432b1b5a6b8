"""How many namenodes, database servers and cores a load needs, from what operations cost when measured.

The laws are those of operational analysis, which hold for any system that does not lose work:

* utilisation: a rate times the CPU of one operation is the cores that it keeps busy;
* Little: a rate times the latency is the number of operations under way;
* of a closed network (callers that wait for each answer), mean value analysis gives rate and latency.

What is assumed besides is listed in ``ASSUMPTIONS``, and said with every plan.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from oastfs.bench.processes import CALLERS
from oastfs.bench.results import Result
from oastfs.bench.workloads.spotify import FILES_PER_DIRECTORY, MIX_PERCENT
from oastfs.core.errors import InvalidArgument

NAMENODE, DATABASE = "namenode", "postgresql"
UTILISATION = 0.7
SHARD_CORES = 16

ASSUMPTIONS = (
    "A namenode is one Python process: it uses one core at most, and is loaded to the given utilisation.",
    "An operation costs the same CPU on the planned machines as in the measured run with the most callers.",
    "That cost does not grow with the number of namenodes: they share nothing but the database.",
    "Rows are spread evenly over shards, as ids are: no directory is so hot that one shard has most load.",
    "An operation costs as much as on the measured number of shards. On one it costs least, as nothing is "
    "committed on two: to plan several, measure on two at least.",
    "The network has room; its time is latency, which more callers make up for, not cost.",
)

_FROM_SINGLE = {
    "read": "open",
    "stat file": "stat",
    "stat directory": "stat",
    "list file": "stat",
    "list directory": "list",
    "create": "create",
    "rename": "rename",
    "delete": "remove",
    "chown directory": "chmod",
    "set replication": "chmod",
    "chmod file": "chmod",
    "chmod directory": "chmod",
    "mkdir": "mkdir",
}
"""The single operation that stands for each of the mix, where the mix itself was not measured."""


@dataclass(frozen=True)
class Costs:
    """Of one operation: CPU in microseconds by part, trips to the database, mean latency."""

    cpu_us: dict[str, float]
    trips: float
    latency_us: float

    @property
    def namenode_us(self) -> float:
        """CPU in the namenode."""
        return self.cpu_us.get(NAMENODE, 0.0)

    @property
    def database_us(self) -> float:
        """CPU in the database; none with the embedded store, whose work is the namenode's."""
        return self.cpu_us.get(DATABASE, 0.0)

    @property
    def total_us(self) -> float:
        """CPU of all parts, the callers' included."""
        return sum(self.cpu_us.values())


@dataclass(frozen=True)
class Plan:
    """What a rate needs. Cores are those that are to be there, at the given utilisation."""

    rate: float
    costs: Costs
    utilisation: float
    namenodes: int
    database_cores: float
    shards: int
    client_cores: float
    trips_per_second: float
    under_way: float
    """Operations at once, at the latency that was measured: as many callers are needed at least."""


@dataclass(frozen=True)
class Check:
    """One measured run, and what the model says of it from the other runs alone."""

    result: Result
    predicted: float

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted / self.result.rate if self.result.rate else math.inf


def usable(results: Sequence[Result], workload: str) -> list[Result]:
    """Runs of a workload through namenodes whose CPU was measured, with callers that waited for answers."""
    return [
        result
        for result in results
        if result.workload == workload and NAMENODE in result.cpu_us_each() and not result.rate_wanted
    ]


def costs_of(results: Sequence[Result], workload: str = "spotify") -> Costs:
    """Costs of the workload's average operation, in the runs with the most callers, as loaded servers work.

    Those of the mix are found from runs of the single operations, too, if there are none of the mix itself.
    Raises InvalidArgument if the results do not tell.
    """
    runs = usable(results, workload)
    if runs:
        most = max(run.callers for run in runs)
        return _median_costs([run for run in runs if run.callers == most])
    if workload == "spotify":
        return _mixed(results)
    raise InvalidArgument(f"no run of {workload} through a namenode of this machine is among the results")


def _median_costs(runs: Sequence[Result]) -> Costs:
    parts = {part for run in runs for part in run.cpu_us_each()}
    return Costs(
        {part: statistics.median(run.cpu_us_each().get(part, 0.0) for run in runs) for part in sorted(parts)},
        statistics.median(run.trips_each() or 0.0 for run in runs),
        statistics.median(run.latency.mean / 1000 for run in runs),
    )


def _mixed(results: Sequence[Result]) -> Costs:
    single: dict[str, Costs] = {}
    for name in set(_FROM_SINGLE.values()):
        runs = usable(results, name)
        if not runs:
            raise InvalidArgument(
                f"neither spotify nor {name} through a namenode of this machine is among the results"
            )
        single[name] = _median_costs(runs)
    cpu_us: dict[str, float] = {}
    trips = latency_us = 0.0
    for kind, percent in MIX_PERCENT.items():
        costs = single[_FROM_SINGLE[kind]]
        # Listings were measured by their entries, but their latency is that of a whole directory.
        times = FILES_PER_DIRECTORY if kind == "list directory" else 1
        for part, used in costs.cpu_us.items():
            cpu_us[part] = cpu_us.get(part, 0.0) + used * times * percent / 100
        trips += costs.trips * times * percent / 100
        latency_us += costs.latency_us * percent / 100
    return Costs(cpu_us, trips, latency_us)


def plan(
    costs: Costs, rate: float, *, utilisation: float = UTILISATION, shard_cores: int = SHARD_CORES
) -> Plan:
    """What ``rate`` operations a second need. Raises InvalidArgument for what cannot be."""
    if not 0 < utilisation <= 1 or rate <= 0 or shard_cores < 1:
        raise InvalidArgument("a rate is above 0, a utilisation above 0 and at most 1")
    if not costs.namenode_us:
        raise InvalidArgument("the namenode's CPU was not measured")

    def cores(each_us: float) -> float:
        return rate * each_us / 1e6 / utilisation

    return Plan(
        rate=rate,
        costs=costs,
        utilisation=utilisation,
        namenodes=math.ceil(cores(costs.namenode_us) - 1e-9),
        database_cores=cores(costs.database_us),
        shards=math.ceil(cores(costs.database_us) / shard_cores - 1e-9),
        client_cores=cores(costs.cpu_us.get(CALLERS, 0.0)),
        trips_per_second=rate * costs.trips,
        under_way=rate * costs.latency_us / 1e6,
    )


def closed_rate(callers: int, namenodes: int, namenode_us: float, think_us: float) -> float:
    """Operations a second of callers that wait for each answer, by exact mean value analysis.

    Each operation is served by one of the namenodes, by turns, for ``namenode_us``, and spends ``think_us``
    where nobody waits for anybody: in the caller, on the network, in the database, on the disk.
    """
    demand_us = namenode_us / namenodes
    queued, rate = 0.0, 0.0  # callers at each namenode; operations a microsecond
    for number in range(1, callers + 1):
        residence_us = demand_us * (1 + queued)
        rate = number / (think_us + namenodes * residence_us)
        queued = rate * residence_us
    return rate * 1e6


def think_time_us(result: Result, namenode_us: float) -> float:
    """What an operation of a run spent outside the namenode, so that the model gives the run's rate."""
    low, high = 0.0, 1e6 * result.callers / result.rate
    namenodes = namenodes_of(result)
    for _ in range(60):
        middle = (low + high) / 2
        if closed_rate(result.callers, namenodes, namenode_us, middle) > result.rate:
            low = middle
        else:
            high = middle
    return high


def namenodes_of(result: Result) -> int:
    """How many namenodes served a run: those that used CPU."""
    return max(1, sum(process.part == NAMENODE for process in result.usage.processes))


def _callers_each(result: Result) -> float:
    return result.callers / namenodes_of(result)


def predicted_rate(result: Result, others: Sequence[Result], cores: int) -> float:
    """The rate of a run as others tell: costs of the most alike, think time of the one with fewest callers.

    Alike are those with about as many callers for each namenode: many share what a group of calls costs.
    """

    def unlike(other: Result) -> float:
        return abs(math.log(_callers_each(result) / _callers_each(other)))

    nearest = min(map(unlike, others))
    costs = _median_costs([other for other in others if unlike(other) <= nearest + 1e-9])
    reference = min(others, key=lambda one: (one.callers, namenodes_of(one)))
    think_us = think_time_us(reference, costs.namenode_us)
    unbounded = closed_rate(result.callers, namenodes_of(result), costs.namenode_us, think_us)
    # All run on one machine: its cores bound them together.
    return min(unbounded, cores / costs.total_us * 1e6)


def check(results: Sequence[Result], workload: str, cores: int) -> list[Check]:
    """Predict each run of a workload from the others. Nothing if there are fewer than two."""
    runs = usable(results, workload)
    return [
        Check(run, predicted_rate(run, [one for one in runs if one is not run], cores))
        for run in runs
        if len(runs) > 1
    ]
