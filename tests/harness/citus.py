"""Real Citus clusters for tests: a coordinator and workers, each a PostgreSQL server of its own.

They need the extension for the PostgreSQL that is at hand: ``scripts/build_citus.sh`` builds and installs it.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.postgresql import BINARIES, PostgresServer

HOST = "127.0.0.1"
_SETTINGS = {
    "citus.shard_count": "8",
    "shared_preload_libraries": "citus",
    "max_prepared_transactions": "300",
    "max_worker_processes": "64",
    "citus.node_conninfo": "sslmode=prefer",
    "citus.recover_2pc_interval": "1s",
    "citus.distributed_deadlock_detection_factor": "2",
    "citus.enable_statistics_collection": "off",
}
MISSING = "the PostgreSQL at hand has no Citus: scripts/build_citus.sh builds and installs it"


def is_installed() -> bool:
    """Whether the extension is there for the PostgreSQL that tests use."""
    if not BINARIES:
        return False
    program = BINARIES[-1] / "pg_config"
    if not program.exists():
        return False
    shared = subprocess.run([str(program), "--sharedir"], stdout=subprocess.PIPE, text=True, check=True)
    return (Path(shared.stdout.strip()) / "extension" / "citus.control").exists()


class CitusCluster:
    """A coordinator and workers. Stores are databases that are on all of them."""

    def __init__(self, workers: int = 2, settings: dict[str, str] | None = None) -> None:
        together = {**_SETTINGS, **(settings or {})}
        self.workers: list[PostgresServer] = []
        self.coordinator = PostgresServer(together)
        try:
            for _ in range(workers):
                self.workers.append(PostgresServer(together))
        except BaseException:
            self.remove()
            raise
        self._numbers = itertools.count(1)
        self._unused: list[str] = []

    @property
    def servers(self) -> list[PostgresServer]:
        return [self.coordinator, *self.workers]

    def version(self, database: str) -> str:
        """What the server says of itself."""
        return str(self.coordinator.execute("SELECT citus_version()", database)[0][0])

    def url(self, database: str, driver: str = "psycopg2") -> str:
        """The address of a store: the coordinator's."""
        return self.coordinator.url(database, driver)

    def create_database(self) -> str:
        """A new database with the extension, known to all servers; its name."""
        name = f"citus_{next(self._numbers)}"
        for server in self.servers:
            server.execute(f"CREATE DATABASE {name}")
            server.execute("CREATE EXTENSION citus", name)
        self.coordinator.execute(
            f"SELECT citus_set_coordinator_host('{HOST}', {self.coordinator.port})", name
        )
        for worker in self.workers:
            self.coordinator.execute(f"SELECT citus_add_node('{HOST}', {worker.port})", name)
        return name

    @contextmanager
    def empty_store(self) -> Iterator[str]:
        """A database with an empty store in it. It is emptied and lent again afterwards."""
        name = self._unused.pop() if self._unused else self._create_store()
        yield name
        self.empty(name)
        self._unused.append(name)

    def _create_store(self) -> str:
        from oastfs.store import open_store

        name = self.create_database()
        open_store(self.url(name), create=True).close()
        return name

    def empty(self, name: str) -> None:
        """Remove every row of a store, when nothing is in doubt any more."""
        self.coordinator.execute("SELECT recover_prepared_transactions()", name)
        self.coordinator.empty(name)

    def prepared(self, name: str) -> list[str]:
        """What is prepared on any of the servers."""
        question = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        found = [server.execute(question, name) for server in self.servers]
        return [str(gid) for rows in found for (gid,) in rows]

    def settled(self, name: str) -> bool:
        """Have what is in doubt settled; whether nothing is any more."""
        self.coordinator.execute("SELECT recover_prepared_transactions()", name)
        return not self.prepared(name)

    def remove(self) -> None:
        """Stop all, and remove their files."""
        for server in self.servers:
            server.remove()
