"""Namenodes that come while datanodes run: these hear of them from the others, without a restart."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest

from tests.harness.cluster import HOST, Cluster, Namenode
from tests.harness.process import Server
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.system

CONTENT = bytes(range(256)) * 4000


def lines(server: Server, message: str, **fields: str) -> int:
    """How often a server has logged this."""
    found = 0
    for line in server.log.read_text().splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            found += entry["message"] == message and all(entry.get(key) == fields[key] for key in fields)
    return found


def test_a_namenode_that_comes_later(make_cluster: Callable[..., Cluster]) -> None:
    """Datanodes register with it, and serve its clients when the one they began with is gone."""
    cluster = make_cluster(
        namenodes=1, datanodes=2, replication=2, format_options=["--block-size", "1048576"]
    )
    first = cluster.namenodes[0]
    second = Namenode(cluster, 2, [])
    cluster.namenodes.append(second)
    second.start()
    cluster.wait_for_namenodes()
    for datanode in cluster.datanodes:
        wait_until(
            partial(lines, datanode, "registered", namenode=f"{HOST}:{second.control_port}"),
            "a datanode that registers with the new namenode",
        )
    cluster.allow_in_logs("a namenode does not answer")
    first.kill()
    with cluster.connect(second.url, keep=False) as fs:
        fs.write_bytes("/large", CONTENT)
        assert fs.read_bytes("/large") == CONTENT
    first.start()
    cluster.wait_for_namenodes()
    # One that is stopped for good is not asked for ever.
    assert second.terminate() == 0
    cluster.namenodes.remove(second)
    for datanode in cluster.datanodes:
        wait_until(
            partial(lines, datanode, "a namenode is left", namenode=f"{HOST}:{second.control_port}"),
            "a datanode that gives up a namenode which has gone",
        )
        assert lines(datanode, "registered", namenode=f"{HOST}:{second.control_port}") == 1
