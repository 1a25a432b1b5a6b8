"""The libraries people use, on one running filesystem, by both forms of address."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest

from oastfs.fsspec_impl import OastFileSystem
from tests.harness.cluster import Cluster

_numbers = itertools.count()


@dataclass
class Place:
    """A new directory: its URL, and the storage options that go with it."""

    url: str
    options: dict[str, Any]

    @property
    def fs(self) -> OastFileSystem:
        found: OastFileSystem = fsspec.core.url_to_fs(self.url, **self.options)[0]
        return found

    @property
    def path(self) -> str:
        return str(fsspec.core.url_to_fs(self.url, **self.options)[1])


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One namenode and one datanode for all tests; fsck and the logs are looked at in the end."""
    with Cluster(tmp_path_factory.mktemp("compat")) as running:
        yield running
        OastFileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def mount(cluster: Cluster) -> Path:
    """The filesystem as a directory."""
    return cluster.mount()


@pytest.fixture(params=["direct", "namenode"])
def place(request: pytest.FixtureRequest, cluster: Cluster) -> Place:
    """Where a test may put its files."""
    name = f"compat-{next(_numbers)}"
    if request.param == "direct":
        place = Place(f"oastfs:///{name}", {"metadata": cluster.metadata_url})
    else:
        place = Place(f"{cluster.url}/{name}", {})
    place.fs.mkdir(place.path)
    return place
