"""The capacity model: its arithmetic by hand, its queues against a simulation, and what it cannot tell."""

from __future__ import annotations

import heapq
import random
from typing import Any

import pytest

from oastfs.bench import capacity
from oastfs.bench.capacity import Costs
from oastfs.bench.histogram import Histogram
from oastfs.bench.processes import ProcessUse, Usage
from oastfs.bench.results import Result
from oastfs.bench.workloads.spotify import MIX_PERCENT
from oastfs.core.errors import InvalidArgument

COSTS = Costs({"namenode": 35.0, "postgresql": 70.0, "callers": 40.0}, 1.2, 500.0)


def run(
    callers: int, rate: float, namenode_us: float, *, workload: str = "spotify", namenodes: int = 1
) -> Result:
    """A run of 10 s with the same costs of each operation in all its parts."""
    amount = int(rate * 10)
    histogram = Histogram()
    histogram.record(int(callers / rate * 1e9))
    used = amount * namenode_us / 1e6 / namenodes
    usage = Usage(
        [ProcessUse("namenode", 100 + n, used, 50 << 20) for n in range(namenodes)], trips=2 * amount
    )
    usage.add_callers(amount * 20 / 1e6, 60 << 20)
    return Result(
        workload,
        workload,
        "oastfs://a:1",
        callers,
        2,
        "operations",
        amount,
        10.0,
        {workload: histogram},
        usage,
    )


def test_a_plan_by_hand() -> None:
    plan = capacity.plan(COSTS, 1_200_000, utilisation=0.7, shard_cores=16)
    # 1.2M * 35 us = 42 cores; at 70 % 60. 1.2M * 70 us = 84 cores; at 70 % 120, 7.5 servers of 16.
    assert plan.namenodes == 60
    assert plan.database_cores == pytest.approx(120)
    assert plan.shards == 8
    assert plan.client_cores == pytest.approx(1_200_000 * 40e-6 / 0.7)
    assert plan.trips_per_second == pytest.approx(1_440_000)
    assert plan.under_way == pytest.approx(600)


def test_an_embedded_store_has_no_shards() -> None:
    plan = capacity.plan(Costs({"namenode": 50.0}, 0.0, 100.0), 10_000)
    assert (plan.namenodes, plan.shards, plan.database_cores) == (1, 0, 0)


@pytest.mark.parametrize(
    "wrong", [{"utilisation": 0.0}, {"utilisation": 1.5}, {"shard_cores": 0}, {"rate": -1.0}]
)
def test_what_cannot_be_planned(wrong: dict[str, Any]) -> None:
    rate = wrong.pop("rate", 1000.0)
    with pytest.raises(InvalidArgument):
        capacity.plan(COSTS, rate, **wrong)
    with pytest.raises(InvalidArgument):
        capacity.plan(Costs({"callers": 1.0}, 0, 1), 1000)


def test_costs_are_medians_of_the_runs_with_most_callers() -> None:
    runs = [run(4, 1000, 30), run(4, 1100, 50), run(4, 900, 31)]
    costs = capacity.costs_of([run(1, 500, 70), *runs])
    assert costs.namenode_us == pytest.approx(31)
    assert costs.cpu_us["callers"] == pytest.approx(20)
    assert costs.trips == pytest.approx(2)
    assert costs.total_us == pytest.approx(51)


def test_the_mix_from_single_operations() -> None:
    names = ("open", "stat", "list", "create", "rename", "remove", "chmod", "mkdir")
    results = [run(1, 1000, 1.0 if name == "list" else 10.0, workload=name) for name in names]
    results[3] = run(1, 1000, 110.0, workload="create")
    costs = capacity.costs_of(results)
    listing, create = MIX_PERCENT["list directory"] / 100, MIX_PERCENT["create"] / 100
    assert costs.namenode_us == pytest.approx(10 + listing * (16 - 10) + create * 100)
    with pytest.raises(InvalidArgument, match="neither spotify nor"):
        capacity.costs_of(results[1:])
    with pytest.raises(InvalidArgument, match="no run of stat"):
        capacity.costs_of([], "stat")


def simulated_rate(
    callers: int, namenodes: int, namenode_us: float, think_us: float, operations: int
) -> float:
    """The same closed network, event by event: exponential times, any namenode with the same chance."""
    rng = random.Random(5)
    free_us = [0.0] * namenodes
    ready = [(rng.expovariate(1 / think_us), number) for number in range(callers)]
    heapq.heapify(ready)
    now = 0.0
    for _ in range(operations):
        now, number = heapq.heappop(ready)
        which = rng.randrange(namenodes)
        free_us[which] = max(free_us[which], now) + rng.expovariate(1 / namenode_us)
        heapq.heappush(ready, (free_us[which] + rng.expovariate(1 / think_us), number))
    return operations / now * 1e6


@pytest.mark.parametrize(("callers", "namenodes"), [(1, 1), (4, 1), (16, 1), (16, 2), (60, 4)])
def test_the_queues_are_those_of_a_simulation(callers: int, namenodes: int) -> None:
    rate = capacity.closed_rate(callers, namenodes, 40, 200)
    assert rate == pytest.approx(simulated_rate(callers, namenodes, 40, 200, 60_000), rel=0.03)


def test_bounds_of_a_closed_network() -> None:
    assert capacity.closed_rate(1, 1, 40, 160) == pytest.approx(5000), "one caller waits for nobody"
    assert capacity.closed_rate(500, 1, 40, 160) == pytest.approx(25_000, rel=0.001), "one core at most"
    assert capacity.closed_rate(500, 3, 40, 160) <= 75_000


def test_think_time_gives_a_runs_own_rate() -> None:
    one = run(8, 9000, 40)
    think_us = capacity.think_time_us(one, 40)
    assert capacity.closed_rate(8, 1, 40, think_us) == pytest.approx(9000, rel=1e-6)


def test_runs_are_predicted_from_each_other() -> None:
    """Runs that obey the laws are predicted exactly; those that the machine's cores bound, too."""
    runs = [run(n, capacity.closed_rate(n, 1, 40, 300), 40) for n in (1, 2, 8)]
    for one in capacity.check(runs, "spotify", cores=4):
        assert one.ratio == pytest.approx(1, rel=0.001), one.result.callers
    more = [*runs, run(64, 33_333, 40, namenodes=2)]
    last = capacity.check(more, "spotify", cores=2)[-1]
    assert last.predicted == pytest.approx(2 / 60e-6), "60 us an operation on two cores"
    assert capacity.check(runs[:1], "spotify", 4) == []


def test_runs_that_do_not_tell() -> None:
    open_loop = run(4, 1000, 30)
    open_loop.rate_wanted = 1000
    direct = run(4, 1000, 30)
    direct.usage.processes = [ProcessUse("callers", 0, 1.0, 1)]
    assert capacity.usable([open_loop, direct], "spotify") == []
