"""Several namenode processes on one store: one of them leads, and is followed when it goes."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from oastfs.store import open_store
from oastfs.store.schema import INODE, RECLAIM_ID
from tests.harness.cluster import Cluster, Namenode, run_oastfs
from tests.harness.http import get
from tests.harness.waiting import wait_until

FOLLOWED_SECONDS = 5.0


def status(namenode: Namenode) -> dict[str, Any]:
    """What its ``/status`` shows."""
    return dict(json.loads(get(namenode.http_port, "/status")[1]))


def leaders(cluster: Cluster) -> list[Namenode]:
    """Those running namenodes that say that they lead."""
    return [one for one in cluster.namenodes if one.alive and status(one)["leads"]]


def wait_for_leader(cluster: Cluster, but: Namenode | None = None) -> Namenode:
    """The one that leads, once there is one."""
    found = wait_until(lambda: [one for one in leaders(cluster) if one is not but], "a leader", 30)
    assert len(found) == 1
    return found[0]


def seconds_until_reclaimed(cluster: Cluster, name: str) -> float:
    """Remove a tree, and wait until a job has taken its space back."""
    with cluster.connect(keep=False) as fs:
        fs.makedirs(f"/{name}/a")
        fs.write_bytes(f"/{name}/a/f", b"x" * 1000)
        fs.rmtree(f"/{name}")
    begun = time.monotonic()
    store = open_store(cluster.metadata)
    try:
        wait_until(
            lambda: not store.read(lambda tx: list(tx.scan(INODE, (RECLAIM_ID,), limit=1))),
            "the removed tree to be reclaimed",
            30,
        )
    finally:
        store.close()
    return time.monotonic() - begun


@pytest.fixture(params=["lmdb", "postgresql", "shards"])
def trio(request: pytest.FixtureRequest) -> Cluster:
    """Three namenodes on an embedded store, on a database, and on several."""
    metadata: list[str] = []
    if request.param == "postgresql":
        metadata = [request.getfixturevalue("empty_database")]
    elif request.param == "shards":
        metadata = request.getfixturevalue("shards")
    make_cluster: Callable[..., Cluster] = request.getfixturevalue("make_cluster")
    return make_cluster(namenodes=3, datanodes=0, metadata=metadata)


@pytest.mark.timeout(300)
def test_jobs_go_on_when_the_leader_is_killed_and_when_it_stops(trio: Cluster) -> None:
    first = wait_for_leader(trio)
    assert seconds_until_reclaimed(trio, "before") < FOLLOWED_SECONDS
    killed = time.monotonic()
    first.kill()
    seconds_until_reclaimed(trio, "after-a-kill")
    assert time.monotonic() - killed < FOLLOWED_SECONDS
    second = wait_for_leader(trio)
    assert second is not first
    first.start()
    trio.wait_for_namenodes()
    assert wait_for_leader(trio) is second, "one that comes back follows"

    assert second.terminate() == 0
    stopped = time.monotonic()
    seconds_until_reclaimed(trio, "after-a-stop")
    assert time.monotonic() - stopped < 3.0, "it has handed over: nobody waits for it to fall silent"
    third = wait_for_leader(trio)
    listed = json.loads(run_oastfs("namenodes", trio.url, "--json").stdout)
    assert [one["port"] for one in listed if one["leader"]] == [third.port]
    assert f":{third.port} (leads)" in run_oastfs("status", trio.url).stdout
    assert "leads" in run_oastfs("namenodes", trio.url).stdout
    second.start()
    trio.wait_for_namenodes()


@pytest.mark.timeout(120)
def test_a_leader_that_stood_still_finds_another_in_its_place(
    empty_database: str, make_cluster: Callable[..., Cluster]
) -> None:
    cluster = make_cluster(namenodes=2, datanodes=0, metadata=[empty_database])
    cluster.allow_in_logs(".*")  # its transactions were ended by the server, maybe
    first = wait_for_leader(cluster)
    (other,) = (one for one in cluster.namenodes if one is not first)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        wait_until(lambda: status(other)["leads"], "the other one to lead", 30)
        assert time.monotonic() - begun < FOLLOWED_SECONDS
    finally:
        os.kill(first.pid, signal.SIGCONT)
    for _ in range(20):
        assert leaders(cluster) == [other]
    wait_until(lambda: "another namenode leads now" in first.log.read_text(), "the first one to notice", 20)
    assert seconds_until_reclaimed(cluster, "after-that") < FOLLOWED_SECONDS


@pytest.mark.timeout(120)
def test_the_http_port_says_who_leads(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(namenodes=2, datanodes=0)
    leader = wait_for_leader(cluster)
    for namenode in cluster.namenodes:
        shown = float(namenode is leader)
        assert f"\noastfs_leader {shown}\n" in get(namenode.http_port, "/metrics")[1]

    def named() -> bool:
        return all(
            [one["port"] for one in status(namenode)["namenodes"] if one["leader"]] == [leader.port]
            for namenode in cluster.namenodes
        )

    wait_until(named, "both namenodes to name the leader", 20)
