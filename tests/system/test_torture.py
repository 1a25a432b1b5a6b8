"""Random changes by three namenodes on shards or Citus, while namenodes, clients and servers are killed -9.

Every call happens once or not at all, in an order that explains what everybody was told; fsck is content, and
nothing is left in doubt.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oastfs.client import connect
from oastfs.core.types import SUPERUSER
from oastfs.store import open_store
from oastfs.store.sql_driver.shards.store import ShardedStore
from tests.harness import torture
from tests.harness.citus import MISSING, CitusCluster, is_installed
from tests.harness.cluster import Cluster
from tests.harness.postgresql import PostgresServer, ShardServers
from tests.harness.waiting import wait_until

SPAWN = multiprocessing.get_context("spawn")
CLIENTS = 4


@pytest.fixture
def own_servers() -> Iterator[ShardServers]:
    """Three servers that may be killed."""
    servers = ShardServers([PostgresServer() for _ in range(3)])
    yield servers
    servers.remove()


@pytest.fixture
def own_citus() -> Iterator[CitusCluster]:
    """A coordinator and two workers that may be killed."""
    if not is_installed():
        pytest.skip(MISSING)
    servers = CitusCluster()
    yield servers
    servers.remove()


class Clients:
    """Processes that act on one directory until the end of a round."""

    def __init__(self, cluster: Cluster, top: str, seed: str, seconds: float, logs: Path) -> None:
        self.cluster, self.top, self.seed, self.logs = cluster, top, seed, logs
        self.until = time.monotonic() + seconds
        self.all: list[Any] = []
        self.files: list[Path] = []

    def start(self) -> None:
        """One more."""
        number = len(self.all) + 1
        file = self.logs / f"client-{self.top.strip('/')}-{number}"
        file.touch()
        namenodes = [namenode.url.removeprefix("oastfs://") for namenode in self.cluster.namenodes]
        at = number % len(namenodes)
        url = "oastfs://" + ",".join(namenodes[at:] + namenodes[:at])
        arguments = (url, self.top, f"{self.seed} {number}", number, self.until, file)
        process = SPAWN.Process(target=torture.act, args=arguments, daemon=True)
        process.start()
        self.all.append(process)
        self.files.append(file)

    def kill_one(self, chance: random.Random) -> None:
        """Of those that live; another one takes its place."""
        victim = chance.choice([process for process in self.all if process.is_alive()] or self.all)
        os.kill(victim.pid, signal.SIGKILL)
        self.start()

    def wait(self) -> None:
        for process in self.all:
            process.join(120)
            assert process.exitcode in (0, -signal.SIGKILL), f"a client failed or hangs: {process.exitcode}"


def disturb(cluster: Cluster, servers: list[PostgresServer], clients: Clients, chance: random.Random) -> None:
    """Kill something, and start it again after a moment."""
    what = chance.choice(["namenode", "namenode", "server", "client"])
    if what == "client":
        clients.kill_one(chance)
        return
    if what == "server":
        server = chance.choice(servers)
        server.crash()
        server.start()
        return
    namenode = chance.choice(cluster.namenodes)
    namenode.kill()
    time.sleep(chance.random() / 2)
    namenode.start()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("rounds", "seconds"),
    # Finding an order of fifteen thousand calls takes seconds, or minutes now and then.
    [(1, 8.0), pytest.param(12, 25.0, marks=[pytest.mark.long, pytest.mark.timeout(2700)])],
    ids=["short", "long"],
)
def test_torture(
    own_servers: ShardServers,
    make_cluster: Callable[..., Cluster],
    tmp_path: Path,
    rounds: int,
    seconds: float,
) -> None:
    chance = seeded()
    urls = own_servers.create_databases()
    cluster = make_cluster(namenodes=3, datanodes=0, metadata=urls)
    torment(cluster, own_servers.servers, chance, (rounds, seconds), tmp_path)
    require_nothing_in_doubt(urls)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_torture_on_citus(
    own_citus: CitusCluster, make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    chance = seeded()
    name = own_citus.create_database()
    cluster = make_cluster(namenodes=3, datanodes=0, metadata=[own_citus.url(name)])
    torment(cluster, own_citus.servers, chance, (4, 25.0), tmp_path)
    wait_until(lambda: not own_citus.prepared(name), "Citus to settle what the dead left in doubt", 30)


def seeded() -> random.Random:
    """Chance that can be had again."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    return random.Random(seed)


def torment(
    cluster: Cluster,
    servers: list[PostgresServer],
    chance: random.Random,
    rounds: tuple[int, float],
    logs: Path,
) -> None:
    """So many rounds of so many seconds; after each, all that was told must have an order."""
    cluster.allow_in_logs(".*")  # what is killed is complained of
    seed = chance.random()
    count, seconds = rounds
    for number in range(count):
        top = f"/round{number}"
        with connect(cluster.url) as fs:
            fs.metadata.mkdirs(SUPERUSER, top)
            clients = Clients(cluster, top, f"{seed} {number}", seconds, logs)
            for _ in range(CLIENTS):
                clients.start()
            while time.monotonic() < clients.until - 2:
                time.sleep(0.5 + chance.random())
                disturb(cluster, servers, clients, chance)
            clients.wait()
            cluster.wait_for_namenodes()
            last = logs / f"last-{number}"
            torture.look_at_all(fs.metadata, top, 900 * torture.CALLS_MAX, last)
        logs_of_round = [*clients.files, last]
        calls = torture.history(logs_of_round)
        done = sum(call.answer != "refused" for call in calls)
        unknown = sum(call.answered_at is None for call in calls)
        settled = torture.settle(
            calls, logs_of_round, torture.kept_answers(cluster.metadata), time.monotonic_ns()
        )
        happened = unknown - len(calls) + len(settled)
        print(
            f"round {number}: {len(calls)} calls, {done} not refused, {unknown} without an answer, "
            f"{happened} of which have happened"
        )
        assert done > 20
        torture.require_order(settled, f"torture-round-{number}")


def require_nothing_in_doubt(urls: list[str]) -> None:
    store = open_store(urls)
    assert isinstance(store, ShardedStore)
    try:
        wait_until(
            lambda: not any(store.recovery.prepared(number) for number in range(len(urls))),
            "what the dead left in doubt to be settled",
            10,
        )
    finally:
        store.close()
