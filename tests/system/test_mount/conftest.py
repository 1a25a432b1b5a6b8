"""Mounted filesystems of real processes: one for each binding, one on PostgreSQL, one through a namenode.

Each test has a directory of its own.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from oastfs.namenode.fsck import check
from oastfs.store import open_store
from tests.harness.cluster import Cluster
from tests.harness.postgresql import PostgresServer
from tests.harness.waiting import wait_until

BINDINGS = ("kernel", "mfusepy")
_numbers = itertools.count(1)


@dataclass
class Served:
    """A cluster that is mounted through ``binding``, directly or through its namenode."""

    cluster: Cluster
    mountpoint: Path
    binding: str
    url: str
    on_database: bool = False

    def mount_again(self, name: str) -> Path:
        """Another mount, in the same way."""
        return self.cluster.mount(self.url, name=name, options=["--binding", self.binding])

    def fsck(self) -> None:
        """Check the tables while all runs. What a release has begun may take a moment to end."""
        store = open_store(self.cluster.metadata_url)
        try:

            def clean() -> bool:
                check(store).raise_if_problems()
                return True

            wait_until(clean, "a clean fsck", 10)
        finally:
            store.close()


@pytest.fixture(scope="session", params=(*BINDINGS, "postgresql", "namenode"))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A filesystem with one datanode."""
    binding = request.param if request.param in BINDINGS else "kernel"
    metadata = []
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgresql")
        metadata.append(server.url(server.create_database()))
    with Cluster(tmp_path_factory.mktemp(f"mount-{request.param}"), metadata=metadata) as cluster:
        url = cluster.url if request.param == "namenode" else cluster.metadata_url
        mountpoint = cluster.mount(url, options=["--binding", binding])
        yield Served(cluster, mountpoint, binding, url, bool(metadata))


@pytest.fixture
def directory(served: Served) -> Iterator[Path]:
    """An empty directory on the mount; the tables are checked afterwards."""
    path = served.mountpoint / f"test-{next(_numbers)}"
    path.mkdir()
    path.chmod(0o755)
    yield path
    served.fsck()
    if served.on_database:
        shutil.rmtree(path, ignore_errors=True)  # each check asks for each file


@pytest.fixture
def kernel_only(served: Served) -> None:
    """For what libfuse's path interface cannot offer."""
    if served.binding != "kernel":
        pytest.skip("not possible through libfuse's high-level interface")
