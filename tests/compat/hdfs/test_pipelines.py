"""Java's write pipelines when datanodes die in them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.hdfs.java_filesystem import MIB, Java, put
from tests.harness.cluster import Cluster
from tests.harness.java import Jvm, client_jars
from tests.harness.waiting import wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not client_jars(), reason="needs Java and PySpark's jars"),
]

# With three datanodes there is no other one for a dead one's place: Java gives up unless told otherwise.
GO_ON = {"dfs.client.block.write.replace-datanode-on-failure.best-effort": "true"}


@pytest.fixture(scope="module")
def jvm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jvm]:
    with Jvm("pipelines", client_jars(), tmp_path_factory.mktemp("jvm")) as running:
        yield running


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, datanodes=3) as running:
        yield running


@pytest.fixture
def java(jvm: Jvm, cluster: Cluster) -> Iterator[Callable[..., Java]]:
    made: list[Java] = []

    def new(**settings: str) -> Java:
        made.append(Java(jvm, cluster, **settings))
        return made[-1]

    yield new
    for one in made:
        one.fs.close()


def in_pipeline_order(stream: Any, cluster: Cluster) -> list[Any]:
    """The cluster's datanodes as the open block's pipeline has them."""
    ports = [place.getXferPort() for place in stream.getWrappedStream().getPipeline()]
    by_port = {node.port: node for node in cluster.datanodes}
    return [by_port[port] for port in ports]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_datanode_dies_while_a_file_is_written(
    java: Callable[..., Java], cluster: Cluster, position: int
) -> None:
    fs, data = java(**GO_ON), random.Random(position).randbytes(6 * MIB)
    stream = fs.create("/f")
    put(stream, data[: 3 * MIB])
    stream.hflush()
    victim = in_pipeline_order(stream, cluster)[position]
    victim.kill()
    put(stream, data[3 * MIB :])
    stream.close()
    assert fs.read("/f") == data
    victim.start()
    wait_until(lambda: fs.replicas("/f") == [3], "the third replica to be made again", 60)
    cluster.wait_for_datanodes(3)


def test_a_datanode_dies_while_a_file_is_appended_to(java: Callable[..., Java], cluster: Cluster) -> None:
    fs, data = java(**GO_ON), b"x" * (2 * MIB)
    stream = fs.create("/f")
    put(stream, data)
    stream.close()
    stream = fs.append("/f")
    put(stream, data)
    stream.hflush()
    in_pipeline_order(stream, cluster)[1].kill()
    put(stream, data)
    stream.close()
    assert fs.read("/f") == data * 3
    next(node for node in cluster.datanodes if not node.alive).start()
    wait_until(lambda: fs.replicas("/f") == [3], "the third replica to be made again", 60)


def test_another_datanode_takes_the_place_of_a_dead_one(tmp_path: Path, jvm: Jvm) -> None:
    """Java has the flushed bytes copied (TRANSFER_BLOCK) and goes on with three datanodes."""
    with Cluster(tmp_path, datanodes=4, replication=3) as cluster:
        fs, data = Java(jvm, cluster), random.Random(1).randbytes(5 * MIB + 77)
        stream = fs.create("/f")
        put(stream, data[: 3 * MIB + 5])
        stream.hflush()
        before = in_pipeline_order(stream, cluster)
        before[0].kill()
        put(stream, data[3 * MIB + 5 :])
        stream.hflush()
        after = in_pipeline_order(stream, cluster)
        assert len(after) == 3 and before[0] not in after and set(before[1:]) < set(after)
        stream.close()
        assert fs.read("/f") == data and fs.replicas("/f") == [3]
        # What the newcomer has is whole, too.
        for node in before[1:]:
            node.kill()
        assert fs.read("/f") == data
        fs.fs.close()
        for node in before:
            node.start()
        cluster.wait_for_datanodes(4)


def test_all_datanodes_but_one_die(java: Callable[..., Java], cluster: Cluster) -> None:
    fs = java(**GO_ON)
    data = random.Random(2).randbytes(4 * MIB)
    stream = fs.create("/f")
    for number, at in enumerate(range(0, len(data), MIB)):
        put(stream, data[at : at + MIB])
        stream.hflush()
        if number < 2:
            in_pipeline_order(stream, cluster)[-1].kill()
    stream.close()
    assert fs.read("/f") == data
    for node in cluster.datanodes:
        if not node.alive:
            node.start()
    wait_until(lambda: fs.replicas("/f") == [3], "all replicas to be made again", 60)


@pytest.mark.parametrize("position", [0, 1])
def test_a_datanode_dies_under_small_files(
    java: Callable[..., Java], cluster: Cluster, position: int
) -> None:
    """Between the flush and the end: what is acknowledged is inline or in blocks, and there."""
    fs = java(**GO_ON)
    stream = fs.create("/f")
    put(stream, b"flushed")
    stream.hflush()
    victim = in_pipeline_order(stream, cluster)[position]
    victim.kill()
    put(stream, b" and closed")
    stream.close()
    assert fs.read("/f") == b"flushed and closed"
    stream = fs.append("/f")
    put(stream, b" and appended")
    stream.close()
    assert fs.read("/f") == b"flushed and closed and appended"
    victim.start()
    cluster.wait_for_datanodes(3)
