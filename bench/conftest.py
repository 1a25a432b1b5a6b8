"""Fixtures of the benchmarks: a namespace on a real LMDB store, the machine's yardsticks beside each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.calibration import KINDS, Yardsticks
from oastfs.namenode.filesystem import format_store
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    store = open_store(f"lmdb://{tmp_path}/store", create=True)
    format_store(store)
    namespace = Namespace(store, owns_store=True)
    yield namespace
    namespace.close()


@pytest.fixture(scope="session")
def yardsticks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yardsticks]:
    measuring = Yardsticks(tmp_path_factory.mktemp("yardsticks"))
    yield measuring
    measuring.close()


@pytest.fixture(autouse=True)
def calibrated(request: pytest.FixtureRequest) -> None:
    """Keep with a benchmark how fast the machine is at its moment, and which yardstick bounds it."""
    if "benchmark" not in request.fixturenames:
        return
    marker = request.node.get_closest_marker("bound_by")
    kind = marker.args[0] if marker else "processor"
    assert kind in KINDS
    measured = request.getfixturevalue("yardsticks").measure_us()
    info = request.getfixturevalue("benchmark").extra_info
    info["bound_by"], info["yardsticks_us"] = kind, measured
    info["waiting_per_core"] = round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)
