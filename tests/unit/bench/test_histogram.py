"""Histograms against HdrHistogram's own package, and their way through JSON and between processes."""

from __future__ import annotations

import json
import multiprocessing
import random

import pytest
from hdrh.histogram import HdrHistogram

from oastfs.bench.histogram import PERCENTILES, Histogram, latency_us


def recorded(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def latencies(count: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [int(rng.lognormvariate(11, 1.5)) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_those_of_hdrhistogram(seed: int) -> None:
    values = latencies(20_000, seed)
    yardstick = HdrHistogram(1, 3600 * 10**9, 3)
    for value in values:
        yardstick.record_value(value)
    histogram = recorded(values)
    for percent in (0.0, 1.0, 10.0, 25.0, *PERCENTILES, 99.999, 100.0):
        expected = min(yardstick.get_value_at_percentile(percent), max(values))
        assert histogram.percentile(percent) == expected, f"p{percent}, seed {seed}"
    assert (histogram.min, histogram.max, histogram.count) == (min(values), max(values), len(values))
    assert histogram.mean == sum(values) / len(values)


@pytest.mark.parametrize("value", [0, 1, 2047, 2048, 2049, 4095, 4096, 10**6 + 7, 2**40 - 1, 2**40, 10**15])
def test_a_value_is_known_to_three_digits(value: int) -> None:
    histogram = recorded([value])
    ((largest, count),) = histogram.buckets()
    assert count == 1
    assert value <= largest <= value * 1.001
    assert histogram.percentile(50) == value, "the largest value bounds what is told"


def test_adding_is_recording_together() -> None:
    first, second = latencies(3000, 1), latencies(500, 2)
    total = recorded(first)
    total.add(recorded(second))
    assert total.to_json() == recorded(first + second).to_json()
    total.add(Histogram())
    assert total.to_json() == recorded(first + second).to_json()
    empty = Histogram()
    empty.add(total)
    assert empty.to_json() == total.to_json()


def _record_elsewhere(seed: int) -> Histogram:
    return recorded(latencies(1000, seed))


def test_merging_over_processes() -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        parts = pool.map(_record_elsewhere, range(6))
    total = Histogram()
    for part in parts:
        total.add(part)
    together = recorded([value for seed in range(6) for value in latencies(1000, seed)])
    assert total.to_json() == together.to_json()


def test_json_keeps_everything() -> None:
    histogram = recorded(latencies(2000, 3))
    back = Histogram.from_json(json.loads(json.dumps(histogram.to_json())))
    assert back.percentiles(PERCENTILES) == histogram.percentiles(PERCENTILES)
    assert list(back.buckets()) == list(histogram.buckets())
    assert latency_us(back) == latency_us(histogram)


def test_nothing_recorded() -> None:
    empty = Histogram()
    assert latency_us(empty) == {}
    assert (empty.percentile(99), empty.mean) == (0, 0.0)
    assert Histogram.from_json(empty.to_json()).count == 0
