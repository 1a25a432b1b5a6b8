"""Fixtures of system tests: filesystems of real processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cluster import Cluster

SYSTEM = Path(__file__).parent
FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here starts real processes."""
    for item in items:
        if SYSTEM in item.path.parents:
            item.add_marker(pytest.mark.system)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know whether the test itself failed."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def make_cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Start clusters with options of one's own: ``make_cluster(datanodes=3, replication=2)``."""
    with ExitStack() as stack:
        count = 0
        clusters: list[Cluster] = []

        def make(**options: Any) -> Cluster:
            nonlocal count
            count += 1
            directory = tmp_path / (f"cluster-{count}" if count > 1 else "cluster")
            clusters.append(stack.enter_context(Cluster(directory, **options)))
            return clusters[-1]

        yield make
        if request.node.stash.get(FAILED, False):
            for cluster in clusters:
                print(cluster.log_tails())


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    """One namenode and one datanode."""
    return make_cluster()
