"""What the load generator itself costs for each operation: it must be little beside the fastest of them."""

from __future__ import annotations

import random

from pytest_benchmark.fixture import BenchmarkFixture

from oastfs.bench.histogram import PERCENTILES, Histogram
from oastfs.bench.worker import Caller
from oastfs.bench.workloads.base import Operation, Phase
from oastfs.bench.workloads.spotify import Pool

OPERATIONS = 10_000
_rng = random.Random(1)
LATENCIES = [int(_rng.lognormvariate(11, 1)) for _ in range(OPERATIONS)]


def test_record(benchmark: BenchmarkFixture) -> None:
    histogram = Histogram()

    def record() -> None:
        for value in LATENCIES:
            histogram.record(value)

    benchmark.extra_info["operations"] = OPERATIONS
    benchmark(record)


def test_percentiles(benchmark: BenchmarkFixture) -> None:
    histogram = Histogram()
    for value in LATENCIES:
        histogram.record(value)
    benchmark(lambda: histogram.percentiles(PERCENTILES))


def test_a_caller_that_does_nothing(benchmark: BenchmarkFixture) -> None:
    nothing = Operation("nothing", lambda: 1)
    phase = Phase("nothing", lambda number: nothing, OPERATIONS)
    benchmark.extra_info["operations"] = OPERATIONS
    benchmark(lambda: Caller(phase, False, lambda amount: None).one_after_the_other(None))


def test_paths_of_the_mix(benchmark: BenchmarkFixture) -> None:
    rng, pool = random.Random(1), Pool("root", 100_000, 16, 2)

    def choose() -> None:
        for _ in range(OPERATIONS):
            pool.any_file(rng)

    benchmark.extra_info["operations"] = OPERATIONS
    benchmark(choose)
