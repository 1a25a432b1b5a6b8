"""Whether datanodes count as live is in the store: no namenode's restart makes one look dead."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from oastfs.store import open_store
from oastfs.store.schema import DATANODE, DATANODE_COMMAND, REPLICATION_NEED
from tests.harness.cluster import Cluster
from tests.harness.waiting import wait_until

DEAD_AFTER_SECONDS = 4.0
FILES = 6


@pytest.fixture(params=["lmdb", "postgresql"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three namenodes and three datanodes with some blocks, on an embedded store and on a database."""
    metadata = [request.getfixturevalue("empty_database")] if request.param == "postgresql" else []
    make_cluster: Callable[..., Cluster] = request.getfixturevalue("make_cluster")
    cluster = make_cluster(
        namenodes=3,
        datanodes=3,
        replication=2,
        metadata=metadata,
        format_options=["--block-size", "1048576"],
        namenode_options=["--dead-after", str(DEAD_AFTER_SECONDS)],
    )
    with cluster.connect(keep=False) as fs:
        for number in range(FILES):
            fs.write_bytes(f"/f{number}", bytes([number]) * 300_000)
    yield cluster
    assert messages(cluster, "datanode is dead") == 0


def messages(cluster: Cluster, text: str) -> int:
    """How often namenodes have logged it."""
    count = 0
    for namenode in cluster.namenodes:
        for line in namenode.log.read_text().splitlines():
            count += line.startswith("{") and json.loads(line)["message"] == text
    return count


def check_quiet(cluster: Cluster) -> None:
    """No datanode is dead, nothing is to be copied or removed."""
    store = open_store(cluster.metadata)
    try:
        states, needs, commands = store.read(
            lambda tx: (
                [row.state for _, row in tx.scan(DATANODE)],
                sum(1 for _ in tx.scan(REPLICATION_NEED)),
                sum(1 for _ in tx.scan(DATANODE_COMMAND)),
            )
        )
    finally:
        store.close()
    assert (states, needs, commands) == ([0, 0, 0], 0, 0)


def check_for(cluster: Cluster, seconds: float) -> None:
    """``check_quiet`` again and again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        check_quiet(cluster)
        time.sleep(0.5)  # it is the time that is tested


@pytest.mark.timeout(300)
def test_namenodes_restart_one_by_one_and_one_is_alone_for_a_while(cluster: Cluster) -> None:
    check_quiet(cluster)
    first, second, third = cluster.namenodes
    for namenode in (first, second, third):
        namenode.kill()
        check_for(cluster, 1.0)
        namenode.start()
        cluster.wait_for_namenodes()
    first.kill()
    second.kill()
    check_for(cluster, 2.5 * DEAD_AFTER_SECONDS)
    third.kill()
    first.start()
    cluster.wait_for_namenodes()
    check_for(cluster, 2.5 * DEAD_AFTER_SECONDS)
    with cluster.connect(first.url, keep=False) as fs:
        fs.write_bytes("/large", b"x" * 3_000_000)
        assert {one.state for one in fs.metadata.datanodes(fs.caller)} == {"live"}
    second.start()
    third.start()
    cluster.wait_for_namenodes()


@pytest.mark.timeout(300)
def test_everything_stops_and_datanodes_are_long_in_coming_back(cluster: Cluster) -> None:
    for server in [*cluster.namenodes, *cluster.datanodes]:
        server.kill()
    reports = messages(cluster, "block report")
    for namenode in cluster.namenodes:
        namenode.start()
    cluster.wait_for_namenodes()
    check_for(cluster, 2.5 * DEAD_AFTER_SECONDS)
    for datanode in cluster.datanodes:
        datanode.start()
    cluster.wait_for_datanodes(3)
    wait_until(lambda: messages(cluster, "block report") >= reports + 3, "a report of each datanode", 60)
    check_for(cluster, DEAD_AFTER_SECONDS)
    assert messages(cluster, "block report") == reports + 3, "one of each, not one for each namenode"
    with cluster.connect(keep=False) as fs:
        for number in range(FILES):
            assert fs.read_bytes(f"/f{number}") == bytes([number]) * 300_000
