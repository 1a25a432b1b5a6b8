"""The fsspec filesystem in both of its forms: direct mode, and through a namenode process.

Every test has a directory of its own. The filesystems are made once, and end with fsck.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from oastfs.fsspec_impl import OastFileSystem
from tests.harness.cluster import Cluster

_numbers = itertools.count()


@pytest.fixture(scope="session")
def direct_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store without servers."""
    from oastfs.namenode.filesystem import format_store
    from oastfs.namenode.fsck import check
    from oastfs.store import open_store

    url = f"lmdb://{tmp_path_factory.mktemp('direct')}/store"
    store = open_store(url, create=True)
    format_store(store)
    store.close()
    yield url
    OastFileSystem.clear_instance_cache()
    store = open_store(url)
    try:
        check(store).raise_if_problems()
    finally:
        store.close()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One namenode and one datanode; fsck and their logs are looked at in the end."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running
        OastFileSystem.clear_instance_cache()


@pytest.fixture(params=["direct", pytest.param("namenode", marks=pytest.mark.system)])
def fs(request: pytest.FixtureRequest) -> OastFileSystem:
    """The filesystem, by each form of address."""
    if request.param == "direct":
        direct: OastFileSystem = fsspec.filesystem("oastfs", metadata=request.getfixturevalue("direct_url"))
        return direct
    cluster: Cluster = request.getfixturevalue("cluster")
    served: OastFileSystem = fsspec.core.url_to_fs(cluster.url + "/")[0]
    return served


@pytest.fixture
def fs_path(fs: OastFileSystem) -> str:
    """A new directory in the filesystem."""
    path = f"/test-{next(_numbers)}"
    fs.mkdir(path)
    return path


@pytest.fixture
def local_path(tmp_path: Path) -> Path:
    return tmp_path
