"""Fixtures for every test: direct mode, in this process. Servers are in tests/system."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.harness import reaper
from tests.harness.deadlines import LastDeadline
from tests.harness.skips import SkipWatch

if TYPE_CHECKING:
    from oastfs.client import Filesystem
    from oastfs.namenode.namespace import Namespace
    from oastfs.store.transaction import Store
    from tests.harness.citus import CitusCluster
    from tests.harness.postgresql import PostgresServer, ShardServers


# What takes how long is no property: a busy machine would break it. (As Hypothesis does by itself in CI.)
settings.register_profile(
    "unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")

MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 10 << 30
MEMORY_KEY = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests' files in memory where there is room, unless ``--basetemp`` says otherwise.

    Tests wait for syncs most of the time, and prove nothing by it: they kill processes, not machines.
    """
    config.pluginmanager.register(SkipWatch())
    if config.pluginmanager.hasplugin("timeout"):
        config.pluginmanager.register(LastDeadline())
    if config.option.basetemp or hasattr(config, "workerinput"):
        return
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < MEMORY_BYTES_MIN:
        return
    directory = Path(tempfile.mkdtemp(prefix="oastfs-tests-", dir=MEMORY))
    reaper.remove_at_end(directory)
    config.option.basetemp = str(directory / "files")
    config.stash[MEMORY_KEY] = directory


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the memory back."""
    directory = config.stash.get(MEMORY_KEY, None)
    if directory is not None:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole run."""
    from tests.harness.postgresql import PostgresServer

    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def shard_servers(postgresql: PostgresServer) -> Iterator[ShardServers]:
    """Three PostgreSQL servers for the whole run."""
    from tests.harness.postgresql import PostgresServer, ShardServers

    more = [PostgresServer(), PostgresServer()]
    yield ShardServers([postgresql, *more])
    for server in more:
        server.remove()


@pytest.fixture(scope="module")
def nothing_beside(shard_servers: ShardServers) -> Iterator[None]:
    """For those who count looks at shards: nothing but the test ends transactions or takes connections.

    A transaction that ends between two looks costs a third one. A connection that is being tidied has a new
    one made, and of what was known of a server before that nothing counts.
    """
    from oastfs.store.sql_driver.connections import Connections

    with shard_servers.without_autovacuum(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connections, "_have_tidied", lambda self: None)
        yield


@pytest.fixture
def shards(shard_servers: ShardServers) -> Iterator[list[str]]:
    """The addresses of three databases with an empty store on them. Nothing is left in doubt at the end."""
    with shard_servers.empty_store() as urls:
        yield urls


@pytest.fixture
def database(postgresql: PostgresServer) -> Iterator[str]:
    """The address of a database with an empty store in it."""
    with postgresql.empty_store() as name:
        yield postgresql.url(name)


@pytest.fixture(scope="session")
def citus_cluster() -> Iterator[CitusCluster]:
    """A coordinator with two workers for the whole run, if the machine has Citus."""
    from tests.harness.citus import MISSING, CitusCluster, is_installed

    if not is_installed():
        pytest.skip(MISSING)
    cluster = CitusCluster()
    yield cluster
    cluster.remove()


@pytest.fixture
def citus_database(citus_cluster: CitusCluster) -> Iterator[str]:
    """The address of a store on Citus, with nothing in it. Nothing is left in doubt at the end."""
    with citus_cluster.empty_store() as name:
        yield citus_cluster.url(name)
        assert citus_cluster.settled(name), citus_cluster.prepared(name)


@pytest.fixture
def empty_database(postgresql: PostgresServer) -> Iterator[str]:
    """The address of a database without anything in it."""
    name = postgresql.create_database()
    yield postgresql.url(name)
    postgresql.drop_database(name)


@pytest.fixture
def metadata_url(tmp_path: Path) -> str:
    """The address of an embedded store in the test's directory, with an empty filesystem."""
    from oastfs.cli.stores import FormatRequest, format_new

    url = f"lmdb://{tmp_path / 'store'}"
    format_new([url], FormatRequest(replication=1, inline_limit=None, block_size=None))
    return url


@pytest.fixture
def store(metadata_url: str) -> Iterator[Store]:
    """The open store of ``metadata_url``."""
    from oastfs.store import open_store

    opened = open_store(metadata_url)
    yield opened
    opened.close()


@pytest.fixture
def namespace(store: Store) -> Namespace:
    """The namespace on ``store``."""
    from oastfs.namenode.namespace import Namespace

    return Namespace(store)


@pytest.fixture
def filesystem(metadata_url: str) -> Iterator[Filesystem]:
    """A client in direct mode on ``metadata_url``. It has no datanodes."""
    from oastfs.client import connect

    with connect(metadata_url) as fs:
        yield fs
