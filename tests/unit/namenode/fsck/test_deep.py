"""The deep check, against real datanodes' data servers and block files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.core.types import BlockCommit
from oastfs.namenode import membership
from oastfs.namenode.fsck import check, repair
from oastfs.namenode.membership import Registration, StorageReport
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import REPLICA
from oastfs.wire.transfer import BlockId, Target
from tests.unit.datanode.peer import Node, nodes, write_block
from tests.unit.namenode.conftest import ROOT, Clock

DATA = bytes(range(256)) * 12


class Pair:
    """Two datanodes with both replicas of one file's block."""

    def __init__(self, namespace: Namespace, started: list[Node]) -> None:
        self.namespace = namespace
        self.by_storage: dict[int, Node] = {}
        for number, node in enumerate(started):
            uuid = node.store.volumes[0].storage_uuid
            report = StorageReport(uuid, "DISK", 1 << 30, 0, 1 << 30, False)
            port = node.server.data_port
            request = Registration("", f"dn-{number}", "127.0.0.1", port, 0, "", [report])
            context = namespace.context(ROOT)
            registered = namespace.store.write(lambda tx: membership.register(tx, context, request))  # noqa: B023
            self.by_storage[registered.storage_ids[0]] = node
        namespace.create(ROOT, "/f", holder="w")
        block = namespace.add_block(ROOT, "/f", "w", 0)
        targets = [Target(one.host, one.data_port, one.storage_uuid) for one in block.locations]
        write_block(targets, BlockId(block.block_id, block.generation_stamp), DATA)
        ids = tuple(one.storage_id for one in block.locations)
        namespace.complete(ROOT, "/f", "w", [BlockCommit(block.block_id, 1, 0, len(DATA), ids)])
        self.block_id = block.block_id
        self.storage_id = ids[0]

    @property
    def node(self) -> Node:
        return self.by_storage[self.storage_id]


@pytest.fixture
def pair(namespace: Namespace, tmp_path: Path) -> Iterator[Pair]:
    with nodes(tmp_path / "datanodes", 2) as started:
        yield Pair(namespace, started)


def test_all_is_well(pair: Pair, clock: Clock) -> None:
    report = check(pair.namespace.store, now_ns=clock(), deep=True)
    report.raise_if_problems(health=True)
    assert report.checked["replica on its datanode"] == 2


def test_a_replica_that_is_gone(pair: Pair, clock: Clock) -> None:
    pair.node.store.delete(pair.block_id, 9)
    store = pair.namespace.store
    assert check(store, now_ns=clock()).health_counts == {}
    report = check(store, now_ns=clock(), deep=True)
    assert report.health_counts == {"lost": 1} and report.clean
    assert [one.code for one in repair(store, now_ns=clock(), deep=True).repaired] == ["lost"]
    row = store.read(lambda tx: tx.get(REPLICA, (pair.block_id, pair.storage_id)))
    assert row is not None and row.corrupt


def test_replicas_that_differ(pair: Pair, clock: Clock) -> None:
    replica = pair.node.store.get(pair.block_id)
    content = bytearray(replica.data_path.read_bytes())
    content[1000] ^= 1
    replica.data_path.write_bytes(content)
    report = check(pair.namespace.store, now_ns=clock(), deep=True)
    assert report.health_counts == {"differs": 1}
    assert not report.health[0].repairable


def test_a_datanode_that_does_not_answer(pair: Pair, clock: Clock) -> None:
    pair.node.server.stop(0.1)
    report = check(pair.namespace.store, now_ns=clock(), deep=True)
    assert report.health_counts == {"unreachable": 1}


def test_a_block_that_is_being_written_is_not_asked_for(pair: Pair, clock: Clock) -> None:
    pair.namespace.update_block(ROOT, "/f", "w", 0, pair.block_id)
    pair.node.store.delete(pair.block_id, 9)
    assert check(pair.namespace.store, now_ns=clock(), deep=True).health_counts == {}
